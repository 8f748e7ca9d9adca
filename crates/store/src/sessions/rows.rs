//! Rows of sessions and which of them are wanted.

use crate::filter::Cursor;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::session::SessionStatus;
use counterfoil_toolbox::state::Lineage;
use serde::Serialize;
use sqlx::FromRow;
use std::time::Duration;

/// A row of `session`, without the finalizer's message.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct SessionRow {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: SessionId,
    /// What it is for.
    pub action: String,
    /// How it stands.
    #[sqlx(try_from = "String")]
    pub status: SessionStatus,
    /// `complete` or `fail`: what it comes to with failed subtasks.
    pub policy: String,
    /// Whether its time was over before its subtasks were.
    pub timed_out: bool,
    /// Who aborted it.
    pub aborted_by: Option<String>,
    /// How many subtasks it has.
    pub total: i32,
    /// Those that succeeded, the skipped ones included.
    pub succeeded: i32,
    /// Those that are over without success.
    pub failed: i32,
    /// Those of them that were revoked.
    pub revoked: i32,
    /// Those that succeeded because there was nothing to do.
    pub skipped: i32,
    /// Retries that used up one of a subtask's retries.
    pub retried_counted: i32,
    /// Other retries.
    pub retried_uncounted: i32,
    /// Milliseconds from the opening to the last change, by the database's clock. It never shrinks.
    pub duration_ms: i64,
    /// Milliseconds that each subtask was expected to take.
    pub estimated_ms: Option<i64>,
    /// Milliseconds on top of that.
    pub buffer_ms: Option<i64>,
    /// Id of the finalizer.
    pub finalizer_id: String,
    /// Type of the finalizer.
    pub finalizer_type: String,
    /// Who wanted it.
    pub creator_id: Option<String>,
    /// Type of the object that it is about.
    pub related_content_type: Option<String>,
    /// Id of that object.
    pub related_object_id: Option<String>,
    /// When it was opened, by the database's clock.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// When somebody threw its finalizer's message away, which could not be sent: it never ran.
    pub finalizer_discarded_at: Option<DateTime<Utc>>,
    /// Who did.
    pub finalizer_discarded_by: Option<String>,
    /// When the row changed last.
    pub last_updated: DateTime<Utc>,
}

impl SessionRow {
    /// Subtasks that are over.
    #[must_use]
    pub const fn attempted(&self) -> i32 {
        self.succeeded + self.failed
    }

    /// How much of it is over, in percent. A session without subtasks is all over.
    #[must_use]
    pub fn progress(&self) -> i32 {
        if self.total <= 0 {
            return 100;
        }
        let percent = i64::from(self.attempted()) * 100 / i64::from(self.total);
        i32::try_from(percent).unwrap_or(100).clamp(0, 100)
    }

    /// When its time is over, where one that does not say itself has `estimate` for each subtask, and `buffer`.
    #[must_use]
    pub fn deadline(&self, estimate: Duration, buffer: Duration) -> DateTime<Utc> {
        let own = |ms: Option<i64>, default: Duration| {
            ms.unwrap_or_else(|| i64::try_from(default.as_millis()).unwrap_or(i64::MAX))
        };
        let all = own(self.estimated_ms, estimate).saturating_mul(self.total.max(0).into());
        let takes = TimeDelta::try_milliseconds(all.saturating_add(own(self.buffer_ms, buffer)));
        let end = takes.and_then(|takes| self.started_at.checked_add_signed(takes));
        end.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// A subtask as its session and its own row show it.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct SubtaskRow {
    /// Its id on the wire.
    #[sqlx(try_from = "String")]
    pub task_id: TaskId,
    /// Its public id; absent while nothing was heard of it.
    pub id: Option<String>,
    /// From 0, in the order of the session.
    pub position: i32,
    /// Its type.
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub name: String,
    /// What the session counts it as; while it is not over, where it stands.
    #[sqlx(try_from = "String")]
    pub status: TaskState,
    /// Whether there was nothing to do.
    pub skipped: bool,
    /// Retries that used up one of its retries.
    pub retried_counted: i32,
    /// Other retries.
    pub retried_uncounted: i32,
    /// Where the task stands; it may change after the session is over.
    pub state: Option<String>,
    /// See [`Lineage::run`].
    pub run: i32,
    /// See [`Lineage::rescue`].
    pub rescue: i32,
    /// See [`Lineage::executions`].
    pub executions: i32,
    /// See [`Lineage::deliveries`].
    pub deliveries: i32,
    /// See [`Lineage::tries`].
    pub tries: i32,
    /// Who reported last.
    pub worker: Option<String>,
    /// Kind of its error, or `skipped`.
    pub error_kind: Option<String>,
    /// One line about that.
    pub error_message: Option<String>,
    /// Whether the task calls itself part of the session, if anything was heard of it. One that does not is
    /// some other task: nothing of what happens to it counts.
    pub is_own: bool,
    /// Service whose queue its message went to, if a tracking copy told.
    pub addressee: Option<String>,
    /// Its worker has taken it over from the broker.
    pub is_leased: bool,
    /// A tracking copy came, or a worker told of it.
    pub was_sent: bool,
}

/// An open session that somebody has aborted.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AbortingSession {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: SessionId,
    /// When workers were last told, by the database's clock; `None`: not yet.
    pub told_at: Option<DateTime<Utc>>,
}

impl SubtaskRow {
    /// Whether it is not over and nobody runs it, as far as is known.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(
            self.status,
            TaskState::Pending | TaskState::Unroutable | TaskState::Received | TaskState::Retry
        )
    }

    /// Service whose workers get it.
    #[must_use]
    pub fn service(&self) -> &str {
        let of_name = || self.name.split('.').next().unwrap_or_default();
        self.addressee.as_deref().unwrap_or_else(of_name)
    }

    /// The attempt that it is at.
    #[must_use]
    pub const fn attempt(&self) -> Lineage {
        Lineage {
            run: self.run,
            rescue: self.rescue,
            executions: self.executions,
            deliveries: self.deliveries,
            tries: self.tries,
        }
    }
}

/// Which sessions are wanted. Everything that is set must hold; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// The one with this id.
    pub id: Option<SessionId>,
    /// The one with this finalizer, by its task id. Every session is looked at.
    pub finalizer: Option<String>,
    /// With this status.
    pub status: Option<SessionStatus>,
    /// For this action.
    pub action: Option<String>,
    /// Wanted by this user.
    pub creator: Option<String>,
    /// Only those that are not over.
    pub open: bool,
    /// Only those whose finalizer was thrown away.
    pub discarded: bool,
    /// Opened at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// After this row of the page before.
    pub after: Option<Cursor>,
    /// At most so many; 0: 10,000, the most that is given.
    pub limit: u32,
}

impl SessionRow {
    /// The place after which the next page begins.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            created_date: self.started_at,
            id: self.id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(total: i32, succeeded: i32, failed: i32) -> SessionRow {
        SessionRow {
            id: SessionId::random(),
            action: "harvest".to_owned(),
            status: SessionStatus::Ongoing,
            policy: "complete".to_owned(),
            timed_out: false,
            aborted_by: None,
            total,
            succeeded,
            failed,
            revoked: 0,
            skipped: 0,
            retried_counted: 0,
            retried_uncounted: 0,
            duration_ms: 0,
            estimated_ms: None,
            buffer_ms: Some(500),
            finalizer_id: "f".to_owned(),
            finalizer_type: "harvest.end".to_owned(),
            creator_id: None,
            related_content_type: None,
            related_object_id: None,
            started_at: DateTime::UNIX_EPOCH,
            finished_at: None,
            finalizer_discarded_at: None,
            finalizer_discarded_by: None,
            last_updated: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn progress_is_what_is_over_in_whole_percent() {
        let progress = [(3, 1, 1), (3, 2, 1), (200, 199, 0), (0, 0, 0)]
            .map(|(total, succeeded, failed)| session(total, succeeded, failed).progress());
        assert_eq!(progress, [66, 100, 99, 100]);
    }

    #[test]
    fn the_time_of_a_session_is_its_own_or_the_default_for_each_of_its_subtasks() {
        let deadline = |session: SessionRow| {
            let (estimate, buffer) = (Duration::from_secs(2), Duration::from_secs(60));
            session.deadline(estimate, buffer).timestamp_millis()
        };
        assert_eq!(deadline(session(3, 0, 0)), 6500);
        let own = |estimated_ms| SessionRow {
            estimated_ms: Some(estimated_ms),
            ..session(3, 0, 0)
        };
        assert_eq!(deadline(own(10)), 530);
        assert_eq!(
            own(i64::MAX).deadline(Duration::ZERO, Duration::ZERO),
            DateTime::<Utc>::MAX_UTC
        );
    }
}
