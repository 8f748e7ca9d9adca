//! `task`: what became of tasks, and what people do about them.

mod cancel;
mod delete;
mod filter;
mod history;
mod hold;
mod list;
mod log;
mod rerun;
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
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TaskCommand {
    /// List tasks, newest first
    ///
    /// ID is the public id. On the wire, in logs and in what `send` prints, a task has another; commands take
    /// either.
    ///
    /// ATTEMPT tells how the task got where it is, a number each: how often the platform sent it
    /// again, how many retries there were, how often the broker had delivered the last one before.
    List(list::ListArgs),
    /// Everything about one task
    #[command(
        override_usage = "counterfoil task show <ID>\n       counterfoil task show --name <TYPE> --identifier <I>"
    )]
    Show(Id),
    /// What happened to a task, attempt by attempt
    ///
    /// ATTEMPT is three numbers: how often the platform sent the task again, how many retries there
    /// were, how often the broker had delivered this one before.
    #[command(
        override_usage = "counterfoil task history <ID>\n       counterfoil task history --name <TYPE> --identifier <I>"
    )]
    History(Id),
    /// Lines that the task's handler wrote
    #[command(
        override_usage = "counterfoil task log <ID>\n       counterfoil task log --name <TYPE> --identifier <I>"
    )]
    Log(Id),
    /// The family of a task: who scheduled whom
    #[command(
        override_usage = "counterfoil task tree <ID>\n       counterfoil task tree --name <TYPE> --identifier <I>"
    )]
    Tree(tree::TreeArgs),
    /// Cancel tasks: what has not been started never will be, what runs is asked to stop
    ///
    /// Without ids, all that match the filter; those that are over are left out.
    Cancel(cancel::CancelArgs),
    /// Keep tasks that have not been started from starting
    Pause(hold::HoldArgs),
    /// Let tasks start that were paused
    Resume(hold::HoldArgs),
    /// Remove tasks that are over, with their results, histories and logs
    ///
    /// Without ids, all that match the filter; those that are not over are left out. That needs `--yes`.
    Delete(delete::DeleteArgs),
    /// Run tasks that are over again, from the messages that the platform keeps
    ///
    /// Each is a new run of the same task, without retries behind it. Messages of earlier runs that lie
    /// in dead queues are taken out. Without ids, all that match the filter; those that are not over
    /// are left out.
    Rerun(rerun::RerunArgs),
}

/// One task, by its id or by its identity.
#[derive(Debug, clap::Args)]
pub(crate) struct Id {
    /// Public id or task id
    #[arg(required_unless_present_any = ["name", "identifier"])]
    id: Option<String>,
    /// Instead of an id: the task of this type with that identifier, if one lives; else the last one
    #[arg(
        long,
        value_name = "TYPE",
        alias = "type",
        requires = "identifier",
        conflicts_with = "id"
    )]
    name: Option<String>,
    /// See --name
    #[arg(long, value_name = "I", requires = "name", conflicts_with = "id")]
    identifier: Option<String>,
}

pub(crate) async fn run(
    command: TaskCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    check(&command)?;
    let needs = match &command {
        TaskCommand::Rerun(_) => Needs::BOTH,
        TaskCommand::List(_)
        | TaskCommand::Show(_)
        | TaskCommand::History(_)
        | TaskCommand::Log(_)
        | TaskCommand::Tree(_)
        | TaskCommand::Cancel(_)
        | TaskCommand::Pause(_)
        | TaskCommand::Resume(_)
        | TaskCommand::Delete(_) => Needs::DATABASE,
    };
    let config = open::config(global, needs)?;
    let store = open::database(&config).await?;
    match command {
        TaskCommand::List(args) => {
            list::run(args, &*store, &config, output).await?;
        }
        TaskCommand::Show(id) => show::run(&find(&*store, &id).await?, &*store, output).await?,
        TaskCommand::History(id) => {
            history::run(&find(&*store, &id).await?, &*store, output).await?;
        }
        TaskCommand::Log(id) => log::run(&find(&*store, &id).await?, &*store, output).await?,
        TaskCommand::Tree(args) => {
            let task = find(&*store, &args.id).await?;
            tree::run(&args, &task, &*store, output).await?;
        }
        TaskCommand::Cancel(args) => cancel::run(args, &config, &*store, output).await?,
        TaskCommand::Pause(args) => hold::pause(args, &*store, output).await?,
        TaskCommand::Resume(args) => hold::resume(args, &*store, output).await?,
        TaskCommand::Delete(args) => delete::run(args, &config, &*store, output).await?,
        TaskCommand::Rerun(args) => {
            let platform = open::platform_with(Arc::clone(&store), &config).await?;
            rerun::run(args, &platform, output).await?;
        }
    }
    store.close().await;
    Ok(())
}

/// Refuses what chooses nothing, before anything is opened.
fn check(command: &TaskCommand) -> Result<(), Failure> {
    match command {
        TaskCommand::Cancel(args) => args.selection.check(),
        TaskCommand::Rerun(args) => args.selection.check(),
        TaskCommand::Pause(args) | TaskCommand::Resume(args) => args.selection.check(),
        TaskCommand::Delete(args) => args.check(),
        TaskCommand::List(_)
        | TaskCommand::Show(_)
        | TaskCommand::History(_)
        | TaskCommand::Log(_)
        | TaskCommand::Tree(_) => Ok(()),
    }
}

impl Id {
    /// The id, as it was typed; `None`: the task was named by its identity.
    pub(crate) fn text(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// How long a task that was sent a moment ago may take to be mirrored, and how often it is looked for.
const MIRRORED: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(100);

/// The task with this id, if it comes within a moment: whoever sends one may ask for it right away.
pub(crate) async fn soon(store: &dyn Store, id: &str) -> Result<Option<TaskRow>, Failure> {
    let until = Instant::now() + MIRRORED;
    loop {
        let row = store.task(id).await?;
        if row.is_some() || Instant::now() >= until {
            return Ok(row);
        }
        sleep(LOOK).await;
    }
}

/// The task that was asked for.
///
/// # Errors
/// When there is none, or the database does not answer.
pub(crate) async fn find(store: &dyn Store, wanted: &Id) -> Result<TaskRow, Failure> {
    let (row, what) = match wanted {
        Id {
            name: Some(name),
            identifier: Some(identifier),
            ..
        } => {
            let row = store.task_with_identity(name, identifier).await?;
            (
                row,
                format!("no task {name} has the identifier {identifier:?}"),
            )
        }
        Id { id, .. } => {
            let id = id.as_deref().unwrap_or_default();
            let row = soon(store, id).await?;
            (row, format!("no task has the id {id:?}"))
        }
    };
    row.ok_or_else(|| {
        Failure::failed(what)
            .remedy("`counterfoil why ID` tells more, `counterfoil task list` which there are; the daemon must run for tasks to be mirrored")
    })
}
