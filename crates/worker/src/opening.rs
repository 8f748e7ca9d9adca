//! Sessions that a task is opening: with those that somebody aborts it ends.

use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::SessionError;
use std::sync::{Mutex, MutexGuard};

/// The sessions whose subtasks a task is sending, and those that were aborted before all were sent.
#[derive(Debug, Default)]
pub(crate) struct Opening(Mutex<Vec<(SessionId, Stage)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its subtasks are being sent.
    Sending,
    /// It is known to be aborted.
    Aborted,
}

/// A session whose subtasks are being sent, until this is dropped.
#[derive(Debug)]
pub(crate) struct Sending<'a> {
    of: &'a Opening,
    session: &'a SessionId,
}

impl Opening {
    /// The subtasks of `session` are sent from now on.
    pub(crate) fn begin<'a>(&'a self, session: &'a SessionId) -> Sending<'a> {
        self.sessions().push((session.clone(), Stage::Sending));
        Sending { of: self, session }
    }

    /// The first thing that `look` finds of one of them.
    pub(crate) fn find<T>(&self, look: impl Fn(&SessionId, Stage) -> Option<T>) -> Option<T> {
        let sessions = self.sessions();
        sessions.iter().find_map(|(id, stage)| look(id, *stage))
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<(SessionId, Stage)>> {
        self.0
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Sending<'_> {
    /// Somebody has aborted the session before all were sent, which is the end of whoever sent them.
    pub(crate) fn aborted(self) -> SessionError {
        for (id, stage) in self.of.sessions().iter_mut() {
            if id == self.session {
                *stage = Stage::Aborted;
            }
        }
        let id = self.session.clone();
        SessionError::Aborted { id }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let is_other = |one: &(SessionId, Stage)| one.0 != *self.session;
        let stays = |one: &(SessionId, Stage)| is_other(one) || one.1 == Stage::Aborted;
        self.of.sessions().retain(stays);
    }
}
