//! When a channel that refuses messages makes way for a new one.
//!
//! A channel of RabbitMQ notes for each quorum queue with which of its members it talks. One that publishes for the
//! first time after a node was lost, and before the queue has a leader elsewhere, notes the lost one, and refuses all
//! messages until that node is back (`rabbit_fifo_client:enqueue/3` of 3.10: `{badrpc, nodedown}`). A new channel asks
//! again. Refusals of a queue that is full look the same, so the pauses grow.

use std::time::Duration;
use tokio::time::Instant;

/// How long a channel is kept once it has refused; twice as long each time that the next one refuses, too.
const FIRST: Duration = Duration::from_secs(1);

/// The longest that it is kept. A channel that has refused nothing for so long begins anew.
const LONGEST: Duration = Duration::from_secs(30);

/// How long messages wait for the answers to others that are under way, which no new channel may cost. A queue that
/// does not answer must not hold up those of others.
const HALT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Turnover {
    began: Instant,
    /// When the channel first refused a message.
    refused_at: Option<Instant>,
    /// So many channels in a row refused before.
    streak: u32,
}

/// What is to be done about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Go on.
    No,
    /// Send nothing more on it until all is answered.
    Halt,
    /// Take another one.
    Yes,
}

impl Turnover {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            refused_at: None,
            streak: 0,
        }
    }

    /// There is a new channel.
    pub(super) fn begin(&mut self, now: Instant) {
        self.streak = match self.refused_at.take() {
            Some(_) => self.streak.saturating_add(1),
            None => 0,
        };
        self.began = now;
    }

    /// The channel refused a message.
    pub(super) fn refused(&mut self, now: Instant) {
        if self.refused_at.is_none() {
            if now - self.began >= LONGEST {
                self.streak = 0;
            }
            self.refused_at = Some(now);
        }
    }

    /// Whether it refused any.
    pub(super) const fn is_suspect(&self) -> bool {
        self.refused_at.is_some()
    }

    /// What is due at `now`, with so many messages under way.
    pub(super) fn due(&mut self, now: Instant, in_flight: usize) -> Due {
        let Some(refused_at) = self.refused_at else {
            return Due::No;
        };
        let kept = FIRST
            .saturating_mul(2_u32.saturating_pow(self.streak))
            .min(LONGEST);
        let age = now - refused_at;
        match (age < kept, in_flight) {
            (true, _) => Due::No,
            (false, 0) => Due::Yes,
            (false, _) if age < kept + HALT => Due::Halt,
            (false, _) => {
                // It is tried again later, as with a new one.
                self.streak = self.streak.saturating_add(1);
                self.refused_at = Some(now);
                Due::No
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_channel_that_refuses_nothing_is_kept() {
        let began = Instant::now();
        let mut turnover = Turnover::new(began);
        assert_eq!(turnover.due(began + 3600 * SECOND, 0), Due::No);
    }

    #[test]
    fn each_channel_in_a_row_that_refuses_is_kept_longer() {
        let mut now = Instant::now();
        let mut turnover = Turnover::new(now);
        for kept in [1, 2, 4, 8, 16, 30, 30] {
            now += 5 * SECOND;
            turnover.refused(now);
            turnover.refused(now + SECOND / 2);
            let almost = now + kept * SECOND - Duration::from_millis(1);
            assert_eq!(turnover.due(almost, 0), Due::No, "{kept}");
            now += kept * SECOND;
            assert_eq!(turnover.due(now, 0), Due::Yes, "{kept}");
            turnover.begin(now);
        }
    }

    #[test]
    fn refusals_now_and_then_do_not_add_up() {
        let mut now = Instant::now();
        let mut turnover = Turnover::new(now);
        for _ in 0..9 {
            now += 3600 * SECOND;
            turnover.refused(now);
            assert_eq!(turnover.due(now, 0), Due::No);
            now += SECOND;
            assert_eq!(turnover.due(now, 0), Due::Yes);
            turnover.begin(now);
        }
    }

    #[test]
    fn what_is_under_way_is_waited_for_but_not_for_long() {
        let refused = Instant::now();
        let mut turnover = Turnover::new(refused);
        turnover.refused(refused);
        let due = refused + SECOND;
        assert_eq!(turnover.due(due, 3), Due::Halt);
        assert_eq!(turnover.due(due + HALT, 3), Due::No);
        let later = due + HALT + 2 * SECOND;
        assert_eq!(turnover.due(later - HALT, 0), Due::No, "twice as long");
        assert_eq!(turnover.due(later, 0), Due::Yes);
    }
}
