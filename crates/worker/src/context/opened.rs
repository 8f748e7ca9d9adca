//! What an execution has opened and asked. Pure.
//!
//! Ids of sessions that a task opens follow from it and from what they are, so each has to differ from the others:
//! see [`Session::key`](counterfoil_toolbox::session::Session::key).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use uuid::Uuid;

/// How long it is waited at most to be told what became of a session. Without a daemon nobody says so.
const LONGEST: Duration = Duration::from_secs(30);

/// The part of the handler's time that is left for which it is waited at most: most of it is for what it has to do.
const PART: u32 = 4;

/// What an execution has opened and asked.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The contents of the sessions that it has opened, or is opening.
    contents: Mutex<HashSet<Uuid>>,
    /// Nobody has answered a question of it.
    is_unanswered: AtomicBool,
}

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

    /// Nobody has answered: who does not once has mostly gone, and each question more would take as long.
    pub(super) fn unanswered(&self) {
        self.is_unanswered.store(true, Ordering::Relaxed);
    }

    /// Whether a question is worth its time.
    pub(super) fn is_worth_asking(&self) -> bool {
        !self.is_unanswered.load(Ordering::Relaxed)
    }

    fn all(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.contents
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

/// How long it is waited for an answer by a handler that has so much time left.
pub(super) fn patience(left: Option<Duration>) -> Duration {
    left.map_or(LONGEST, |left| LONGEST.min(left / PART))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_an_answer_takes_a_part_of_the_time_that_is_left_and_never_long() {
        let seconds = Duration::from_secs;
        assert_eq!(patience(None), seconds(30));
        assert_eq!(patience(Some(seconds(3600))), seconds(30));
        assert_eq!(patience(Some(seconds(40))), seconds(10));
        assert_eq!(patience(Some(Duration::ZERO)), Duration::ZERO);
    }

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
