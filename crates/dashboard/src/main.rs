//! `counterfoil-dashboard`: the dashboard, until it is told to stop.

use anyhow::Context;
use clap::{Parser, Subcommand};
use counterfoil_dashboard::{Dashboard, NewToken, hash_password, new_token};
use counterfoil_store::StoreOptions;
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::ensure_big_stack;
use counterfoil_toolbox::start::asked_to_stop;
use counterfoil_toolbox::telemetry::{self, prometheus};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Configuration is wrong.
const CONFIGURATION: u8 = 78;

/// A second signal: what was being answered is given up.
const INTERRUPTED: u8 = 130;

/// How long connections may take to close at the end.
const CLOSING: Duration = Duration::from_secs(5);

/// Shows in browsers what is in the platform's database and at its broker, and answers a JSON API.
///
/// Without users, tokens or a proxy in `[dashboard]` it listens on this machine alone, and everybody here may
/// do everything. SIGTERM ends it with 0, a second signal at once with 130. Other ends: 1 failed, 78 configuration.
#[derive(Debug, Parser)]
#[command(name = "counterfoil-dashboard", version)]
struct Arguments {
    /// Configuration file. Default: counterfoil.toml in the working directory, if there is one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a password from standard input and print its hash, for `dashboard.users.<name>.password_hash`
    HashPassword,
    /// Make a token, print it, and print its digest for `dashboard.tokens.<name>.digest`
    NewToken,
}

/// Pages are made on one thread and dropped on another, which glibc is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::HashPassword) => print_hash(),
        Some(Command::NewToken) => {
            print_token();
            Ok(())
        }
        None => return serve(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counterfoil-dashboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_hash() -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin()
        .read_to_string(&mut password)
        .context("the password could not be read")?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    say(&hash_password(&password.into())?);
    Ok(())
}

fn print_token() {
    let NewToken { token, digest } = new_token();
    say(&format!("token  {token}\ndigest {digest}"));
}

#[allow(clippy::print_stdout, reason = "it is what was asked for")]
fn say(text: &str) {
    println!("{text}");
}

fn serve(arguments: Arguments) -> ExitCode {
    // Before anything has a thread: only new threads get the bigger stack.
    let stack = ensure_big_stack();
    let config = match configure(arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("counterfoil-dashboard: {error:#}");
            return CONFIGURATION.into();
        }
    };
    if let Err(error) = stack {
        tracing::warn!(%error, "the stack stays small: a hostile header could end this process");
    }
    let runtime = tokio::runtime::Runtime::new().context("no threads could be started");
    let ended = runtime.and_then(|runtime| runtime.block_on(answer(&config)));
    telemetry::end();
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::AtOnce) => INTERRUPTED.into(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the dashboard cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// How it ended, where nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    AtOnce,
}

/// Everything that can be wrong before anything is opened.
fn configure(arguments: Arguments) -> anyhow::Result<Config> {
    let options = LoadOptions::from_process(Role::Dashboard).file(arguments.config);
    let config = Config::load(options)?;
    telemetry::init_logs(&config.telemetry)?;
    if let Some(file) = config.require_database()?.missing_file() {
        let file = file.display();
        anyhow::bail!("there is no database {file}: run `counterfoil init` first");
    }
    Ok(config)
}

async fn answer(config: &Config) -> anyhow::Result<Ended> {
    let options = StoreOptions::from(config.require_database()?);
    // Before anything is made that counts: what it counts is heard from then on.
    prometheus::install()?;
    let store = counterfoil_store::open(&options).await?;
    let transport = AmqpTransport::new(&config.broker)?;
    let broker = Arc::clone(&transport) as Arc<dyn Transport>;
    let dashboard = Dashboard::new(Arc::clone(&store), broker, config)?;
    let bind = &config.dashboard.bind;
    let listener = TcpListener::bind(bind)
        .await
        .with_context(|| format!("dashboard.bind: {bind} cannot be listened at"))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "the dashboard answers");
    }
    let stop = CancellationToken::new();
    let asked_twice = async {
        asked_to_stop().await;
        stop.cancel();
        asked_to_stop().await;
    };
    let ended = tokio::select! {
        () = dashboard.serve(listener, stop.clone()) => Ended::Well,
        () = asked_twice => Ended::AtOnce,
    };
    let closing = async { tokio::join!(transport.close(), store.close()) };
    if ended == Ended::Well && tokio::time::timeout(CLOSING, closing).await.is_err() {
        tracing::warn!("connections were not closed in time");
    }
    Ok(ended)
}
