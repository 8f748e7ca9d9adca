//! What a batch does to sessions.

use super::SubtaskRow;
use crate::batch::Batch;
use crate::text::{INDEXED, LINE, boxed};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::Opening;
use uuid::Uuid;

/// A session that is opened.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) opening: Box<Opening>,
}

/// An open session that ends before its subtasks do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Aborted { by: Option<Box<str>> },
    TimedOut,
}

/// Why a session ends before its subtasks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnds {
    /// Somebody aborted it.
    Aborted,
    /// Its time is over.
    TimedOut,
}

impl Opened {
    pub(crate) fn action(&self) -> Box<str> {
        boxed(&self.opening.action, LINE)
    }

    pub(crate) fn creator(&self) -> Option<Box<str>> {
        let creator = self.opening.finalizer.creator.as_deref()?;
        Some(boxed(creator, INDEXED))
    }

    /// Type and id of the object that the session is about.
    pub(crate) fn related(&self) -> Option<(Box<str>, Box<str>)> {
        let (kind, id) = self.opening.finalizer.related.as_deref()?.split_once(':')?;
        Some((boxed(kind, INDEXED), boxed(id, INDEXED)))
    }
}

impl Batch {
    /// Adds that a session is opened. One that is known stays as it is.
    pub fn open_session(&mut self, opening: &Opening) {
        let opened = || Opened {
            opening: Box::new(opening.clone()),
        };
        self.openings
            .entry(opening.id.clone())
            .or_insert_with(opened);
    }

    /// Adds that an open session ends before its subtasks do. Out of time it is over, and what is missing of it
    /// counts as failed; aborted it is over when its subtasks are.
    pub(crate) fn end_session(&mut self, session: &SessionId, why: SessionEnds, by: Option<&str>) {
        let ending = match why {
            SessionEnds::TimedOut => Ending::TimedOut,
            SessionEnds::Aborted => Ending::Aborted {
                by: by.map(|by| boxed(by, INDEXED)),
            },
        };
        self.endings.insert(session.clone(), ending);
    }

    /// Adds that these subtasks are over as far as their session is concerned, which ends before they do:
    /// aborted, those that have not been started are REVOKED; out of time, all are FAILURE (`session_timeout`).
    /// Returns how many that are.
    pub(crate) fn end_subtasks(
        &mut self,
        session: &SessionId,
        rows: &[SubtaskRow],
        why: SessionEnds,
        at: DateTime<Utc>,
    ) -> usize {
        let mut ended = 0;
        for row in rows.iter().filter(|row| row.is_own) {
            let (state, kind, text) = match why {
                SessionEnds::TimedOut => (
                    TaskState::Failure,
                    FaultKind::SessionTimeout,
                    format!("the time of its session {session} was over"),
                ),
                SessionEnds::Aborted if may_not_have_started(row.status) => (
                    TaskState::Revoked,
                    FaultKind::Aborted,
                    "its session was aborted before it was started".to_owned(),
                ),
                SessionEnds::Aborted => continue,
            };
            let Ok(name) = row.name.parse() else {
                continue;
            };
            let kind_of_event = EventKind::State(state);
            let mut event = Event::new(row.task_id.clone(), name, row.attempt(), kind_of_event, at);
            event.session_id = Some(session.as_str().into());
            event.error = Some(TaskFault::new(kind, text));
            self.event(&event);
            ended += 1;
        }
        ended
    }

    pub(crate) fn timed_out_sessions(&self) -> impl Iterator<Item = &SessionId> {
        let ends = self.endings.iter();
        ends.filter(|(_, ending)| **ending == Ending::TimedOut)
            .map(|(id, _)| id)
    }

    /// Asks workers to start no subtask of a session any more, and to stop those that run. Returns the id of
    /// what is asked.
    pub(crate) fn revoke_session(
        &mut self,
        session: &SessionId,
        by: Option<&str>,
        at: DateTime<Utc>,
    ) -> Uuid {
        let session_id = session.clone();
        self.ask(Order::RevokeSession { session_id }, by, at)
    }
}

/// Nobody runs it, as far as is known; should somebody have started it meanwhile and succeed, that counts.
const fn may_not_have_started(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Pending | TaskState::Unroutable | TaskState::Received | TaskState::Retry
    )
}
