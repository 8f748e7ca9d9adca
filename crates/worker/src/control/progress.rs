//! When all that was asked before has been read. Pure: time comes in.
//!
//! AMQP does not tell where a stream ends. So a second reader begins at its end, with the last chunk: the
//! first has caught up when it is as far as the second, both consume, and nothing came for a moment.

use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may have come. The last chunk comes at once, so it is time for its messages only.
const QUIET: Duration = Duration::from_millis(200);

/// How far the two readers are.
#[derive(Debug)]
pub(super) struct Progress {
    /// Offset of the last message that was read.
    read: Option<i64>,
    /// Offset of the last message that is known to be there.
    end: Option<i64>,
    quiet_since: Instant,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            read: None,
            end: None,
            quiet_since: now,
        }
    }

    /// The message at `offset` was read.
    pub(super) fn read(&mut self, offset: Option<i64>, now: Instant) {
        self.read = self.read.max(offset);
        self.quiet_since = now;
    }

    /// There is a message at `offset`, which has to be read.
    pub(super) fn is_there(&mut self, offset: Option<i64>, now: Instant) {
        self.end = self.end.max(offset);
        self.quiet_since = now;
    }

    /// One of the readers began, or broke.
    pub(super) fn disturbed(&mut self, now: Instant) {
        self.quiet_since = now;
    }

    /// When all will have been read if nothing comes until then; `None`: something is known to be missing.
    pub(super) fn done_at(&self) -> Option<Instant> {
        (self.read >= self.end).then(|| self.quiet_since + QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_stream_has_been_read_after_a_quiet_moment() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        assert_eq!(progress.done_at(), Some(start + QUIET));
        progress.disturbed(start + QUIET / 2);
        assert_eq!(progress.done_at(), Some(start + QUIET / 2 + QUIET));
    }

    #[test]
    fn what_is_there_has_to_be_read_however_quiet_it_is() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        progress.is_there(Some(7), start);
        assert_eq!(progress.done_at(), None);
        progress.read(Some(6), start + QUIET * 10);
        assert_eq!(progress.done_at(), None);
        progress.read(Some(7), start + QUIET * 20);
        assert_eq!(progress.done_at(), Some(start + QUIET * 21));
        // Both go on, and either may be ahead.
        progress.read(Some(8), start + QUIET * 22);
        progress.is_there(Some(7), start + QUIET * 22);
        assert_eq!(progress.done_at(), Some(start + QUIET * 23));
    }
}
