//! `counterfoil-demo-producer`: an application that opens a session of additions, and ends.
//!
//! It prints the id of the session before it sends anything. Exit codes: 0 all of it was sent, 1 not all, 78
//! configuration.

use clap::Parser;
use counterfoil_demo::tasks::{Add, FinalizeHarvest};
use counterfoil_toolbox::Producer;
use counterfoil_toolbox::config::{Config, LoadOptions, Role};
use counterfoil_toolbox::producer::SendError;
use counterfoil_toolbox::session::{Session, SessionSummary};
use counterfoil_toolbox::start::{self, StartError};
use counterfoil_toolbox::telemetry::init_logs;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use std::path::PathBuf;
use std::time::Duration;

/// Opens a session of additions.
#[derive(Debug, Parser)]
#[command(name = "counterfoil-demo-producer", version)]
struct Arguments {
    /// How many additions.
    subtasks: i32,
    /// How long each may take, and no longer all of them. Default: as the daemon's settings say
    #[arg(long, value_name = "MILLISECONDS")]
    each: Option<u64>,
    /// Configuration file. Default: counterfoil.toml in the working directory, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() {
    start::main(run)
}

async fn run() -> Result<i32, StartError> {
    let arguments = Arguments::parse();
    let config = LoadOptions::from_process(Role::Producer).file(arguments.config.clone());
    let config = Config::load(config)?;
    init_logs(&config.telemetry)?;
    let transport = AmqpTransport::new(&config.broker).map_err(StartError::setup)?;
    let producer = Producer::new(transport.clone(), config.broker.names()?);
    let session = session(&arguments).map_err(StartError::setup)?;
    #[expect(clippy::print_stdout, reason = "the id is what this program answers")]
    {
        println!("{}", session.id());
    }
    let code = match producer.start_session(session).await {
        Ok(started) => {
            started
                .unsent
                .iter()
                .for_each(|(id, error)| eprintln!("{id}: {error}"));
            i32::from(!started.unsent.is_empty())
        }
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    };
    transport.close().await;
    Ok(code)
}

fn session(arguments: &Arguments) -> Result<Session, SendError> {
    let finalizer = FinalizeHarvest {
        session: SessionSummary::default(),
    };
    let mut session = Session::new("additions", finalizer)?;
    if let Some(each) = arguments.each {
        let each = Duration::from_millis(each);
        session = session.estimated(each).buffer(Duration::ZERO);
    }
    session.subtasks((0..arguments.subtasks).map(|n| Add { x: n.into(), y: 1 }))
}
