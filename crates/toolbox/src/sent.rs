//! Several sendings of one task: which of them is the later.
//!
//! A task that is sent again under its id is the same attempt of the same task, so nothing but the time of
//! sending tells its messages apart. What is said of a sending has an id that follows from that time, and the
//! order of merging ([`StateKey`](crate::state::StateKey)) ends with ids: so a refused task waits again when a
//! later sending is heard of, and stays refused when the refused one is heard of once more.
//!
//! The time is by the clock of each sender, and within one process it never goes back. Two exceptions stay, in which
//! the row says REJECTED although the task waits, until a worker tells more: a later sender whose clock is behind, and
//! two that send one id at a time (`unique_for`), of which the queue refuses the later and takes the other. No stamp
//! tells those apart: the tracking copy of a sending is the same, whether the queue took it or not.

use crate::ids::TaskId;
use crate::state::TaskState;
use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

/// Name space of the ids of what is said of sendings.
const SENDINGS: Uuid = Uuid::from_u128(0x8f0c_52f7_3a1d_4b6e_a8c4_19d2_63be_70f5);

/// Id of what is said of the sending of `task_id` at `sent_at`: the same whenever it is said.
///
/// It begins with the time, to the millisecond; of one time, that a queue refused the task
/// ([`Rejected`](TaskState::Rejected)) comes after whatever else is said.
///
/// ```
/// use chrono::{TimeDelta, Utc};
/// use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
/// use counterfoil_toolbox::{TaskId, TaskState, sent::sending_id, state::Lineage};
///
/// let (id, sent_at) = (TaskId::random(), Utc::now());
/// let kind = EventKind::State(TaskState::Rejected);
/// let mut refused = Event::new(id.clone(), "demo.add".parse()?, Lineage::default(), kind, Utc::now());
/// refused.event_id = sending_id(&id, sent_at, TaskState::Rejected);
/// refused.error = Some(TaskFault::new(FaultKind::QueueFull, "the queue is full"));
///
/// let again = sending_id(&id, sent_at + TimeDelta::milliseconds(1), TaskState::Pending);
/// assert!(again > refused.event_id); // sent once more, it waits
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn sending_id(task_id: &TaskId, sent_at: DateTime<Utc>, state: TaskState) -> Uuid {
    let millis = u64::try_from(sent_at.timestamp_millis()).unwrap_or(0);
    let [_, _, time @ ..] = millis.to_be_bytes();
    let mut bytes = Uuid::new_v5(&SENDINGS, format!("{state} {task_id}").as_bytes()).into_bytes();
    bytes[..6].copy_from_slice(&time);
    // The other half of this byte is the version.
    let half = bytes[6] & 0x07;
    bytes[6] = if state == TaskState::Rejected {
        0x0f
    } else {
        half
    };
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// Clocks differ by less between two threads that ask for a time one after the other.
const AT_ONCE: i64 = 10;

/// Times of what one process sends: later ones for what it sends later, also when its clock is set back.
///
/// They keep to the clock: of one millisecond all are equal, so many sendings do not run ahead of it.
#[derive(Debug)]
pub(crate) struct Stamps {
    /// What the clock said, in milliseconds since 1970.
    clock: i64,
    /// What was made of that.
    stamp: i64,
}

impl Stamps {
    /// Nothing was sent yet.
    pub(crate) const fn new() -> Self {
        Self { clock: 0, stamp: 0 }
    }

    /// For what is sent at `now`.
    pub(crate) fn next(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let clock = now.timestamp_millis();
        if !(self.clock - AT_ONCE..=self.clock).contains(&clock) {
            self.clock = clock;
            self.stamp = clock.max(self.stamp + 1);
        }
        DateTime::from_timestamp_millis(self.stamp).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("a time")
    }

    #[test]
    fn what_is_sent_later_is_later_though_the_clock_was_set_back_and_no_later_than_the_clock() {
        let mut stamps = Stamps::new();
        let now = 1_800_000_000_000;
        let mut next = |millis| stamps.next(at(now + millis)).timestamp_millis() - now;
        assert_eq!([next(0), next(0), next(7)], [0, 0, 7]);
        // Two threads that asked for the time in another order.
        assert_eq!([next(5), next(7)], [7, 7]);
        // Set back, it is followed at its own pace until it has caught up.
        assert_eq!([next(-60_000), next(-60_000), next(-59_000)], [8, 8, 9]);
        assert_eq!([next(8), next(20)], [10, 20]);
    }

    #[test]
    fn a_refusal_comes_after_the_sending_that_it_is_about_and_before_any_later_one() {
        let (id, other) = (TaskId::random(), TaskId::random());
        let sent = |millis| sending_id(&id, at(millis), TaskState::Pending);
        let refused = |millis| sending_id(&id, at(millis), TaskState::Rejected);
        let now = 1_800_000_000_123;
        let order = [sent(now), refused(now), sent(now + 1), refused(now + 1)];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        assert_eq!(sent(now), sent(now));
        assert_ne!(sent(now), sending_id(&other, at(now), TaskState::Pending));
        assert!(sent(-1) < sent(1), "before 1970 there was no sending");
    }
}
