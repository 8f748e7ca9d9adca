//! `counterfoil-sync`: mirrors every task into the platform database, until it is told to stop.

mod systemd;

use anyhow::Context;
use clap::Parser;
use counterfoil_store::{Store, StoreOptions};
use counterfoil_sync::{Daemon, SyncError};
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::ensure_big_stack;
use counterfoil_toolbox::start::systemd::{starting, stopping};
use counterfoil_toolbox::telemetry::{self, prometheus};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Configuration or topology is wrong.
const CONFIGURATION: u8 = 78;

/// A second signal: what was in hand is left to the broker.
const INTERRUPTED: i32 = 130;

/// How long connections may take to close at the end.
const CLOSING: Duration = Duration::from_secs(5);

/// Mirrors every task into the platform database.
///
/// Reads the platform's queues, writes the database, and looks after tasks that no service owns.
/// Any number of daemons may run. SIGTERM writes what is in hand and ends with 0; a second signal
/// ends at once with 130. Other ends: 1 failed, 69 broker or database refused for good,
/// 78 configuration or topology.
#[derive(Debug, Parser)]
#[command(name = "counterfoil-sync", version)]
struct Arguments {
    /// Configuration file. Default: counterfoil.toml in the working directory, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Tasks are made on one thread and dropped on another, many times a second, which glibc is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything has a thread: only new threads get the bigger stack.
    let stack = ensure_big_stack();
    let arguments = Arguments::parse();
    let config = match configure(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("counterfoil-sync: {error:#}");
            return CONFIGURATION.into();
        }
    };
    if let Err(error) = stack {
        tracing::warn!(%error, "the stack stays small: a hostile header could end this process");
    }
    let ended = run(&config);
    telemetry::end();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the daemon cannot go on");
            exit_code(&error)
        }
    }
}

/// Everything that can be wrong before anything is connected.
fn configure(arguments: &Arguments) -> anyhow::Result<Config> {
    let options = LoadOptions::from_process(Role::Daemon).file(arguments.config.clone());
    let config = Config::load(options)?;
    telemetry::init_logs(&config.telemetry)?;
    if let Some(file) = config.require_database()?.missing_file() {
        let file = file.display();
        anyhow::bail!("there is no database {file}: run `counterfoil init` first");
    }
    Ok(config)
}

fn run(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("no threads could be started")?;
    runtime.block_on(serve(config))
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let names = config.broker.names()?;
    let options = StoreOptions::from(config.require_database()?);
    if config.sync.health_bind.is_some() {
        // Before the daemon is made: what it counts is heard from then on.
        prometheus::install()?;
    }
    let starting = starting("opening the database");
    let store = counterfoil_store::open(&options)
        .await
        .map_err(SyncError::DatabaseAtStart)?;
    let transport = AmqpTransport::new(&config.broker).map_err(SyncError::Broker)?;
    let daemon = Daemon::new(
        Arc::clone(&transport) as Arc<dyn Transport>,
        names,
        Arc::clone(&store),
        config.sync.clone(),
    )
    .queue_settings(config.broker.queue_settings);
    let signals = Signals::listen().context("signals cannot be heard")?;
    let notifier = systemd::notify(daemon.health());
    drop(starting);
    let signalled = async {
        signals.first().await;
        stopping();
    };
    let ended = daemon.run_until(signalled).await;
    drop(notifier);
    close(&*transport, &*store).await;
    ended?;
    tracing::info!("the daemon has ended");
    Ok(())
}

async fn close(transport: &dyn Transport, store: &dyn Store) {
    let closing = async { tokio::join!(transport.close(), store.close()) };
    if tokio::time::timeout(CLOSING, closing).await.is_err() {
        tracing::warn!("connections were not closed in time");
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first signal. The second one ends the process.
    async fn first(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("second signal: what is in hand stays with the broker");
            std::process::exit(INTERRUPTED);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<SyncError>() {
        Some(error) => error.exit_code().into(),
        None => ExitCode::FAILURE,
    }
}
