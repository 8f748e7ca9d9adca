//! Messages as producers and workers send them.

use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::heartbeat::{Heartbeat, Phase};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::{Content, Envelope, encode};
use counterfoil_toolbox::names::{ServiceName, TaskName};
use counterfoil_toolbox::state::Lineage;
use std::collections::BTreeMap;

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::new(text).expect("the tests' ids are valid")
}

pub(crate) fn name(text: &str) -> TaskName {
    TaskName::new(text).expect("the tests' names are valid")
}

/// A task of this id, with two arguments.
pub(crate) fn task(task_id: &str, task_name: &str) -> Content {
    scheduled(&Envelope::new(id(task_id), name(task_name)))
}

/// The task of an envelope, with two arguments.
pub(crate) fn scheduled(envelope: &Envelope) -> Content {
    encode(envelope, "[2]", r#"{"y": 3}"#)
}

/// An event of the first attempt.
pub(crate) fn event(task_id: &str, task_name: &str, state: TaskState) -> Event {
    let kind = EventKind::State(state);
    Event::new(
        id(task_id),
        name(task_name),
        Lineage::default(),
        kind,
        Utc::now(),
    )
}

/// The end of a task, with a result.
pub(crate) fn settled(task_id: &str, task_name: &str, result: &str) -> Event {
    let mut event = event(task_id, task_name, TaskState::Success);
    let raw = serde_json::value::RawValue::from_string(result.to_owned());
    event.result = Some(raw.expect("the tests' results are JSON"));
    event.runtime_ms = Some(7);
    event
}

/// Events as a worker sends them.
pub(crate) fn batch(events: &[Event]) -> Content {
    Content::json(serde_json::to_vec(events).expect("events are JSON"))
}

/// A sign of life of the worker `demo@here.7.1`.
pub(crate) fn heartbeat() -> Heartbeat {
    Heartbeat {
        worker: WorkerId::new("demo@here.7.1").expect("an id"),
        services: vec![ServiceName::new("demo").expect("a name")],
        host: "here".to_owned(),
        pid: 7,
        version: "1".to_owned(),
        started_at: Utc::now(),
        at: Utc::now(),
        interval_ms: 1000,
        queues: Vec::new(),
        hands: BTreeMap::new(),
        tasks: None,
        limits: BTreeMap::new(),
        paused: Vec::new(),
        follows_control: true,
        heard_until: None,
        leases: Vec::new(),
        running: 0,
        processed: 0,
        phase: Phase::Running,
    }
}
