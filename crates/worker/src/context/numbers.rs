//! Which of several sessions of equal content one is. Pure.
//!
//! Ids of sessions that a task opens follow from it, so each needs a number that it gets again when the execution
//! is repeated, whichever sessions that one skips or fails to open. So numbers are counted by content, and one is
//! only used up by a session that was opened.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// The numbers in use, by content.
#[derive(Debug, Default)]
pub(super) struct Numbers(Mutex<HashMap<Uuid, BTreeSet<u32>>>);

/// A number in use: until this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Number<'a> {
    of: &'a Numbers,
    content: Uuid,
    value: u32,
    is_kept: bool,
}

impl Numbers {
    /// The lowest number that no session of this content has. One that is being opened beside this one has its own.
    pub(super) fn take(&self, content: Uuid) -> Number<'_> {
        let mut all = self.all();
        let taken = all.entry(content).or_default();
        let free = (0..).find(|n| !taken.contains(n));
        let value = free.expect("there are fewer sessions than numbers");
        taken.insert(value);
        Number {
            of: self,
            content,
            value,
            is_kept: false,
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, BTreeSet<u32>>> {
        self.0
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Number<'_> {
    pub(super) const fn value(&self) -> u32 {
        self.value
    }

    /// Its session was opened: the next of this content gets another number.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.of.all().get_mut(&self.content)
            && !self.is_kept
        {
            taken.remove(&self.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sessions_get_numbers_of_their_own_and_those_that_were_not_opened_leave_theirs() {
        let (numbers, content, other) =
            (Numbers::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        drop(numbers.take(content));
        let first = numbers.take(content);
        assert_eq!(first.value(), 0);
        // Beside it, and one of another content.
        let second = numbers.take(content);
        assert_eq!((second.value(), numbers.take(other).value()), (1, 0));
        drop(first);
        second.keep();
        let again = numbers.take(content);
        assert_eq!(again.value(), 0);
        again.keep();
        assert_eq!(numbers.take(content).value(), 2);
    }
}
