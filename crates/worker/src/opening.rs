//! Sessions that a task is opening: with those it ends.

use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::SessionError;
use std::sync::{Mutex, MutexGuard};

/// The sessions whose subtasks a task is sending, and those that ended while it did.
#[derive(Debug, Default)]
pub(crate) struct Opening(Mutex<Vec<SessionId>>);

/// A session whose subtasks are being sent, until this is dropped.
#[derive(Debug)]
pub(crate) struct Sending<'a> {
    of: &'a Opening,
    session: &'a SessionId,
}

impl Opening {
    /// The subtasks of `session` are sent from now on.
    pub(crate) fn begin<'a>(&'a self, session: &'a SessionId) -> Sending<'a> {
        self.sessions().push(session.clone());
        Sending { of: self, session }
    }

    /// The first thing that `look` finds of one of them.
    pub(crate) fn find<T>(&self, look: impl Fn(&SessionId) -> Option<T>) -> Option<T> {
        self.sessions().iter().find_map(look)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<SessionId>> {
        self.0
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Sending<'_> {
    /// The session has ended before all were sent, which is the end of whoever sent them.
    pub(crate) fn ended(self) -> SessionError {
        let id = self.session.clone();
        // It stays in the list.
        std::mem::forget(self);
        SessionError::Ended { id }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.of.sessions().retain(|it| it != self.session);
    }
}
