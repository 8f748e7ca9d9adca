//! What happened in a trial, and when by its clock.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Diary(Mutex<Vec<Entry>>);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Duration,
    pub(super) what: String,
    /// Its number, when it is an injected fault.
    pub(super) fault: Option<usize>,
}

impl Diary {
    pub(super) fn note(&self, at: Duration, what: String, fault: Option<usize>) {
        // A test that panicked while it looked has changed nothing.
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { at, what, fault });
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clone()
    }
}

/// `  120 ms ! worker 1 is killed`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.fault.is_some() { '!' } else { ' ' };
        write!(f, "{:>9} ms {mark} {}", self.at.as_millis(), self.what)
    }
}
