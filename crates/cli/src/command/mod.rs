//! The commands, one file each.

pub(crate) mod audit;
pub(crate) mod dead;
pub(crate) mod demo;
pub(crate) mod doctor;
mod init;
pub(crate) mod new;
pub(crate) mod outbox;
pub(crate) mod parked;
pub(crate) mod pause;
mod queues;
pub(crate) mod schedule;
pub(crate) mod send;
pub(crate) mod session;
pub(crate) mod task;
pub(crate) mod topology;
pub(crate) mod why;
pub(crate) mod workers;

use crate::args::{Command, Global};
use crate::failure::Failure;
use crate::output::Output;
use counterfoil_operations::services::Wanted;

/// Runs one command.
pub(crate) async fn run(
    command: Command,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args, global, output).await,
        Command::Init => init::run(global, output).await,
        Command::Topology(command) => topology::run(command, global, output).await,
        Command::Send(args) => send::run(*args, global, output).await,
        Command::Task(command) => task::run(command, global, output).await,
        Command::Schedule(command) => schedule::run(command, global, output).await,
        Command::Session(command) => session::run(command, global, output).await,
        Command::Queues => queues::run(global, output).await,
        Command::Dead(command) => dead::run(command, global, output).await,
        Command::Outbox(command) => outbox::run(command, global, output).await,
        Command::Parked(command) => parked::run(command, global, output).await,
        Command::Pause(args) => pause::run(args, Wanted::Paused, global, output).await,
        Command::Resume(args) => pause::run(args, Wanted::Resumed, global, output).await,
        Command::Why(id) => why::run(&id, global, output).await,
        Command::Workers(args) => workers::run(args, global, output).await,
        Command::Audit(args) => audit::run(args, global, output).await,
        Command::Doctor(args) => doctor::run(args, global, output).await,
        Command::New(args) => new::run(&args, output),
    }
}
