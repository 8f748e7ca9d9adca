//! What the platform learns of a task, in the orders in which it may learn it.

use super::super::samples::{copy, event, lineage};
use chrono::{DateTime, Utc};
use counterfoil_store::{Batch, TrackingCopy};
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::names::SENT;
use counterfoil_toolbox::sent::sending_id;
use counterfoil_toolbox::{TaskState, state::Lineage};

/// Something that the platform learns of a task.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Copy(Box<TrackingCopy>),
    Event(Box<Event>),
}

/// One batch of all of them.
pub(super) fn batch_of<'a>(inputs: impl IntoIterator<Item = &'a Input>) -> Batch {
    let mut batch = Batch::new();
    for input in inputs {
        match input {
            Input::Copy(copy) => batch.track(copy),
            Input::Event(event) => batch.event(event),
        }
    }
    batch
}

/// An event.
pub(super) fn told(id: &TaskId, lineage: Lineage, state: TaskState) -> Input {
    Input::Event(Box::new(event(id, lineage, state)))
}

/// A tracking copy, described by its attempt.
pub(super) fn tracked(id: &TaskId, rescue: i32, executions: i32) -> Input {
    let mut copy = copy(id);
    copy.envelope.retries = executions;
    copy.envelope.lineage = lineage(rescue, executions, 0);
    copy.envelope.creator_id = Some(format!("creator {rescue}.{executions}").into());
    copy.message.content.headers.set("retries", executions);
    Input::Copy(Box::new(copy))
}

/// The tracking copy of the `nth` sending of a task under one id.
pub(super) fn sent(id: &TaskId, nth: i64) -> Input {
    let mut copy = copy(id);
    copy.envelope.sent_at = Some(time_of(nth));
    copy.message.content.headers.push(SENT, nth);
    Input::Copy(Box::new(copy))
}

/// That the queue refused that sending.
pub(super) fn refused(id: &TaskId, nth: i64) -> Input {
    let state = TaskState::Rejected;
    let mut event = event(id, lineage(0, 0, 0), state);
    event.event_id = sending_id(id, time_of(nth), state);
    event.worker = None;
    Input::Event(Box::new(event))
}

fn time_of(nth: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + nth).expect("a time")
}

/// Histories of five inputs; each of them must end in one row in all 120 orders.
pub(super) fn histories(id: &TaskId) -> Vec<Vec<Input>> {
    use TaskState::{Failure, Progress, Received, Retry, Revoked, Started, Success, Unroutable};
    let first = lineage(0, 0, 0);
    vec![
        vec![
            tracked(id, 0, 0),
            told(id, first, Started),
            told(id, first, Retry),
            told(id, lineage(0, 1, 0), Started),
            told(id, lineage(0, 1, 0), Success),
        ],
        vec![
            tracked(id, 0, 0),
            tracked(id, 0, 1),
            told(id, first, Failure),
            told(id, lineage(0, 1, 2), Progress),
            told(id, lineage(0, 1, 2), Revoked),
        ],
        vec![
            told(id, first, Received),
            told(id, first, Success),
            tracked(id, 1, 0),
            told(id, lineage(1, 0, 0), Unroutable),
            told(id, lineage(1, 0, 0), Failure),
        ],
        // Its worker was lost in a try of its own; the next delivery fails without any.
        vec![
            tracked(id, 0, 0),
            told(id, first, Retry),
            told(id, Lineage { tries: 2, ..first }, Progress),
            told(id, lineage(0, 0, 1), Started),
            told(id, lineage(0, 0, 1), Failure),
        ],
        // Its sender tried three times.
        vec![
            sent(id, 1),
            refused(id, 1),
            sent(id, 2),
            refused(id, 2),
            sent(id, 3),
        ],
    ]
}

/// Every order of so many things.
pub(super) fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let with_last = |order: Vec<usize>| {
        (0..=last).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    orders(last).into_iter().flat_map(with_last).collect()
}

/// An event of a producer that does not always say the same of its task.
pub(super) fn told_otherwise(id: &TaskId, lineage: Lineage, state: TaskState, way: u8) -> Input {
    let mut event = event(id, lineage, state);
    if way > 0 {
        event.task = ["demo.add", "demo-x.add"][usize::from(way % 2)]
            .parse()
            .expect("a task name");
        event.session_id = Some(format!("session {way}").into());
        event.parent_id = TaskId::new(&format!("parent {way}")).ok();
    }
    Input::Event(Box::new(event))
}
