//! `session`: groups of subtasks and how far they are.

mod abort;
mod list;
mod show;

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_toolbox::config::Needs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum SessionCommand {
    /// List sessions, newest first
    List(list::ListArgs),
    /// A session with its subtasks
    Show(show::ShowArgs),
    /// Start no subtask of a session any more, and ask those that run to stop; its finalizer runs then
    Abort(abort::AbortArgs),
}

pub(crate) async fn run(
    command: SessionCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    match command {
        SessionCommand::List(args) => list::run(args, &*store, output).await?,
        SessionCommand::Show(args) => show::run(&args, &config.sync, &*store, output).await?,
        SessionCommand::Abort(args) => abort::run(args, &*store, output).await?,
    }
    store.close().await;
    Ok(())
}
