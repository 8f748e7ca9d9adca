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
use counterfoil_store::{ScheduleRow, Store};
use counterfoil_sync::schedule::{Calendar, InvalidSchedule, task_now};
use counterfoil_toolbox::config::Needs;
use serde_json::json;
use std::sync::Arc;

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
    let done = match &command {
        ScheduleCommand::List | ScheduleCommand::Add(_) => list(&store, output).await,
        ScheduleCommand::Show(name) => show::run(&store, &name.name, output).await,
        ScheduleCommand::Remove(name) => remove(&store, &name.name, output).await,
        ScheduleCommand::Run(name) => run_now(&store, &name.name, output).await,
        ScheduleCommand::Pause(name) => pause(&store, &name.name, output).await,
        ScheduleCommand::Resume(name) => resume(&store, &name.name, output).await,
    };
    store.close().await;
    done
}

async fn list(store: &Arc<dyn Store>, output: &mut Output) -> Result<(), Failure> {
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

async fn remove(store: &Arc<dyn Store>, name: &str, output: &mut Output) -> Result<(), Failure> {
    match store.remove_schedule(name).await? {
        true => done(output, name, "removed", None),
        false => Err(unknown(name)),
    }
}

async fn run_now(store: &Arc<dyn Store>, name: &str, output: &mut Output) -> Result<(), Failure> {
    let row = find(store, name).await?;
    let draft = task_now(&row, Utc::now()).map_err(unreadable)?;
    store.put(&draft).await?;
    match output.is_json() {
        true => output.document(&json!({ "task_id": draft.id, "schedule": name })),
        false => output.line(&draft.id),
    }
}

async fn pause(store: &Arc<dyn Store>, name: &str, output: &mut Output) -> Result<(), Failure> {
    match store.enable_schedule(name, false, None).await? {
        true => done(output, name, "paused", None),
        false => Err(unknown(name)),
    }
}

async fn resume(store: &Arc<dyn Store>, name: &str, output: &mut Output) -> Result<(), Failure> {
    let row = find(store, name).await?;
    // Resumed twice, it must not lose a time that is due right now.
    if row.enabled {
        return done(output, name, "enabled", row.next_at);
    }
    let calendar = Calendar::new(&row.cron, &row.time_zone);
    let calendar = calendar.map_err(|error| unreadable(error.into()))?;
    let next = calendar.after(store.clock().await?);
    match store.enable_schedule(name, true, next).await? {
        true => done(output, name, "enabled", next),
        false => Err(unknown(name)),
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

async fn find(store: &Arc<dyn Store>, name: &str) -> Result<ScheduleRow, Failure> {
    let row = store.schedules(Some(name)).await?.pop();
    row.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    Failure::failed(format!("there is no schedule {name:?}"))
        .remedy("`counterfoil schedule list` shows those that there are")
}

fn unreadable(error: InvalidSchedule) -> Failure {
    Failure::new(crate::failure::Code::Usage, error)
}
