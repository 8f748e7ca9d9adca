//! Tracking copies and events to write.

use chrono::{DateTime, Utc};
use counterfoil_store::{Seen, StoredMessage, TrackingCopy};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, Progress, TaskFault};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::{Content, Envelope, HeaderValue, Headers};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::state::Lineage;
use serde_json::value::RawValue;

/// The attempt of these numbers: rescue, executions, deliveries.
#[must_use]
pub fn lineage(rescue: i32, executions: i32, deliveries: i32) -> Lineage {
    Lineage {
        run: 0,
        rescue,
        executions,
        deliveries,
        tries: 0,
    }
}

/// The tracking copy of `demo.add(1, 2)`.
#[must_use]
pub fn copy(id: &TaskId) -> TrackingCopy {
    let name = TaskName::new("demo.add").expect("a task name");
    copy_of(Envelope::new(id.clone(), name))
}

/// The tracking copy of a task with the arguments `(1, 2)`.
#[must_use]
pub fn copy_of(envelope: Envelope) -> TrackingCopy {
    let mut content = Content::json("[[1, 2], {}, {}]");
    content.headers.push("task", envelope.name.as_str());
    content.headers.push("id", envelope.id.as_str());
    content.headers.push("retries", envelope.retries);
    TrackingCopy {
        message: StoredMessage {
            exchange: "task_exchange".into(),
            routing_key: envelope.name.as_str().into(),
            content,
        },
        envelope,
        input: Some(r#"{"args": [1, 2], "kwargs": {}}"#.to_owned()),
        seen: Seen::Scheduled,
    }
}

/// What a worker reports when `id` enters `state`, with all that belongs to that state.
#[must_use]
pub fn event(id: &TaskId, lineage: Lineage, state: TaskState) -> Event {
    let name = TaskName::new("demo.add").expect("a task name");
    let mut event = Event::new(
        id.clone(),
        name,
        lineage,
        EventKind::State(state),
        // Databases keep microseconds.
        DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).expect("a time"),
    );
    event.worker = WorkerId::new("demo@host.7.0a0b0c0d").ok();
    event.root_id = Some(id.clone());
    match state {
        TaskState::Success => {
            event.result = RawValue::from_string("3".to_owned()).ok();
            event.runtime_ms = Some(12);
        }
        TaskState::Failure | TaskState::Revoked | TaskState::Rejected => {
            event.error = Some(fault())
        }
        TaskState::Retry => {
            event.error = Some(fault());
            event.retry_at = DateTime::from_timestamp(1_900_000_000, 0);
            event.counted = Some(true);
        }
        TaskState::Progress => {
            event.progress = Some(Progress {
                current: 3,
                total: Some(10),
                message: Some("third of ten".to_owned()),
            });
        }
        TaskState::Pending | TaskState::Unroutable | TaskState::Received | TaskState::Started => {}
    }
    event
}

/// An error with a traceback.
#[must_use]
pub fn fault() -> TaskFault {
    TaskFault {
        kind: FaultKind::Exception,
        message: "no such project".to_owned(),
        traceback: Some("at line 1\nat line 2".to_owned()),
        exception: None,
    }
}

/// Whether both are the same message; databases do not keep the order of headers.
#[must_use]
pub fn same_message(one: &StoredMessage, other: &StoredMessage) -> bool {
    one.exchange == other.exchange
        && one.routing_key == other.routing_key
        && one.content.properties == other.content.properties
        && one.content.body == other.content.body
        && same_headers(&one.content.headers, &other.content.headers)
}

fn same_headers(one: &Headers, other: &Headers) -> bool {
    let same = |(name, value)| {
        other
            .get(name)
            .is_some_and(|other| same_value(value, other))
    };
    one.len() == other.len() && one.iter().all(same)
}

fn same_value(one: &HeaderValue, other: &HeaderValue) -> bool {
    match (one, other) {
        (HeaderValue::Table(one), HeaderValue::Table(other)) => same_headers(one, other),
        (HeaderValue::List(one), HeaderValue::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same_value(a, b))
        }
        (one, other) => one == other,
    }
}
