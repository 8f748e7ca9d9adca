//! What can be typed.

use crate::command::{
    audit::AuditArgs, dead::DeadCommand, demo::DemoArgs, doctor::DoctorArgs, new::NewArgs,
    outbox::OutboxCommand, parked::ParkedCommand, pause::PauseArgs, schedule::ScheduleCommand,
    send::SendArgs, session::SessionCommand, task::TaskCommand, topology::TopologyCommand,
    workers::WorkersArgs,
};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// A task framework over RabbitMQ: send tasks, and see what became of them.
#[derive(Debug, Parser)]
#[command(name = "counterfoil", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command, apart from a command's own.
const EVERYWHERE: &str = "Options of every command";

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Configuration file [default: counterfoil.toml in the working directory, if there is one]
    #[arg(long, value_name = "FILE", global = true, help_heading = EVERYWHERE)]
    pub(crate) config: Option<PathBuf>,
    /// Answer in JSON: one document; lists one document per line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole system at work: nothing to install, nothing left behind
    Demo(DemoArgs),
    /// Migrate the database, apply the topology, and wait until its queues are safe to use
    Init,
    /// Exchanges, queues and bindings at the broker
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// Send a task
    Send(Box<SendArgs>),
    /// Look at tasks, and act on them
    #[command(subcommand)]
    Task(TaskCommand),
    /// Tasks that are sent at fixed times
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Groups of tasks that end with one finalizer: how far they are
    #[command(subcommand)]
    Session(SessionCommand),
    /// How full queues are, and who consumes them
    Queues,
    /// Start nothing of a service any more; what runs may finish
    Pause(PauseArgs),
    /// Let a paused service go on
    Resume(PauseArgs),
    /// Tasks in the dead queue of a service: list them, run them again, throw them away
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Messages of transactions and of the platform itself that can never be sent
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Messages that the platform could not read
    #[command(subcommand)]
    Parked(ParkedCommand),
    /// Where a task is, what it waits for, and what to do about it
    ///
    /// Explains ids of sessions, too, and of tasks that are not sent yet or were deleted.
    #[command(
        override_usage = "counterfoil why <ID>\n       counterfoil why --name <TYPE> --identifier <I>"
    )]
    Why(crate::command::task::Id),
    /// Workers that were heard of
    Workers(WorkersArgs),
    /// Whether every task is accounted for: names those that are not
    ///
    /// Every id that is known anywhere must have a row, and every task that waits a message in a queue of its
    /// service. Nothing is changed, and no queue is disturbed.
    Audit(AuditArgs),
    /// Look at configuration, broker, topology and database, and say what to mend
    Doctor(DoctorArgs),
    /// Begin a worker of your own: tasks, handlers, tests, image, unit, checks
    ///
    /// Needs neither network, broker nor configuration. What it writes builds as it is, and passes its tests.
    New(NewArgs),
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
