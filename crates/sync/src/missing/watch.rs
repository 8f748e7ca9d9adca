//! Whether the queues of a service are empty, and nobody has what was in them: a pure record.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long more consumers than those of workers have to be seen before somebody else is thought to
/// consume: a worker that begins is heard of a moment later.
const STRANGER: Duration = Duration::from_secs(30);

/// How long somebody else may keep what it has taken after its consumers are gone, as a Celery worker does
/// that finishes its tasks: the broker's consumer timeout, and a little.
const KEEPS: Duration = Duration::from_secs(31 * 60);

/// What is known of the queues of one service, all of its classes and the delayed tasks among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Nothing is taken out of them, because somebody paused the service.
    pub(super) is_paused: bool,
    /// Messages that wait.
    pub(super) ready: u32,
    /// Consumers, as the broker counts them.
    pub(super) consumers: u32,
    /// Consumers that workers tell of.
    pub(super) told: u32,
    /// Consumers that those may have ended while they held messages: RabbitMQ goes on counting them.
    pub(super) ended: u32,
    /// Deliveries that workers have and have said nothing of.
    pub(super) untold: u32,
    /// A worker fell silent without a last word, and the broker may not have noticed.
    pub(super) has_vanished: bool,
}

/// What one look at a service finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// No message is in a queue or in the hands of a worker that has not said so.
    Empty,
    /// There may be some.
    InUse,
    /// Somebody consumes who says nothing.
    Stranger,
}

impl Facts {
    const fn finding(self) -> Finding {
        if self.consumers > self.told.saturating_add(self.ended) {
            return Finding::Stranger;
        }
        let is_clear = !self.is_paused
            && self.ready == 0
            && self.consumers == self.told
            && self.untold == 0
            && !self.has_vanished;
        if is_clear {
            Finding::Empty
        } else {
            Finding::InUse
        }
    }
}

/// Since when each service was seen empty in every look.
#[derive(Debug, Default)]
pub(super) struct Watch {
    services: HashMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    empty_since: Option<Instant>,
    stranger_since: Option<Instant>,
    /// A stranger may have something until then.
    left_alone_until: Option<Instant>,
}

impl Watch {
    /// Notes one look; for how long the service was seen empty in every one.
    pub(super) fn note(&mut self, service: &str, facts: Facts, now: Instant) -> Option<Duration> {
        let seen = self.services.entry(service.to_owned()).or_default();
        let finding = facts.finding();
        if finding == Finding::Stranger {
            let since = *seen.stranger_since.get_or_insert(now);
            if now - since >= STRANGER {
                seen.left_alone_until = Some(now + KEEPS);
            }
        } else {
            seen.stranger_since = None;
        }
        let is_alone = seen.left_alone_until.is_some_and(|until| now < until);
        if finding != Finding::Empty || is_alone {
            seen.empty_since = None;
            return None;
        }
        Some(now - *seen.empty_since.get_or_insert(now))
    }

    /// Nothing can be seen of this one: whatever was does not count any more.
    pub(super) fn lost_sight_of(&mut self, service: &str) {
        if let Some(seen) = self.services.get_mut(service) {
            seen.empty_since = None;
        }
    }

    /// Nothing was seen for a while: whatever was does not count any more.
    pub(super) fn broke_off(&mut self) {
        for seen in self.services.values_mut() {
            seen.empty_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_service_is_empty_since_the_first_of_all_looks_that_found_nothing() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut note =
            |service, facts, second: u32| watch.note(service, facts, start + SECOND * second);
        let empty = Facts {
            consumers: 2,
            told: 2,
            ..Facts::default()
        };
        assert_eq!(note("demo", empty, 0), Some(Duration::ZERO));
        assert_eq!(note("demo", empty, 9), Some(SECOND * 9));
        assert_eq!(note("export", empty, 9), Some(Duration::ZERO));
        let full = Facts { ready: 1, ..empty };
        assert_eq!(note("demo", full, 10), None);
        assert_eq!(note("demo", empty, 11), Some(Duration::ZERO));
        assert_eq!(note("export", empty, 11), Some(SECOND * 2));
        watch.lost_sight_of("demo");
        let mut note = |service| watch.note(service, empty, start + SECOND * 12);
        assert_eq!(note("demo"), Some(Duration::ZERO));
        assert_eq!(note("export"), Some(SECOND * 3));
        watch.broke_off();
        assert_eq!(watch.note("demo", empty, start), Some(Duration::ZERO));
    }

    #[test]
    fn whatever_may_hide_a_message_is_no_emptiness() {
        let empty = Facts::default();
        for (facts, finding) in [
            (empty, Finding::Empty),
            (Facts { ready: 1, ..empty }, Finding::InUse),
            (Facts { untold: 1, ..empty }, Finding::InUse),
            (Facts { told: 1, ..empty }, Finding::InUse),
            (
                Facts {
                    consumers: 1,
                    ended: 1,
                    ..empty
                },
                Finding::InUse,
            ),
            (
                Facts {
                    consumers: 1,
                    ..empty
                },
                Finding::Stranger,
            ),
            (
                Facts {
                    is_paused: true,
                    ..empty
                },
                Finding::InUse,
            ),
            (
                Facts {
                    has_vanished: true,
                    ..empty
                },
                Finding::InUse,
            ),
        ] {
            assert_eq!(facts.finding(), finding, "{facts:?}");
        }
    }

    #[test]
    fn what_a_stranger_consumed_is_left_alone_for_as_long_as_it_may_keep_messages() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let stranger = Facts {
            consumers: 3,
            told: 2,
            ..Facts::default()
        };
        let mut note = |facts, at: Duration| watch.note("demo", facts, start + at);
        // A worker that has just begun.
        assert_eq!(note(stranger, Duration::ZERO), None);
        assert_eq!(note(Facts::default(), SECOND), Some(Duration::ZERO));
        assert_eq!(note(stranger, SECOND * 2), None);
        assert_eq!(note(stranger, SECOND * 32), None);
        assert_eq!(note(Facts::default(), SECOND * 33), None);
        assert_eq!(note(Facts::default(), SECOND * 31 + KEEPS), None);
        assert_eq!(
            note(Facts::default(), SECOND * 32 + KEEPS),
            Some(Duration::ZERO)
        );
    }
}
