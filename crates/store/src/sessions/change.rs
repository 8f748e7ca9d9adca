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
    Aborted {
        by: Option<Box<str>>,
    },
    /// Its time is over; `written_off`: what is missing of it counts as failed from now on.
    TimedOut {
        written_off: bool,
    },
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

    /// Adds that somebody aborts an open session: workers are asked to start none of its subtasks any more, and
    /// to stop those that run. It is over when all of them are. Returns the id of what is asked.
    pub fn abort_session(
        &mut self,
        session: &SessionId,
        by: Option<&str>,
        at: DateTime<Utc>,
    ) -> Uuid {
        self.session_is_aborted(session, by);
        let session_id = session.clone();
        self.ask(Order::RevokeSession { session_id }, by, at)
    }

    /// The same where workers are asked already.
    pub fn session_is_aborted(&mut self, session: &SessionId, by: Option<&str>) {
        let by = by.map(|by| boxed(by, INDEXED));
        self.endings.insert(session.clone(), Ending::Aborted { by });
    }

    /// Adds that the time of an open session is over, and that workers are asked to leave what is missing of it.
    /// `by`: what they give as the reason.
    pub(crate) fn time_out_session(
        &mut self,
        session: &SessionId,
        by: Option<&str>,
        at: DateTime<Utc>,
    ) {
        let ending = Ending::TimedOut { written_off: false };
        self.endings.insert(session.clone(), ending);
        let session_id = session.clone();
        self.ask(Order::TimeOutSession { session_id }, by, at);
    }

    /// Adds that what is missing of an open session whose time is over counts as failed.
    pub(crate) fn write_off_session(&mut self, session: &SessionId) {
        let ending = Ending::TimedOut { written_off: true };
        self.endings.insert(session.clone(), ending);
    }

    /// Adds that these subtasks of a session whose time is over are FAILURE (`session_timeout`). Returns how many
    /// that are.
    pub(crate) fn fail_subtasks(
        &mut self,
        session: &SessionId,
        rows: &[SubtaskRow],
        at: DateTime<Utc>,
    ) -> usize {
        let text = format!("the time of its session {session} was over");
        let fault = TaskFault::new(FaultKind::SessionTimeout, text);
        let own = rows.iter().filter(|row| row.is_own);
        own.filter(|row| self.end_subtask(session, row, TaskState::Failure, fault.clone(), at))
            .count()
    }

    /// Adds that these subtasks of an aborted session are REVOKED, since nobody will run them any more. Whoever
    /// says so has to know it: see `sync/aborts`. Should one succeed all the same, that counts.
    pub fn revoke_subtasks(&mut self, session: &SessionId, rows: &[SubtaskRow], at: DateTime<Utc>) {
        for row in rows.iter().filter(|row| row.is_own) {
            let text = match row.waits() {
                true => "its session was aborted before it was started",
                false => "its session was aborted, and its worker is gone",
            };
            let fault = TaskFault::new(FaultKind::Aborted, text.to_owned());
            self.end_subtask(session, row, TaskState::Revoked, fault, at);
        }
    }

    fn end_subtask(
        &mut self,
        session: &SessionId,
        row: &SubtaskRow,
        state: TaskState,
        fault: TaskFault,
        at: DateTime<Utc>,
    ) -> bool {
        let Ok(name) = row.name.parse() else {
            return false;
        };
        let kind = EventKind::State(state);
        let mut event = Event::new(row.task_id.clone(), name, row.attempt(), kind, at);
        event.session_id = Some(session.as_str().into());
        event.error = Some(fault);
        self.event(&event);
        true
    }

    pub(crate) fn written_off_sessions(&self) -> impl Iterator<Item = &SessionId> {
        let ends = self.endings.iter();
        ends.filter(|(_, ending)| **ending == Ending::TimedOut { written_off: true })
            .map(|(id, _)| id)
    }
}
