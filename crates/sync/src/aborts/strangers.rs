//! Who may be at work and tells nothing, or is heard of no more: a pure record of what this daemon has seen itself.
//!
//! A Celery worker that stops keeps what it runs without a consumer, and nothing tells that it is there. That it was
//! is all that can be known, and only by whoever has watched the queues for long enough. So a daemon that has just
//! begun to lead, or was cut off, knows of no service that nobody else is there, and waits as if somebody had been.
//! Anything written down by the one before could not tell what happened in between.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// How long more consumers than those of workers have to be seen before somebody else is thought to consume: a
/// worker that begins is heard of a moment later.
/// Who consumes for less, or for less than two looks, is not noticed.
const STRANGER: Duration = Duration::from_secs(30);

/// What one look at the queues of a service finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The broker counts no more consumers than workers of ours tell of.
    Ours,
    /// It counts more.
    Stranger,
    /// Nobody can say: a worker vanished, and the broker may still count what it had.
    Unclear,
}

/// What was seen, and when.
#[derive(Debug)]
pub(super) struct Strangers {
    /// How long nobody else may have been seen.
    bound: Duration,
    services: HashMap<String, Watched>,
    /// Since when workers that rows name have been unknown.
    unknown: HashMap<String, Instant>,
}

#[derive(Debug)]
struct Watched {
    looked_at: Instant,
    stranger_since: Option<Instant>,
    /// Until then it was not watched, or somebody else consumed.
    quiet_since: Instant,
}

impl Strangers {
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            bound,
            services: HashMap::new(),
            unknown: HashMap::new(),
        }
    }

    /// Notes one look at the queues of a service.
    pub(super) fn note(&mut self, service: &str, sight: Sight, now: Instant) {
        let entry = self.services.entry(service.to_owned());
        let seen = entry.or_insert_with(|| Watched {
            looked_at: now,
            stranger_since: None,
            quiet_since: now,
        });
        if now - seen.looked_at > self.bound / 2 {
            // Nobody looked for a while.
            seen.quiet_since = now;
            seen.stranger_since = None;
        }
        seen.looked_at = now;
        match sight {
            Sight::Ours => seen.stranger_since = None,
            Sight::Stranger => {
                let since = *seen.stranger_since.get_or_insert(now);
                if now - since >= STRANGER.min(self.bound / 4) {
                    seen.quiet_since = now;
                }
            }
            Sight::Unclear => {}
        }
    }

    /// Whether the service was watched for long enough, and nobody else was noticed to consume its queues.
    pub(super) fn has_none(&self, service: &str, now: Instant) -> bool {
        let seen = self.services.get(service);
        seen.is_some_and(|seen| now - seen.quiet_since >= self.bound)
    }

    /// A row names a worker of which nothing is known. Whether that has been so for long enough for it to be gone: a
    /// living one is heard of before.
    pub(super) fn is_gone(&mut self, worker: &str, now: Instant) -> bool {
        let since = self.unknown.entry(worker.to_owned()).or_insert(now);
        now - *since >= self.bound
    }

    /// These workers are known, and nobody else is asked after where there are none.
    pub(super) fn know(&mut self, workers: &BTreeSet<&str>) {
        self.unknown
            .retain(|name, _| !workers.contains(name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn nobody_else_is_at_work_once_that_was_so_for_long_enough_in_every_look_of_this_daemon() {
        let (mut strangers, start) = (Strangers::new(MINUTE * 6), Instant::now());
        let mut look = |sight, at: u32| {
            let now = start + MINUTE / 2 * at;
            strangers.note("demo", sight, now);
            strangers.has_none("demo", now)
        };
        // It begins with knowing nothing.
        assert!((0..12).all(|at| !look(Sight::Ours, at)));
        assert!(look(Sight::Ours, 12));
        // A worker that has just begun, and one that vanished.
        assert!(look(Sight::Stranger, 13) && look(Sight::Ours, 14) && look(Sight::Unclear, 15));
        // Somebody who stays, and who may keep something after he has gone.
        look(Sight::Stranger, 16);
        assert!(!look(Sight::Stranger, 17));
        assert!((18..29).all(|at| !look(Sight::Ours, at)));
        assert!(look(Sight::Ours, 29));
        // Nobody looked for a while.
        assert!(!look(Sight::Ours, 36));
        assert!(!strangers.has_none("export", start + MINUTE * 60));
    }

    #[test]
    fn a_worker_that_was_forgotten_is_gone_when_it_stayed_unknown_for_long_enough() {
        let (mut strangers, start) = (Strangers::new(MINUTE), Instant::now());
        assert!(!strangers.is_gone("a", start) && !strangers.is_gone("b", start));
        strangers.know(&BTreeSet::from(["b"]));
        assert!(strangers.is_gone("a", start + MINUTE));
        assert!(!strangers.is_gone("b", start + MINUTE));
    }
}
