//! Which ends of sessions this worker may say that it knows. Pure: time comes in.
//!
//! Whoever hears it writes off what nobody has started by then. So it is only said once everything is told that
//! had been begun before the end was known, and a moment later: between the look whether a task may start and the
//! note that it has, a thread may be interrupted.

use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::time::Instant;

/// How long such an interruption may take.
const MOMENT: Duration = Duration::from_millis(500);

/// What was read, and what was said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Published until then, and all that was begun before has been told.
    settled: Option<DateTime<Utc>>,
    /// Read at that time.
    waits: Option<(DateTime<Utc>, Instant)>,
    /// The same for what was read since.
    behind: Option<(DateTime<Utc>, Instant)>,
}

impl Heard {
    /// An end of a session that was published at `sent_at` has been read, and nothing of it starts any more.
    pub(super) fn read(&mut self, sent_at: DateTime<Utc>, now: Instant) {
        let latest = [
            self.settled,
            self.waits.map(|it| it.0),
            self.behind.map(|it| it.0),
        ];
        if latest.into_iter().flatten().any(|known| known >= sent_at) {
            return;
        }
        let place = match self.waits {
            None => &mut self.waits,
            Some(_) => &mut self.behind,
        };
        *place = Some((sent_at, now));
    }

    /// All that was noted until `told_until` has been told.
    pub(super) fn told(&mut self, told_until: Option<Instant>) {
        while let Some((sent_at, at)) = self.waits
            && told_until.is_some_and(|told| told >= at + MOMENT)
        {
            self.settled = Some(sent_at);
            self.waits = self.behind.take();
        }
    }

    /// What may be said.
    pub(super) const fn until(&self) -> Option<DateTime<Utc>> {
        self.settled
    }

    /// Whether there will soon be more to say.
    pub(super) const fn is_settling(&self) -> bool {
        self.waits.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    #[test]
    fn an_end_is_known_when_all_that_was_begun_before_it_has_been_told() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        assert!(!heard.is_settling());
        heard.read(at(5), start);
        for told in [None, Some(start), Some(start + MOMENT / 2)] {
            heard.told(told);
            assert!(heard.is_settling() && heard.until().is_none());
        }
        heard.told(Some(start + MOMENT));
        assert!(!heard.is_settling());
        assert_eq!(heard.until(), Some(at(5)));
        // The stream is read again after a lost connection.
        heard.read(at(4), start + MOMENT);
        heard.read(at(5), start + MOMENT);
        assert!(!heard.is_settling());
    }

    #[test]
    fn ends_that_come_all_the_time_hold_up_none_that_came_before() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        for second in 0..20 {
            let now = start + MOMENT / 10 * second;
            heard.read(at(second.into()), now);
            heard.told(Some(now));
        }
        assert!(heard.until() >= Some(at(0)), "{heard:?}");
        heard.told(Some(start + MOMENT * 3));
        assert_eq!(heard.until(), Some(at(19)));
    }
}
