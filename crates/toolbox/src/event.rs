//! Durable state events: how a worker tells the platform what became of its tasks.
//!
//! Workers send them in batches, one confirmed message each: a JSON array of [`Event`] on the
//! events exchange. Every event describes itself, so a row can be built from any of them.

mod after;
mod fault;
mod raised;

pub use after::{After, SkippedStep};
pub use fault::{Exception, FaultKind, TaskFault};
pub use raised::Raiser;

use crate::ids::{TaskId, WorkerId};
use crate::names::TaskName;
use crate::state::{Lineage, StateKey, TaskState};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// One step in the life of a task. [`event_key`](crate::topology::names::event_key) has an example.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// UUID v7, or v8 where it follows from what the event says ([`sending_id`](crate::sent::sending_id)): both begin
    /// with a time. The same event sent twice keeps its id and counts once.
    pub event_id: Uuid,
    /// The task it is about.
    pub task_id: TaskId,
    /// Type of that task.
    pub task: TaskName,
    /// The attempt it is about.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// The state that the task entered, or `LOG`.
    pub kind: EventKind,
    /// Service whose worker reports.
    pub service: Box<str>,
    /// Who reports; absent when the platform itself does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// When it happened, by the reporter's clock. For display: order comes from [`StateKey`].
    pub at: DateTime<Utc>,
    /// The task that scheduled this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TaskId>,
    /// First task of the family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_id: Option<TaskId>,
    /// Session that the task is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Box<str>>,
    /// SUCCESS: what the handler returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// SUCCESS: the handler found nothing to do, and this is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Box<str>>,
    /// FAILURE, RETRY, REVOKED: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskFault>,
    /// RETRY: when it will run again. PENDING: when its worker's copy of it comes again; absent: it is back in
    /// its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<DateTime<Utc>>,
    /// RETRY: whether it uses up one of the task's retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<bool>,
    /// PROGRESS: how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// LOG: a line that the handler wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLine>,
    /// When the handler started. A task that is over before its STARTED event left reports once, with this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// How long the handler ran, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_ms: Option<i64>,
    /// The broker has forgotten the task, which is its worker's alone. Absent: a message goes on with it,
    /// or it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// What comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<After>>,
    /// Its sender wants no result of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_result: bool,
}

impl Event {
    /// An event without any of the optional fields.
    #[must_use]
    pub fn new(
        task_id: TaskId,
        task: TaskName,
        lineage: Lineage,
        kind: EventKind,
        at: DateTime<Utc>,
    ) -> Self {
        let service = task.service().into();
        Self {
            event_id: Uuid::now_v7(),
            task_id,
            task,
            lineage,
            kind,
            service,
            worker: None,
            at,
            parent_id: None,
            root_id: None,
            session_id: None,
            result: None,
            skipped: None,
            error: None,
            retry_at: None,
            counted: None,
            progress: None,
            log: None,
            started_at: None,
            runtime_ms: None,
            lease: None,
            after: None,
            ignore_result: false,
        }
    }

    /// Place in the order of merging; `None` for a log line, which changes no state.
    #[must_use]
    pub fn key(&self) -> Option<StateKey> {
        let EventKind::State(state) = self.kind else {
            return None;
        };
        let key = StateKey::new(self.lineage, state, self.event_id);
        // That a task waits again takes back that its worker has it: of both the later counts.
        let is_taken_back = state == TaskState::Pending;
        Some(StateKey {
            rank: if is_taken_back {
                TaskState::Received.rank()
            } else {
                key.rank
            },
            ..key
        })
    }
}

/// A worker's promise to show, by signs of life, that it still has a task.
/// [`event_key`](crate::topology::names::event_key) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Milliseconds of silence after which the task is taken for lost: [`SHORTEST_LEASE`] to [`LONGEST_LEASE`].
    pub ms: u32,
    /// How often the task was sent again before because its worker vanished with it.
    pub restarts: i32,
}

/// Shortest lease that a worker may promise: what it says has to come through in a quarter of that.
pub const SHORTEST_LEASE: std::time::Duration = std::time::Duration::from_secs(3);

/// Longest lease that a worker may promise.
pub const LONGEST_LEASE: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// What an event says. [`sending_id`](crate::sent::sending_id) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The task entered this state.
    State(TaskState),
    /// The handler wrote a log line.
    Log,
}

impl EventKind {
    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State(state) => state.as_str(),
            Self::Log => "LOG",
        }
    }
}

impl std::str::FromStr for EventKind {
    type Err = crate::text::InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "LOG" {
            Ok(Self::Log)
        } else {
            text.parse().map(Self::State)
        }
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How far a running task is. [`event_key`](crate::topology::names::event_key) has an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub current: i64,
    /// Steps in all, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// What it is doing now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A line that a handler wrote. [`event_key`](crate::topology::names::event_key) has an example.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLine {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Box<str>,
    /// The line.
    pub message: String,
    /// Further fields.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str) -> Event {
        let text = format!(
            r#"{{"event_id":"01938c5e-0000-7000-8000-000000000001","task_id":"t1","task":"demo.add","run":0,"rescue":1,
               "executions":2,"deliveries":3,"kind":"{kind}","service":"demo","at":"2026-01-02T03:04:05Z","result":{{"b":1,"a":2}}}}"#
        );
        serde_json::from_str(&text).expect("a whole event")
    }

    #[test]
    fn an_event_reads_back_as_it_was_written_and_keeps_the_order_of_keys_in_its_result() {
        let written = serde_json::to_string(&event("SUCCESS")).expect("writes");
        let read: Event = serde_json::from_str(&written).expect("reads");
        assert_eq!(serde_json::to_string(&read).expect("writes"), written);
        assert_eq!(read.result.expect("result").get(), r#"{"b":1,"a":2}"#);
        assert_eq!(
            read.lineage,
            Lineage {
                run: 0,
                rescue: 1,
                executions: 2,
                deliveries: 3,
                tries: 0
            }
        );
    }

    #[test]
    fn a_log_line_has_no_place_in_the_order_of_states() {
        assert!(event("LOG").key().is_none());
        assert_eq!(
            event("FAILURE").key().expect("a state").rank,
            TaskState::Failure.rank()
        );
    }
}
