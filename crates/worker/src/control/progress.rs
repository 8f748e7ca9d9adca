//! When all that was asked before has been read. Pure: time comes in.
//!
//! AMQP does not tell where a stream ends. So a second reader begins at its end, with the last chunk: the
//! first has caught up when it is as far as the second, both consume, and nothing came for a moment.

use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may have come. The last chunk comes at once, so it is time for its messages only.
const QUIET: Duration = Duration::from_millis(200);

/// How long a broker that is there may take to hand out what was asked before. Then the worker begins
/// without: it must not wait for ever.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How often is looked meanwhile whether the broker is there: one that is away delivers no tasks either.
const LOOK: Duration = Duration::from_secs(5);

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

/// How long what was asked is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// When to look again; `None`: nothing is waited for, or no longer.
    pub(super) look_at: Option<Instant>,
    /// Since when the broker has been there, each time that was looked.
    is_there_since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            look_at: Some(now + LOOK),
            is_there_since: None,
        }
    }

    /// The broker is there, or is not. `true`: it has been there for long enough.
    pub(super) fn is_over(&mut self, is_there: bool, now: Instant) -> bool {
        let since = self.is_there_since.unwrap_or(now);
        self.is_there_since = is_there.then_some(since);
        let is_over = is_there && now - since >= LONGEST_WAIT;
        self.look_at = (!is_over).then_some(now + LOOK);
        is_over
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

    #[test]
    fn a_broker_that_is_there_has_its_time_from_when_it_came_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(start);
        let looks = [(5, true), (10, true), (15, false), (20, true), (39, true)];
        for (seconds, is_there) in looks {
            assert!(!patience.is_over(is_there, at(seconds)), "{seconds}");
            assert_eq!(patience.look_at, Some(at(seconds) + LOOK));
        }
        assert!(patience.is_over(true, at(40)));
        assert_eq!(patience.look_at, None);
    }
}
