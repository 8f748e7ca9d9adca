//! Whether somebody reads the same queues for another database.
//!
//! Each daemon that leads sends canaries, of which its database has rows, and any daemon may read them. One that
//! this database does not know was sent for another. A command may have sent it (`counterfoil doctor --probe`), so
//! only a second one, some time after, tells of a daemon.

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::doctor::canaries_last;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Older canaries tell nothing: their rows are removed one day, and a database that was replaced by a copy of it does
/// not know the last ones.
const OLD: TimeDelta = TimeDelta::hours(1);

/// What was seen of other databases.
#[derive(Debug)]
pub(super) struct Foreign {
    /// Canaries that are closer together are taken for those of one command.
    apart: Duration,
    /// How long after the last one somebody is taken to be there.
    gone: Duration,
    /// When the first and the last of those came that are no further apart than `gone`.
    seen: Option<(Instant, Instant)>,
}

impl Foreign {
    /// Where daemons send a canary every `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            apart: interval / 2,
            gone: canaries_last(interval),
            seen: None,
        }
    }

    /// A canary of another database came. Whether it is the one that tells of somebody new.
    pub(super) fn seen(&mut self, now: Instant) -> bool {
        let was_there = self.is_there(now);
        let series = self.seen.filter(|(_, last)| now - *last < self.gone);
        let first = series.map_or(now, |(first, _)| first);
        self.seen = Some((first, now));
        !was_there && self.is_there(now)
    }

    /// Whether somebody is there.
    pub(super) fn is_there(&self, now: Instant) -> bool {
        self.seen
            .is_some_and(|(first, last)| last - first >= self.apart && now - last < self.gone)
    }
}

/// Whether a canary that is unknown at `now` tells anything to a daemon that has run for so long. A database that was
/// restored does not know those that were sent before it began. By its sender's clock, which may be ahead.
pub(super) fn tells(id: &Uuid, now: DateTime<Utc>, running: Duration) -> bool {
    let sent_at = id.get_timestamp().and_then(|timestamp| {
        let (seconds, nanos) = timestamp.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    });
    let limit = TimeDelta::from_std(running).map_or(OLD, |running| running.min(OLD));
    sent_at.is_some_and(|sent_at| now - sent_at < limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::{NoContext, Timestamp};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_canary_may_be_a_commands_and_a_second_one_after_a_while_is_a_daemons() {
        let now = Instant::now();
        let mut foreign = Foreign::new(60 * SECOND);
        assert!(!foreign.seen(now));
        assert!(!foreign.seen(now + 29 * SECOND), "the same command");
        assert!(foreign.seen(now + 30 * SECOND));
        assert!(!foreign.seen(now + 60 * SECOND), "it has been told");
        assert!(foreign.is_there(now + 359 * SECOND));
        assert!(!foreign.is_there(now + 360 * SECOND));
        assert!(!foreign.seen(now + 400 * SECOND), "perhaps a command again");
        assert!(foreign.seen(now + 460 * SECOND));
    }

    #[test]
    fn a_daemon_that_seldom_sends_one_is_noticed_too() {
        let now = Instant::now();
        let mut foreign = Foreign::new(600 * SECOND);
        assert!(!foreign.seen(now));
        assert!(foreign.seen(now + 600 * SECOND));
        assert!(foreign.is_there(now + 3599 * SECOND), "some may get lost");
        assert!(!foreign.is_there(now + 3600 * SECOND));
    }

    #[test]
    fn only_what_was_sent_since_the_daemon_began_and_lately_tells_whatever_the_clock_of_its_sender()
    {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let sent = |seconds_ago: i64| {
            let at = u64::try_from(1_800_000_000 - seconds_ago).expect("a time");
            Uuid::new_v7(Timestamp::from_unix(NoContext, at, 0))
        };
        let hours = |n: u32| 3600 * n * SECOND;
        assert!(tells(&sent(10), now, hours(5)));
        assert!(tells(&sent(-600), now, 5 * SECOND), "its clock is ahead");
        assert!(!tells(&sent(10), now, 5 * SECOND), "before it began");
        assert!(!tells(&sent(7200), now, hours(5)), "old");
        assert!(!tells(&Uuid::nil(), now, hours(5)), "no time in it");
    }
}
