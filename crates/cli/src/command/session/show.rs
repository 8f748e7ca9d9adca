//! `session show`

use crate::failure::Failure;
use crate::output::{MOST_SHOWN, Output, numbers, words};
use crate::text::short;
use crate::when::shown;
use chrono::{DateTime, Utc};
use counterfoil_operations::sessions::find;
use counterfoil_operations::why::discarded;
use counterfoil_store::{SessionRow, Store, SubtaskRow};
use counterfoil_toolbox::SessionId;
use counterfoil_toolbox::config::SyncSettings;
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Id of the session
    id: SessionId,
    /// Only subtasks that are not over
    #[arg(long)]
    unfinished: bool,
    /// At most so many subtasks, up to 10,000
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    session: &'a SessionRow,
    /// Subtasks that are over.
    attempted: i32,
    /// The same in percent.
    progress: i32,
    /// When its time is over; for one that is not.
    deadline: Option<DateTime<Utc>>,
    /// Subtasks of which the platform saw no message: most were not sent.
    never_seen: i64,
    subtasks: &'a [SubtaskRow],
}

pub(super) async fn run(
    args: &ShowArgs,
    settings: &SyncSettings,
    store: &dyn Store,
    output: &mut Output,
) -> Result<(), Failure> {
    let session = find(store, &args.id).await?;
    let limit = usize::try_from(args.limit).map_or(MOST_SHOWN, |limit| limit.clamp(1, MOST_SHOWN));
    let one_more = args.limit.saturating_add(1);
    let mut subtasks = match args.unfinished {
        true => {
            store
                .unfinished_subtasks(&session.id, None, one_more)
                .await?
        }
        false => store.subtasks(&session.id, None, one_more).await?,
    };
    let are_all = subtasks.len() <= limit;
    subtasks.truncate(limit);
    let deadline = session.deadline(settings.session_estimate, settings.session_buffer);
    let deadline = session.status.is_open().then_some(deadline);
    let never_seen = store.unsent_subtasks(&session.id).await?;
    if output.is_json() {
        return output.document(&Whole {
            session: &session,
            attempted: session.attempted(),
            progress: session.progress(),
            deadline,
            never_seen,
            subtasks: &subtasks,
        });
    }
    let times = Times {
        deadline,
        now: store.clock().await?,
    };
    facts(&session, times, never_seen, output)?;
    if subtasks.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let columns = [
        numbers("N"),
        words("TASK ID"),
        words("NAME"),
        words("STATUS"),
        words("NOW"),
        numbers("RETRIED"),
        words("ERROR"),
    ];
    let rows = subtasks.iter().map(|subtask| row(&session, subtask));
    output.table(&columns, rows)?;
    match are_all {
        true => Ok(()),
        false => output.more_than(limit),
    }
}

/// By the database's clock.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// When its time is over; for one that is not.
    deadline: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Times {
    /// How long it took, or how long it has been open. What the row says of one that is open is as old as its
    /// last change.
    fn duration(self, session: &SessionRow) -> (&'static str, String) {
        let took = Duration::from_millis(session.duration_ms.unsigned_abs());
        let (name, duration) = match session.status.is_open() {
            true => {
                let open = (self.now - session.started_at).to_std();
                (
                    "open for",
                    Duration::from_secs(open.unwrap_or_default().as_secs()),
                )
            }
            false => ("took", took),
        };
        (name, humantime::format_duration(duration).to_string())
    }
}

fn facts(
    session: &SessionRow,
    times: Times,
    never_seen: i64,
    output: &mut Output,
) -> Result<(), Failure> {
    let about = match (&session.related_content_type, &session.related_object_id) {
        (Some(kind), Some(id)) => Some(format!("{kind}:{id}")),
        _ => None,
    };
    let (duration_name, duration) = times.duration(session);
    let so_far = if session.status.is_open() {
        " so far"
    } else {
        ""
    };
    let never_seen = (never_seen > 0).then(|| format!("{never_seen} of {}{so_far}", session.total));
    let facts = [
        ("id", Some(session.id.to_string())),
        ("action", Some(session.action.clone())),
        ("status", Some(session.status.to_string())),
        ("aborted by", session.aborted_by.clone()),
        ("creator", session.creator_id.clone()),
        ("about", about),
        ("started", Some(shown(session.started_at))),
        ("finished", session.finished_at.map(shown)),
        ("times out", times.deadline.map(shown)),
        (duration_name, Some(duration)),
        (
            "progress",
            Some(format!(
                "{} %: {} of {} subtasks are over",
                session.progress(),
                session.attempted(),
                session.total
            )),
        ),
        ("succeeded", Some(session.succeeded.to_string())),
        ("skipped", Some(session.skipped.to_string())),
        ("failed", Some(session.failed.to_string())),
        (
            "revoked",
            Some(format!("{}, which count as failed", session.revoked)),
        ),
        ("never seen", never_seen),
        (
            "retried",
            Some(format!(
                "{} counted, {} not",
                session.retried_counted, session.retried_uncounted
            )),
        ),
        (
            "finalizer",
            Some(format!(
                "{} {}",
                session.finalizer_type, session.finalizer_id
            )),
        ),
        ("never ran", discarded(session)),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            output.fact(name, &fact)?;
        }
    }
    Ok(())
}

fn row(session: &SessionRow, subtask: &SubtaskRow) -> Vec<String> {
    let now = match (&subtask.state, subtask.is_own) {
        (None, _) if session.status.is_open() => "not sent yet".to_owned(),
        // Each had a row when the session ended.
        (None, _) => "removed".to_owned(),
        (Some(_), true) if !subtask.was_sent => "never seen".to_owned(),
        (Some(_), false) => "not part of it".to_owned(),
        (Some(state), true) if *state == *subtask.status.as_str() => String::new(),
        (Some(state), true) => state.clone(),
    };
    vec![
        subtask.position.to_string(),
        subtask.task_id.to_string(),
        subtask.name.clone(),
        match subtask.skipped {
            true => format!("{} skipped", subtask.status),
            false => subtask.status.to_string(),
        },
        now,
        (subtask.retried_counted + subtask.retried_uncounted).to_string(),
        subtask
            .error_message
            .as_deref()
            .map_or(String::new(), short),
    ]
}
