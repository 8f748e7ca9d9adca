//! When those come again that found no token. Pure: time and chance come in as arguments.
//!
//! Each pass of a task through the broker costs it a dozen messages. Were every one of ten thousand
//! tasks to ask again after a second, they would keep the broker busy with nothing else. So a worker
//! lets so many of those that it sent away come back per second, more when tokens move fast, and
//! gives out the times in the order in which it is asked: the first to be sent away is the first to
//! come again.

use std::time::Duration;
use tokio::time::Instant;

/// Shortest wait. The broker counts whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longest wait, however many wait.
const LONGEST: Duration = Duration::from_secs(60);

/// How many may come back per second at least.
const SLOWEST: u32 = 50;

/// Gives out times to come again.
#[derive(Debug)]
pub(super) struct Pace {
    /// The latest time that was given out.
    last: Instant,
    /// When the second began in which `taken` were.
    second: Instant,
    taken: u32,
    taken_before: u32,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: now,
            second: now,
            taken: 0,
            taken_before: 0,
        }
    }

    /// A token was taken.
    pub(super) fn taken(&mut self, now: Instant) {
        self.turn_to(now);
        self.taken = self.taken.saturating_add(1);
    }

    /// After how long to come again, in whole seconds. `chance` is a random number in `0.0..1.0`.
    pub(super) fn come_again(&mut self, now: Instant, chance: f64) -> Duration {
        self.turn_to(now);
        let taken = self.taken.max(self.taken_before);
        let interval = SHORTEST / taken.saturating_mul(2).max(SLOWEST);
        self.last = (self.last + interval).clamp(now + SHORTEST, now + LONGEST);
        let wait = (self.last - now) + SHORTEST.mul_f64(chance.clamp(0.0, 1.0));
        Duration::from_secs(wait.as_secs())
    }

    fn turn_to(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.second);
        if since >= SHORTEST {
            self.taken_before = if since < SHORTEST * 2 { self.taken } else { 0 };
            self.taken = 0;
            self.second = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_come_again_after_a_second_or_two() {
        let now = Instant::now();
        for chance in [0.0, 0.5, 0.99] {
            let mut pace = Pace::new(now);
            let waits = (0..10).map(|_| pace.come_again(now, chance).as_secs());
            assert!(waits.into_iter().all(|wait| (1..=2).contains(&wait)));
        }
    }

    #[test]
    fn of_many_only_so_many_come_again_per_second_and_the_first_come_first() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let waits: Vec<_> = (0..1000)
            .map(|_| pace.come_again(now, 0.0).as_secs())
            .collect();
        assert!(waits.is_sorted());
        for second in 2..20 {
            let then = waits.iter().filter(|wait| **wait == second).count();
            assert!((49..=51).contains(&then), "{then} after {second} s");
        }
        // However many there are, nobody waits for ever.
        let last = (0..100_000).map(|_| pace.come_again(now, 0.99)).last();
        assert_eq!(last, Some(LONGEST));
    }

    #[test]
    fn the_faster_tokens_move_the_more_may_come() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        (0..500).for_each(|_| pace.taken(now));
        now += SHORTEST;
        let soon = (0..2000).filter(|_| pace.come_again(now, 0.0) < SHORTEST * 2);
        assert!((990..=1010).contains(&soon.count()));
        // What was, counts for a second.
        now += SHORTEST * 10;
        let soon = (0..200).filter(|_| pace.come_again(now, 0.0) < SHORTEST * 2);
        assert!((49..=51).contains(&soon.count()));
    }
}
