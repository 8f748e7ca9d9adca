//! How many messages to hold at once while one of them may be poison.
//!
//! A consumer that crashes returns all that it held, and each return counts towards the delivery
//! limit: with five prefetched messages, four innocents die with the culprit. So every consumer
//! begins with one message at a time, and widens only when nothing has been returned for a while.
//! A returned message goes before all that were never delivered, so the culprit is soon alone.

use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may have been returned before more than one message is held.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Decides between one message at a time and the full prefetch. Pure: time comes in.
#[derive(Debug)]
pub(super) struct Caution {
    quiet_since: Instant,
    width: Width,
}

/// How many messages may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// One.
    Narrow,
    /// As many as the prefetch says.
    Wide,
}

impl Caution {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            quiet_since: now,
            width: Width::Narrow,
        }
    }

    pub(super) fn width(&self) -> Width {
        self.width
    }

    /// A message came. `Narrow` in return: it was returned before, hold one at a time from now on.
    pub(super) fn on_delivery(&mut self, delivery_count: i64, now: Instant) -> Width {
        if delivery_count >= 1 {
            self.quiet_since = now;
            self.width = Width::Narrow;
        }
        self.width
    }

    /// When to ask [`Self::may_widen`] next; `None` while it is wide.
    pub(super) fn look_again_at(&self) -> Option<Instant> {
        (self.width == Width::Narrow).then(|| self.quiet_since + QUIET)
    }

    /// Whether more than one message may be held from now on.
    pub(super) fn may_widen(
        &mut self,
        unsettled: usize,
        returned_unsettled: usize,
        now: Instant,
    ) -> bool {
        let quiet = now.duration_since(self.quiet_since) >= QUIET;
        let widen =
            self.width == Width::Narrow && quiet && unsettled <= 1 && returned_unsettled == 0;
        if widen {
            self.width = Width::Wide;
        }
        widen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_widens_after_a_quiet_second_and_not_before() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        assert!(!caution.may_widen(0, 0, start + QUIET / 2));
        assert!(caution.may_widen(1, 0, start + QUIET));
        assert_eq!(caution.width(), Width::Wide);
    }

    #[test]
    fn a_returned_message_narrows_at_once_and_starts_the_second_anew() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        assert!(caution.may_widen(0, 0, start + QUIET));
        assert_eq!(caution.on_delivery(1, start + QUIET * 2), Width::Narrow);
        assert!(!caution.may_widen(0, 0, start + QUIET * 2 + QUIET / 2));
        assert!(caution.may_widen(0, 0, start + QUIET * 3));
    }

    #[test]
    fn it_stays_narrow_while_a_returned_message_is_in_hand_however_long_it_takes() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        assert!(!caution.may_widen(1, 1, start + QUIET * 100));
        assert!(!caution.may_widen(2, 0, start + QUIET * 100));
    }
}
