//! `counterfoil-demo-worker`: the worker of the playground, as a program.
//!
//! Exit codes: 0 drained, 1 failed, 69 the broker refused for good, 78 configuration or topology,
//! 130 stopped by a second signal.

use clap::Parser;
use counterfoil_demo::{DemoError, Playground, register};
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::ensure_big_stack;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::start::{StartError, asked_to_stop, prepare_queues};
use counterfoil_toolbox::telemetry::init_logs;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Transport, TransportError};
use counterfoil_worker::{Exit, Worker};
use std::path::PathBuf;

/// Runs the demo tasks: services demo, export and harvest, unless [worker] queues says otherwise.
#[derive(Debug, Parser)]
#[command(name = "counterfoil-demo-worker", version)]
struct Arguments {
    /// Configuration file. Default: counterfoil.toml in the working directory, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why the worker did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("broker.url or broker.ca_file cannot be used")]
    Transport(#[source] TransportError),
    #[error("no threads could be started")]
    Threads(#[source] std::io::Error),
}

impl Failure {
    fn code(&self) -> i32 {
        match self {
            Self::Start(error) => error.code(),
            Self::Demo(_) | Self::Transport(_) => 78,
            Self::Threads(_) => 1,
        }
    }
}

fn main() {
    if let Err(error) = ensure_big_stack() {
        eprintln!("warning: hostile messages can end this process: {error}");
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Threads);
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(run(arguments));
        // Blocking handlers that were given up must not hold up the end.
        runtime.shutdown_background();
        ended
    });
    std::process::exit(match ended {
        Ok(exit) => exit.code(),
        Err(failure) => {
            eprintln!("error: {}", ErrorChain(&failure));
            failure.code()
        }
    })
}

fn configure(arguments: Arguments) -> Result<(Config, Names), StartError> {
    let options = LoadOptions::from_process(Role::Worker).file(arguments.config);
    let config = Config::load(options)?;
    init_logs(&config.telemetry)?;
    let names = config.broker.names()?;
    Ok((config, names))
}

async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let (config, names) = configure(arguments)?;
    let transport = AmqpTransport::new(&config.broker).map_err(Failure::Transport)?;
    let builder = Worker::builder(transport.clone(), names, config.worker.clone())
        .consumer_timeout(config.broker.consumer_timeout);
    let worker = register(builder, Playground::from_env()?).build();
    let worker = worker.map_err(DemoError::from)?;
    let exit = tokio::select! {
        ready = prepare_queues(&*transport, &config, worker.queues()) => {
            ready?;
            worker.run().await
        }
        () = asked_to_stop() => Exit::Drained,
    };
    transport.close().await;
    if let Exit::Refused { queue, reason } = &exit {
        eprintln!("error: queue {queue} cannot be consumed: {reason}");
    }
    Ok(exit)
}
