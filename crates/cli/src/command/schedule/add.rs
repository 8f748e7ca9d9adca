//! `schedule add`.

use super::done;
use crate::args::Global;
use crate::command::send;
use crate::failure::{Code, Failure};
use crate::known::warn_if_unknown;
use crate::open;
use crate::output::Output;
use crate::when;
use counterfoil_store::{CatchUp, ScheduleRow};
use counterfoil_sync::schedule::{Calendar, task_now};
use counterfoil_toolbox::Priority;
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::names::TaskName;
use std::time::Duration;

/// Characters of a name at most.
const LONGEST_NAME: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Name of the schedule
    #[arg(value_parser = name)]
    name: String,
    /// When it fires: minute, hour, day of the month, month and day of the week, or @hourly, @daily,
    /// @weekly, @monthly, @yearly
    cron: String,
    /// Name of the task, for example export.project
    task: TaskName,
    /// Arguments by keyword: a JSON object
    #[arg(value_name = "KWARGS")]
    kwargs: Option<String>,
    /// Arguments by position: a JSON array
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Time zone in which the times are meant, for example Europe/Zurich
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// Send each task up to so much later than its time, by chance: 30s, 5m
    #[arg(long, value_name = "DURATION", value_parser = when::duration, default_value = "0s")]
    jitter: Duration,
    /// What to do about times that passed while no daemon ran: skip them, once for the last of them, or
    /// all, but at most the last hundred. A time is not missed within a minute after it
    #[arg(long, value_name = "POLICY", default_value_t)]
    catch_up: CatchUp,
    /// Do not run a task so long after its time or later
    #[arg(long, value_name = "DURATION", value_parser = when::duration)]
    expires_after: Option<Duration>,
    /// high, normal or low: the class of its tasks
    #[arg(long, value_name = "CLASS", default_value_t)]
    priority: Priority,
    /// Who wants the tasks
    #[arg(long)]
    creator: Option<String>,
    /// Do not check the arguments against the task's schema
    #[arg(long)]
    unvalidated: bool,
}

pub(super) async fn run(
    args: AddArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let calendar =
        Calendar::new(&args.cron, &args.zone).map_err(|error| Failure::new(Code::Usage, error))?;
    let (positional, keyword) = send::arguments(
        &config,
        &args.task,
        args.args.as_deref(),
        args.kwargs.as_deref(),
        args.unvalidated,
    )
    .await?;
    let store = open::database(&config).await?;
    let now = store.clock().await?;
    let row = ScheduleRow {
        next_at: calendar.after(now),
        name: args.name,
        cron: args.cron,
        time_zone: args.zone,
        task: args.task.to_string(),
        args: positional,
        kwargs: keyword,
        priority: args.priority.to_string(),
        creator_id: args.creator,
        expires_ms: args.expires_after.map(millis),
        jitter_ms: millis(args.jitter),
        catch_up: args.catch_up,
        enabled: true,
        last_at: None,
    };
    task_now(&row, now)?;
    warn_if_unknown(
        &*store,
        &config,
        args.task.service(),
        ". Its tasks wait until somebody owns it",
    )
    .await?;
    let added = store.add_schedule(&row).await;
    store.close().await;
    match added? {
        true => done(output, &row.name, "added", row.next_at),
        false => Err(
            Failure::failed(format!("there is a schedule {:?} already", row.name))
                .remedy("remove it first, or choose another name"),
        ),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A name that fits everywhere: lists, keys, logs.
fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    let is_good = !text.trim().is_empty() && text.trim() == text && text.chars().all(is_plain);
    match is_good && text.chars().count() <= LONGEST_NAME {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a name has 1 to {LONGEST_NAME} letters, digits, dots, hyphens, underscores and spaces"
        )),
    }
}
