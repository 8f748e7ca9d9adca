//! The worker as a program: configuration, broker, handlers. It runs until SIGTERM, then drains.

use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::start::{self, StartError, prepare_queues, unless_asked_to_stop};
use counterfoil_toolbox::telemetry::{init_logs_with, prometheus};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_worker::{Level, Worker, task_log};

use abacus_worker::handlers::register;
use abacus_worker::settings::Settings;

/// Tasks are made on one thread and dropped on another, many times a second, which glibc is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::args_os().len() > 1 {
        // What it does is configured; an argument is somebody's question or mistake.
        eprintln!(
            "It takes no arguments: see counterfoil.toml, and variables such as COUNTERFOIL_BROKER__URL."
        );
        std::process::exit(2);
    }
    start::main(run)
}

async fn run() -> Result<i32, StartError> {
    // counterfoil.toml, then variables such as COUNTERFOIL_BROKER__URL.
    let config = Config::load(LoadOptions::from_process(Role::Worker))?;
    // What handlers log is kept with their tasks.
    init_logs_with(&config.telemetry, task_log(Level::INFO))?;
    // What is not counterfoil's business is configured as you like.
    let settings = Settings::load(|name| std::env::var_os(name)).map_err(StartError::setup)?;
    let names = config.broker.names()?;
    let transport = AmqpTransport::new(&config.broker).map_err(StartError::setup)?;

    // Before the worker is built: what is made earlier is not counted.
    let metrics = prometheus::serve(&*transport, config.worker.metrics_bind.as_deref()).await;
    let _metrics = metrics.map_err(StartError::setup)?;

    let worker = Worker::builder(transport.clone(), names, config.worker.clone())
        .broker(&config.broker)
        .version(env!("CARGO_PKG_VERSION"));
    let worker = register(worker, settings).build();
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
