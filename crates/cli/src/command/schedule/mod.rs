//! `schedule`: tasks that are sent at fixed times.

mod add;
mod show;

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, words};
use crate::when::shown;
use add::AddArgs;
use chrono::{DateTime, Utc};
use counterfoil_operations::schedules;
use counterfoil_store::{ScheduleRow, Store};
use counterfoil_toolbox::config::Needs;
use serde_json::json;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Which there are, and when they fire next
    List,
    /// Show one, with the arguments of its task
    Show(Name),
    /// Add one
    Add(Box<AddArgs>),
    /// Remove one; what it has sent stays
    Remove(Name),
    /// Send its task now, beside its times, whether it is paused or not
    Run(Name),
    /// Let it send nothing until it is resumed
    Pause(Name),
    /// Let it go on with its next time; those that passed meanwhile are not made up for
    Resume(Name),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Name {
    /// Name of the schedule
    name: String,
}

pub(crate) async fn run(
    command: ScheduleCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    if let ScheduleCommand::Add(args) = command {
        return add::run(*args, global, output).await;
    }
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    let outcome = match &command {
        ScheduleCommand::List | ScheduleCommand::Add(_) => list(&*store, output).await,
        ScheduleCommand::Show(Name { name }) => show::run(&*store, name, output).await,
        ScheduleCommand::Remove(Name { name }) => match schedules::remove(&*store, name).await {
            Ok(()) => done(output, name, "removed", None),
            Err(error) => Err(error.into()),
        },
        ScheduleCommand::Run(Name { name }) => run_now(&*store, name, output).await,
        ScheduleCommand::Pause(Name { name }) => match schedules::pause(&*store, name).await {
            Ok(()) => done(output, name, "paused", None),
            Err(error) => Err(error.into()),
        },
        ScheduleCommand::Resume(Name { name }) => match schedules::resume(&*store, name).await {
            Ok(next) => done(output, name, "enabled", next),
            Err(error) => Err(error.into()),
        },
    };
    store.close().await;
    outcome
}

async fn list(store: &dyn Store, output: &mut Output) -> Result<(), Failure> {
    let rows = store.schedules(None).await?;
    let columns = [
        words("SCHEDULE"),
        words("CRON"),
        words("ZONE"),
        words("TASK"),
        words("CATCH UP"),
        words("NEXT"),
        words("LAST"),
    ];
    output.list(&rows, &columns, |row| {
        vec![
            row.name.clone(),
            row.cron.clone(),
            row.time_zone.clone(),
            row.task.clone(),
            row.catch_up.to_string(),
            next(row),
            time(row.last_at),
        ]
    })
}

/// When it fires next.
fn next(row: &ScheduleRow) -> String {
    match row.enabled {
        true => time(row.next_at),
        false => "paused".to_owned(),
    }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(String::new, shown)
}

async fn run_now(store: &dyn Store, name: &str, output: &mut Output) -> Result<(), Failure> {
    let id = schedules::run_now(store, name).await?;
    match output.is_json() {
        true => output.document(&json!({ "task_id": id, "schedule": name })),
        false => output.line(&id),
    }
}

/// Says what was done, and when the schedule fires next.
fn done(
    output: &mut Output,
    name: &str,
    what: &str,
    next: Option<DateTime<Utc>>,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.document(&json!({ "schedule": name, "done": what, "next_at": next }));
    }
    match next {
        Some(_) => output.line(format_args!(
            "schedule {name} is {what}; it fires next at {}",
            time(next)
        )),
        None => output.line(format_args!("schedule {name} is {what}")),
    }
}
