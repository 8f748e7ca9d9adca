//! What workers tell of the queues of a service.

use super::watch::Facts;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::heartbeat::Hand;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::Names;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How soon the broker notices that a machine is gone, and takes its messages back.
const NOTICED: TimeDelta = TimeDelta::minutes(3);

/// Consumers that a worker has of one queue at most.
const MOST: u32 = 2;

/// What one worker tells.
#[derive(Debug)]
struct Teller {
    hands: BTreeMap<QueueName, Hand>,
    /// See [`WorkerRow::gone_for`].
    gone_for: TimeDelta,
    interval: TimeDelta,
    said_goodbye: bool,
}

/// What all workers tell.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    names: &'a Names,
    tellers: Vec<Teller>,
}

impl<'a> Told<'a> {
    /// What these rows tell at the database's time `now`.
    pub(crate) fn new(names: &'a Names, workers: &[WorkerRow], now: DateTime<Utc>) -> Self {
        let teller = |row: &WorkerRow| Teller {
            hands: row.in_hand(),
            gone_for: row.gone_for(now),
            interval: row.interval(),
            said_goodbye: row.has_stopped(),
        };
        Self {
            names,
            tellers: workers.iter().map(teller).collect(),
        }
    }

    /// Services that workers of ours consume, or did within the last days. Who consumes any other is not
    /// known, so nothing can be said of what was in its queues.
    pub(crate) fn services(&self) -> BTreeSet<ServiceName> {
        let queues = self.tellers.iter().flat_map(|teller| teller.hands.keys());
        let services = queues.map(|queue| ServiceName::new(self.names.service_of(queue)));
        services.filter_map(Result::ok).collect()
    }

    /// Adds what is told of the queues of `service`.
    pub(super) fn of(&self, service: &ServiceName, mut facts: Facts) -> Facts {
        for teller in &self.tellers {
            let hands = teller.hands.iter();
            let mut hands = hands
                .filter(|(queue, _)| self.names.is_queue_of(service.as_str(), queue.as_str()))
                .map(|(_, hand)| hand)
                .peekable();
            if hands.peek().is_none() || teller.said_goodbye {
                continue;
            }
            if teller.gone_for > TimeDelta::zero() {
                facts.has_vanished |= teller.gone_for < NOTICED;
                continue;
            }
            for hand in hands {
                facts.told = facts.told.saturating_add(hand.consumers);
                facts.ended += MOST.saturating_sub(hand.consumers);
                facts.untold = facts.untold.saturating_add(hand.untold);
            }
        }
        facts
    }

    /// Whether somebody else may consume the queues of `service`, of which the broker counts so many consumers. `None`:
    /// nobody can say, since the broker may still count those of a worker that fell silent.
    ///
    /// What workers may have ended counts as somebody else's: to wait for him is the lesser fault. A worker that takes
    /// one task at a time never has a second consumer, nor one whose service is paused any, and whoever consumed
    /// beside it would pass for those for ever.
    pub(crate) fn are_exceeded(&self, service: &ServiceName, consumers: u32) -> Option<bool> {
        let facts = self.of(service, Facts::default());
        let is_more = consumers > facts.told;
        (!is_more || !facts.has_vanished).then_some(is_more)
    }

    /// How long it takes until every worker has been heard of again.
    pub(super) fn round(&self) -> Duration {
        let living = self.tellers.iter().filter(|teller| !teller.said_goodbye);
        let longest = living.map(|teller| teller.interval).max();
        longest.unwrap_or_default().to_std().unwrap_or_default() * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::JsonText;
    use serde_json::json;

    fn worker(phase: &str, age: i64, hands: &serde_json::Value) -> WorkerRow {
        let text = |json: &serde_json::Value| JsonText::storable(&json.to_string()).expect("JSON");
        WorkerRow {
            id: format!("demo@{age}"),
            service: "demo".to_owned(),
            host: "h".to_owned(),
            pid: None,
            version: None,
            tasks: None,
            phase: phase.to_owned(),
            queues: text(&json!([])),
            hands: text(hands),
            limits: text(&json!({})),
            paused: text(&json!([])),
            follows_control: true,
            heard_until: None,
            running: 0,
            processed: 0,
            interval_ms: 10_000,
            started_at: None,
            last_heartbeat: now() - TimeDelta::seconds(age),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn facts(workers: &[WorkerRow]) -> Facts {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let told = Told::new(&names, workers, now());
        told.of(&ServiceName::new("demo").expect("valid"), Facts::default())
    }

    #[test]
    fn living_workers_tell_of_all_queues_of_the_service() {
        let hands = json!({
            "demo": {"consumers": 2, "untold": 1},
            "demo~high": {"consumers": 1, "untold": 0},
            "export": {"consumers": 9, "untold": 9},
        });
        let told = facts(&[worker("running", 5, &hands), worker("draining", 29, &hands)]);
        assert_eq!((told.told, told.untold, told.has_vanished), (6, 2, false));
        assert_eq!(told.ended, 2);
    }

    #[test]
    fn whoever_consumes_beside_workers_is_somebody_else_however_few_consumers_those_have() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let service = ServiceName::new("demo").expect("valid");
        for (hand, age, consumers, are_exceeded) in [
            (2, 5, 2, Some(false)),
            (2, 5, 3, Some(true)),
            // One that takes a task at a time.
            (1, 5, 1, Some(false)),
            (1, 5, 2, Some(true)),
            // One whose service is paused.
            (0, 5, 0, Some(false)),
            (0, 5, 1, Some(true)),
            // One that vanished.
            (1, 40, 0, Some(false)),
            (1, 40, 1, None),
        ] {
            let hands = json!({"demo": {"consumers": hand, "untold": 0}});
            let rows = [worker("running", age, &hands)];
            let told = Told::new(&names, &rows, now());
            let found = told.are_exceeded(&service, consumers);
            assert_eq!(found, are_exceeded, "{hand} {age} {consumers}");
        }
    }

    #[test]
    fn one_that_fell_silent_may_still_have_messages_until_the_broker_notices() {
        let hands = json!({"demo": {"consumers": 2, "untold": 1}});
        for (phase, age, vanished) in [
            ("running", 40, true),
            ("running", 300, false),
            ("stopped", 40, false),
        ] {
            let told = facts(&[worker(phase, age, &hands)]);
            assert_eq!((told.told, told.untold), (0, 0), "{phase} {age}");
            assert_eq!(told.has_vanished, vanished, "{phase} {age}");
        }
    }

    #[test]
    fn only_services_of_our_workers_are_looked_at() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let hands = json!({"demo~low": {"consumers": 0, "untold": 0}});
        let rows = [
            worker("stopped", 9000, &hands),
            worker("running", 1, &json!({})),
        ];
        let services = Told::new(&names, &rows, now()).services();
        assert_eq!(
            services,
            BTreeSet::from([ServiceName::new("demo").expect("valid")])
        );
    }
}
