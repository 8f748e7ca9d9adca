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

/// How long returned messages may be in hand before they count as any other. Poison kills sooner,
/// and what runs for longer was mostly given back by a worker that had to stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// One that came back more often than this is held alone however long it takes. It leaves
/// innocents most of their 20 deliveries when a poison is slow.
const OFTEN: i64 = 3;

/// How often a message came back, for [`Caution`]: `count` times itself, and `before` it another one in whose
/// place a worker sent it. Of what was put off, most were given back once by a worker that stopped,
/// and may come by again and again: alone, a few of those say nothing.
pub(super) fn suspicion(count: i64, before: i64) -> i64 {
    if count >= 1 || before > OFTEN {
        count.saturating_add(before)
    } else {
        0
    }
}

/// Decides between one message at a time and the full prefetch. Pure: time comes in.
#[derive(Debug)]
pub(super) struct Caution {
    quiet_since: Instant,
    width: Width,
    /// Those in hand that were delivered before, and how often.
    returned: Vec<(u64, i64)>,
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
            returned: Vec::new(),
        }
    }

    /// Consuming begins once more. What is in hand and was returned still is.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.quiet_since = now;
        self.width = Width::Narrow;
    }

    pub(super) fn width(&self) -> Width {
        self.width
    }

    /// Message `tag` came. `Narrow` in return: it was returned before, hold one at a time from now
    /// on.
    pub(super) fn on_delivery(&mut self, tag: u64, delivery_count: i64, now: Instant) -> Width {
        if delivery_count >= 1 {
            self.quiet_since = now;
            self.width = Width::Narrow;
            self.returned.push((tag, delivery_count));
        }
        self.width
    }

    /// Message `tag` is no longer in hand.
    pub(super) fn on_settled(&mut self, tag: u64) {
        self.returned.retain(|(returned, _)| *returned != tag);
    }

    /// When to ask [`Self::may_widen`] again although nothing happens; `None` while it is wide.
    pub(super) fn look_again_at(&self, now: Instant) -> Option<Instant> {
        let times = [QUIET, PATIENCE].map(|pause| self.quiet_since + pause);
        let next = times.into_iter().find(|at| *at > now);
        next.filter(|_| self.width == Width::Narrow)
    }

    /// Whether more than one message may be held from now on. `unsettled`: how many are in hand.
    pub(super) fn may_widen(&mut self, unsettled: usize, now: Instant) -> bool {
        let quiet = now.duration_since(self.quiet_since);
        let alone = unsettled <= 1 && self.returned.is_empty();
        let often = self.returned.iter().any(|(_, count)| *count > OFTEN);
        let calm = (quiet >= QUIET && alone) || (quiet >= PATIENCE && !often);
        let widen = self.width == Width::Narrow && calm;
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
        assert!(!caution.may_widen(0, start + QUIET / 2));
        assert!(caution.may_widen(1, start + QUIET));
        assert_eq!(caution.width(), Width::Wide);
    }

    #[test]
    fn a_returned_message_narrows_at_once_and_starts_the_second_anew() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        assert!(caution.may_widen(0, start + QUIET));
        assert_eq!(caution.on_delivery(1, 1, start + QUIET * 2), Width::Narrow);
        caution.on_settled(1);
        assert!(!caution.may_widen(0, start + QUIET * 2 + QUIET / 2));
        assert!(caution.may_widen(0, start + QUIET * 3));
    }

    #[test]
    fn what_was_given_back_a_few_times_holds_up_the_others_for_seconds_only() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        caution.on_delivery(1, OFTEN, start);
        assert_eq!(caution.look_again_at(start + QUIET), Some(start + PATIENCE));
        assert!(!caution.may_widen(1, start + PATIENCE / 2));
        assert!(caution.may_widen(1, start + PATIENCE));
        // Those that come with it next are some seconds of their own, however many there are.
        caution.on_delivery(2, 1, start + PATIENCE);
        assert!(!caution.may_widen(9, start + PATIENCE + QUIET));
        assert!(caution.may_widen(9, start + PATIENCE * 2));
    }

    #[test]
    fn what_was_put_off_is_suspicious_when_it_comes_back_itself_or_came_back_often_before() {
        let cases = [(0, 0), (0, OFTEN), (0, OFTEN + 1), (1, 0), (1, 2)];
        let found = cases.map(|(count, before)| suspicion(count, before));
        assert_eq!(found, [0, 0, OFTEN + 1, 1, 3]);
    }

    #[test]
    fn what_came_back_often_is_held_alone_however_long_it_takes() {
        let start = Instant::now();
        let mut caution = Caution::new(start);
        caution.on_delivery(1, OFTEN + 1, start);
        assert!(!caution.may_widen(1, start + PATIENCE * 100));
        assert_eq!(caution.look_again_at(start + PATIENCE), None);
        caution.on_settled(1);
        assert!(caution.may_widen(0, start + PATIENCE * 100));
    }
}
