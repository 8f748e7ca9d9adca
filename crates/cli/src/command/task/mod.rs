//! `task`: what became of tasks, and what people do about them.

mod delete;
mod filter;
mod history;
mod list;
mod log;
mod select;
mod show;
mod tree;

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::config::Needs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TaskCommand {
    /// List tasks, newest first
    ///
    /// ATTEMPT tells how the task got where it is, a number each: how often the platform sent it
    /// again, how many retries there were, how often the broker had delivered the last one before.
    List(list::ListArgs),
    /// Everything about one task
    Show(Id),
    /// What happened to a task, attempt by attempt
    ///
    /// ATTEMPT is three numbers: how often the platform sent the task again, how many retries there
    /// were, how often the broker had delivered this one before.
    History(Id),
    /// Lines that the task's handler wrote
    Log(Id),
    /// The family of a task: who scheduled whom
    Tree(tree::TreeArgs),
    /// Remove tasks that are over, with their results, histories and logs
    ///
    /// Without ids, all that match the filter; those that are not over are left out.
    Delete(select::Selection),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Id {
    /// Public id or task id
    id: String,
}

pub(crate) async fn run(
    command: TaskCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    if let TaskCommand::Delete(selection) = &command {
        selection.check()?;
    }
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    match command {
        TaskCommand::List(args) => list::run(args, &*store, output).await?,
        TaskCommand::Show(id) => show::run(&find(&*store, &id).await?, &*store, output).await?,
        TaskCommand::History(id) => {
            history::run(&find(&*store, &id).await?, &*store, output).await?;
        }
        TaskCommand::Log(id) => log::run(&find(&*store, &id).await?, &*store, output).await?,
        TaskCommand::Tree(args) => {
            let task = find(&*store, &args.id).await?;
            tree::run(&args, &task, &*store, output).await?;
        }
        TaskCommand::Delete(selection) => {
            let mut delete = delete::Delete { store: &*store };
            selection.run(&mut delete, &*store, output).await?;
        }
    }
    store.close().await;
    Ok(())
}

async fn find(store: &dyn Store, Id { id }: &Id) -> Result<TaskRow, Failure> {
    store.task(id).await?.ok_or_else(|| {
        Failure::failed(format!("no task has the id {id:?}"))
            .remedy("see `counterfoil task list`; the daemon must run for tasks to be mirrored")
    })
}
