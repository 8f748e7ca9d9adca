//! What an execution has opened and asked. Pure.
//!
//! Ids of sessions that a task opens follow from it and from what they are, so each has to differ from the others:
//! see [`Session::key`](counterfoil_toolbox::session::Session::key).

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// The contents of the sessions that an execution has opened, or is opening.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<HashSet<Uuid>>);

/// A content in use: until this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    of: &'a Opened,
    content: Uuid,
    is_kept: bool,
}

impl Opened {
    /// The content for a session that is opened now. `None`: another has it.
    pub(super) fn claim(&self, content: Uuid) -> Option<Claim<'_>> {
        let is_free = self.all().insert(content);
        // Made only then: whoever drops one gives its content back.
        is_free.then(|| Claim {
            of: self,
            content,
            is_kept: false,
        })
    }

    fn all(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.0
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Claim<'_> {
    /// Its session was opened: no other of this content may be.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.of.all().remove(&self.content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_of_a_content_is_opened_and_one_that_failed_may_be_opened_again() {
        let (opened, one, other) = (Opened::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        drop(opened.claim(one));
        let claim = opened.claim(one).expect("it was not opened");
        // Beside it, and one of another content.
        assert!(opened.claim(one).is_none() && opened.claim(other).is_some());
        claim.keep();
        assert!(opened.claim(one).is_none());
    }
}
