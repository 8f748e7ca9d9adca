//! The task that a schedule sends.

use super::InvalidCalendar;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use counterfoil_store::ScheduleRow;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{Draft, RawTask, SendError, SendOptions};
use counterfoil_toolbox::text::InvalidText;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Name space of the ids of tasks that schedules send.
const TASKS: Uuid = Uuid::from_u128(0x2f7a_90c3_8a1d_4c55_b7e4_61f0_3d9b_5a18);

/// A schedule that cannot fire.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// Its times.
    #[error(transparent)]
    Calendar(#[from] InvalidCalendar),
    /// The name of its task.
    #[error("type {task:?} is no name of a task")]
    Task {
        /// As it was written.
        task: String,
        /// What is wrong with it.
        source: InvalidText,
    },
    /// The task's arguments.
    #[error("{field} cannot be read as {wanted}")]
    Arguments {
        /// `args` or `kwargs`.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The task's class.
    #[error("priority {priority:?} is none of high, normal and low")]
    Priority {
        /// As it was written.
        priority: String,
    },
    /// The task as a whole.
    #[error(transparent)]
    Draft(#[from] SendError),
}

/// The task that the schedule would send, as one of its own that is due at once.
///
/// # Errors
/// [`InvalidSchedule`] names what cannot be read.
pub fn task_now(row: &ScheduleRow, now: DateTime<Utc>) -> Result<Draft, InvalidSchedule> {
    let options = options(row, now)?;
    Ok(Draft::new(task(row)?, options, now)?)
}

/// The task for one of its times, and its key in the outbox. Both are the same whoever makes them, and
/// whenever.
pub(super) fn task_at(
    row: &ScheduleRow,
    tick: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(String, Draft), InvalidSchedule> {
    let time = tick.to_rfc3339_opts(SecondsFormat::Secs, true);
    let key = format!("schedule:{}:{time}", row.name);
    let [a, b, c, d, e, f, random @ ..] = Uuid::new_v5(&TASKS, key.as_bytes()).into_bytes();
    // Ids that begin with the time of the task lie together in every index.
    let millis = u64::try_from(tick.timestamp_millis()).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    let id = TaskId::new(&id.to_string()).expect("an id of ours");
    let mut options = options(row, tick)?.id(id);
    if let Ok(jitter @ 1..) = u64::try_from(row.jitter_ms) {
        let chance = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let later = i64::try_from(chance % jitter).unwrap_or(0);
        options = options.eta(tick + TimeDelta::milliseconds(later));
    }
    Ok((key, Draft::new(task(row)?, options, now)?))
}

fn task(row: &ScheduleRow) -> Result<RawTask, InvalidSchedule> {
    let fault = |field, wanted| {
        move |source| InvalidSchedule::Arguments {
            field,
            wanted,
            source,
        }
    };
    serde_json::from_str::<Vec<Value>>(&row.args).map_err(fault("args", "a JSON array"))?;
    serde_json::from_str::<Map<String, Value>>(&row.kwargs)
        .map_err(fault("kwargs", "a JSON object"))?;
    Ok(RawTask {
        name: TaskName::new(&row.task).map_err(|source| InvalidSchedule::Task {
            task: row.task.clone(),
            source,
        })?,
        args: row.args.clone(),
        kwargs: row.kwargs.clone(),
    })
}

/// What there is to say of a task whose time is `tick`.
fn options(row: &ScheduleRow, tick: DateTime<Utc>) -> Result<SendOptions, InvalidSchedule> {
    let priority = row.priority.parse();
    let mut options =
        SendOptions::new().priority(priority.map_err(|_| InvalidSchedule::Priority {
            priority: row.priority.clone(),
        })?);
    if let Some(creator) = &row.creator_id {
        options = options.creator(creator);
    }
    let expires = row.expires_ms.and_then(TimeDelta::try_milliseconds);
    if let Some(expires) = expires.and_then(|after| tick.checked_add_signed(after)) {
        options = options.expires(expires);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::CatchUp;
    use counterfoil_toolbox::message::TaskMessage;

    fn row() -> ScheduleRow {
        ScheduleRow {
            name: "nightly".to_owned(),
            cron: "@daily".to_owned(),
            time_zone: "UTC".to_owned(),
            task: "demo.add".to_owned(),
            args: "[1, 2]".to_owned(),
            kwargs: "{}".to_owned(),
            priority: "low".to_owned(),
            creator_id: Some("ann".to_owned()),
            expires_ms: Some(60_000),
            jitter_ms: 0,
            catch_up: CatchUp::Skip,
            enabled: true,
            next_at: None,
            last_at: None,
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn a_time_makes_the_same_task_whoever_fires_it() {
        let tick = at("2026-05-01T00:00:00Z");
        let (key, draft) = task_at(&row(), tick, at("2026-05-01T00:00:01Z")).expect("a task");
        let (again, same) = task_at(&row(), tick, at("2026-05-01T07:00:00Z")).expect("a task");
        assert_eq!((&key, &draft.id), (&again, &same.id));
        assert_eq!(key, "schedule:nightly:2026-05-01T00:00:00Z");
        assert_eq!(draft.due, None);
        assert_eq!(draft.routing_key.as_str(), "demo~low.add");
        let read = TaskMessage::decode(&draft.content).expect("a task");
        assert_eq!(read.envelope.expires, Some(at("2026-05-01T00:01:00Z")));
        assert_eq!(read.envelope.creator_id.as_deref(), Some("ann"));
        let (_, other) = task_at(&row(), at("2026-05-02T00:00:00Z"), tick).expect("a task");
        assert_ne!(draft.id, other.id);
        let mut renamed = row();
        renamed.name = "weekly".to_owned();
        let (_, other) = task_at(&renamed, tick, tick).expect("a task");
        assert_ne!(draft.id, other.id);
    }

    #[test]
    fn jitter_puts_each_time_off_by_its_own_bit() {
        let mut row = row();
        row.jitter_ms = 30_000;
        let mut offsets: Vec<_> = (1..20)
            .map(|day| {
                let tick = at(&format!("2026-05-{day:02}T00:00:00Z"));
                let (_, draft) = task_at(&row, tick, tick).expect("a task");
                (draft.due.expect("put off") - tick).num_milliseconds()
            })
            .collect();
        assert!(offsets.iter().all(|offset| (0..30_000).contains(offset)));
        offsets.sort_unstable();
        offsets.dedup();
        assert!(offsets.len() > 15, "{offsets:?}");
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let broken = |change: fn(&mut ScheduleRow)| {
            let mut row = row();
            change(&mut row);
            let error = task_now(&row, at("2026-05-01T00:00:00Z")).expect_err("refused");
            error.to_string()
        };
        assert!(broken(|row| row.task = "de mo".to_owned()).contains("type \"de mo\""));
        assert!(broken(|row| row.args = "{}".to_owned()).contains("args"));
        assert!(broken(|row| row.kwargs = "[".to_owned()).contains("kwargs"));
        assert!(broken(|row| row.priority = "urgent".to_owned()).contains("\"urgent\""));
    }
}
