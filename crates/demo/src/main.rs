//! `counterfoil-demo-worker`: the worker of the playground, as a program.
//!
//! Exit codes: 0 drained, 1 failed, 69 the broker refused for good, 78 configuration or topology,
//! 130 stopped by a second signal.

use clap::Parser;
use counterfoil_demo::{Playground, register};
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::start::{self, StartError, prepare_queues, unless_asked_to_stop};
use counterfoil_toolbox::telemetry::{init_logs_with, prometheus};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_worker::{Level, Worker, task_log};
use std::path::PathBuf;

/// Runs the demo tasks: services demo, export and harvest, unless worker.queues says otherwise.
#[derive(Debug, Parser)]
#[command(name = "counterfoil-demo-worker", version)]
struct Arguments {
    /// Configuration file. Default: counterfoil.toml in the working directory, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}
/// Tasks are made on one thread and dropped on another, many times a second, which glibc is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    start::main(run)
}

async fn run() -> Result<i32, StartError> {
    let Arguments { config } = Arguments::parse();
    let config = Config::load(LoadOptions::from_process(Role::Worker).file(config))?;
    // What handlers log is kept with their tasks.
    init_logs_with(&config.telemetry, task_log(Level::INFO))?;
    let names = config.broker.names()?;
    let transport = AmqpTransport::new(&config.broker).map_err(StartError::setup)?;
    let metrics = prometheus::serve(&*transport, config.worker.metrics_bind.as_deref()).await;
    let _metrics = metrics.map_err(StartError::setup)?;
    let playground = Playground::from_env().map_err(StartError::setup)?;
    let builder =
        Worker::builder(transport.clone(), names, config.worker.clone()).broker(&config.broker);
    let worker = register(builder, playground).build();
    let worker = worker.map_err(StartError::setup)?;
    let queues = prepare_queues(&*transport, &config, worker.queues());
    unless_asked_to_stop(queues).await?;
    let exit = worker.run().await;
    transport.close().await;
    if exit.code() != 0 {
        eprintln!("error: {exit}");
    }
    Ok(exit.code())
}
