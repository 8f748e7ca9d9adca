//! What a batch does to sessions.

use super::{SessionRow, SubtaskRow};
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

    /// Adds that an open session is aborted, `at` a time of the [database's](crate::Store::clock) clock: no
    /// subtask starts any more, and workers are asked to stop those that run. The session is over when they
    /// are. Returns the id of what is asked. Then [`end_subtasks`](Self::end_subtasks) for those that have not
    /// been started.
    pub fn abort_session(
        &mut self,
        session: &SessionId,
        by: Option<&str>,
        at: DateTime<Utc>,
    ) -> Uuid {
        let ending = Ending::Aborted {
            by: by.map(|by| boxed(by, INDEXED)),
        };
        self.endings.insert(session.clone(), ending);
        self.revoke_session(session, by, at)
    }

    /// Adds that the time of an open session is over. The same goes for its subtasks; with
    /// [`end_subtasks`](Self::end_subtasks) for all of those that are not over, the session is.
    pub fn time_out_session(&mut self, session: &SessionId, at: DateTime<Utc>) {
        self.endings.insert(session.clone(), Ending::TimedOut);
        self.revoke_session(session, Some("the session's time limit"), at);
    }

    fn revoke_session(&mut self, session: &SessionId, by: Option<&str>, at: DateTime<Utc>) -> Uuid {
        let session_id = session.clone();
        self.ask(Order::RevokeSession { session_id }, by, at)
    }

    /// Adds that these subtasks of a session are over as far as it is concerned: aborted ones that have not
    /// been started are REVOKED; with a session that is timed out, all are FAILURE (`session_timeout`).
    pub fn end_subtasks(&mut self, session: &SessionRow, rows: &[SubtaskRow], at: DateTime<Utc>) {
        let timed_out = match self.endings.get(&session.id) {
            Some(ending) => *ending == Ending::TimedOut,
            None => session.timed_out,
        };
        for row in rows {
            let ends = if timed_out {
                Some((
                    TaskState::Failure,
                    FaultKind::SessionTimeout,
                    format!("the time of its session, {}, was over", session.id),
                ))
            } else {
                let text = "its session was aborted before it was started";
                let waits = matches!(
                    row.status,
                    TaskState::Pending
                        | TaskState::Unroutable
                        | TaskState::Received
                        | TaskState::Retry
                );
                waits.then(|| (TaskState::Revoked, FaultKind::Aborted, text.to_owned()))
            };
            if let Some((state, kind, text)) = ends
                && let Some(event) = ending(&session.id, row, state, TaskFault::new(kind, text), at)
            {
                self.event(&event);
            }
        }
    }
}

fn ending(
    session: &SessionId,
    row: &SubtaskRow,
    state: TaskState,
    fault: TaskFault,
    at: DateTime<Utc>,
) -> Option<Event> {
    let (name, kind) = (row.name.parse().ok()?, EventKind::State(state));
    let mut event = Event::new(row.task_id.clone(), name, row.attempt(), kind, at);
    event.session_id = Some(session.as_str().into());
    event.error = Some(fault);
    Some(event)
}
