//! Rows as they are read. Serialized, their keys are the names of the columns.

mod canary;
mod messages;
mod worker;

pub use crate::control::ControlRow;
pub(crate) use canary::foreign;
pub use canary::{CanaryPlace, CanaryRow};
pub(crate) use messages::MessageColumns;
pub use messages::{DeadRecord, DeadRow, LostTask, ParkedRow, StoredTask, UnroutableTask};
pub use worker::WorkerRow;

use crate::json::JsonText;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

/// A row of `background_task`, without the message itself.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct TaskRow {
    /// Public id, as in URLs.
    pub id: String,
    /// Id on the wire.
    #[sqlx(try_from = "String")]
    pub task_id: TaskId,
    /// Type of the task.
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub name: String,
    /// Service that owns the task's name.
    pub service: String,
    /// Where the task stands.
    #[sqlx(try_from = "String")]
    pub state: TaskState,
    /// See [`Lineage::run`].
    pub run: i32,
    /// See [`Lineage::rescue`].
    pub rescue: i32,
    /// See [`Lineage::executions`].
    pub executions: i32,
    /// See [`Lineage::deliveries`].
    pub deliveries: i32,
    /// See [`Lineage::tries`].
    pub tries: i32,
    /// The event that the state comes from.
    #[sqlx(try_from = "String")]
    pub event_id: Uuid,
    /// `{"args": […], "kwargs": {…}}`; absent until the tracking copy is there, and for arguments
    /// that `jsonb` cannot hold.
    pub input: Option<JsonText>,
    /// What the sender set: retries, limits, priority.
    pub options: Option<JsonText>,
    /// Exchange that the message was published to.
    pub exchange: Option<String>,
    /// Key that the message was published with.
    pub routing_key: Option<String>,
    /// Who wanted the task.
    pub creator_id: Option<String>,
    /// Type of the object that the task is about.
    pub related_content_type: Option<String>,
    /// Id of that object.
    pub related_object_id: Option<String>,
    /// Name that is unique among the living tasks of one type.
    pub identifier: Option<String>,
    /// The task that scheduled it.
    pub parent_id: Option<String>,
    /// First task of its family.
    pub root_id: Option<String>,
    /// Session that it is part of.
    pub session_id: Option<String>,
    /// Whether the row must not be changed by people.
    pub immutable: bool,
    /// Whether its result is part of the family's.
    pub is_result: bool,
    /// Paused before it started.
    pub held: bool,
    /// Steps done.
    pub progress_current: Option<i64>,
    /// Steps in all.
    pub progress_total: Option<i64>,
    /// What it is doing.
    pub progress_message: Option<String>,
    /// Kind of error.
    pub error_kind: Option<String>,
    /// One line about the error.
    pub error_message: Option<String>,
    /// Not before this time.
    pub eta: Option<DateTime<Utc>>,
    /// Not after this time.
    pub expires: Option<DateTime<Utc>>,
    /// When it runs again.
    pub retry_at: Option<DateTime<Utc>>,
    /// Who reported last.
    pub worker: Option<String>,
    /// Until when an early-acked task counts as alive.
    pub lease_until: Option<DateTime<Utc>>,
    /// When the task was sent, or first seen.
    pub created_date: DateTime<Utc>,
    /// When the row was last changed.
    pub last_updated: DateTime<Utc>,
}

impl TaskRow {
    /// The attempt that the state comes from; prints as people see it.
    #[must_use]
    pub const fn attempt(&self) -> Lineage {
        Lineage {
            run: self.run,
            rescue: self.rescue,
            executions: self.executions,
            deliveries: self.deliveries,
            tries: self.tries,
        }
    }
}

/// A line of `task_event`.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct EventRow {
    /// Id of the event; derived from the message for lines that tracking copies stand for.
    #[sqlx(try_from = "String")]
    pub event_id: Uuid,
    /// Id of the task.
    #[sqlx(try_from = "String")]
    pub task_id: TaskId,
    /// See [`Lineage::run`].
    pub run: i32,
    /// See [`Lineage::rescue`].
    pub rescue: i32,
    /// See [`Lineage::executions`].
    pub executions: i32,
    /// See [`Lineage::deliveries`].
    pub deliveries: i32,
    /// See [`Lineage::tries`].
    pub tries: i32,
    /// A task state.
    #[sqlx(try_from = "String")]
    pub kind: TaskState,
    /// Who reported; absent when the platform did.
    pub worker: Option<String>,
    /// When it happened, by the reporter's clock.
    pub happened_at: DateTime<Utc>,
    /// Whatever else the event said.
    pub detail: Option<JsonText>,
}

impl EventRow {
    /// The attempt that the line is about.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        Lineage {
            run: self.run,
            rescue: self.rescue,
            executions: self.executions,
            deliveries: self.deliveries,
            tries: self.tries,
        }
    }
}

/// A line of `task_log`.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct LogRow {
    /// Id of the event that brought it.
    #[sqlx(try_from = "String")]
    pub event_id: Uuid,
    /// Id of the task.
    #[sqlx(try_from = "String")]
    pub task_id: TaskId,
    /// See [`Lineage::run`].
    pub run: i32,
    /// See [`Lineage::rescue`].
    pub rescue: i32,
    /// See [`Lineage::retries`].
    pub executions: i32,
    /// See [`Lineage::deliveries`].
    pub deliveries: i32,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The line.
    pub message: String,
    /// Further fields.
    pub fields: Option<JsonText>,
    /// Who wrote it.
    pub worker: Option<String>,
    /// When, by the writer's clock.
    pub happened_at: DateTime<Utc>,
}

/// A row of `task_result`: the outcome of one run.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ResultRow {
    /// Id of the task.
    #[sqlx(try_from = "String")]
    pub task_id: TaskId,
    /// Manual re-runs before this one.
    pub run: i32,
    /// A terminal state.
    #[sqlx(try_from = "String")]
    pub status: TaskState,
    /// What the handler returned.
    pub result: Option<JsonText>,
    /// Kind of error.
    pub error_kind: Option<String>,
    /// One line about the error.
    pub error_message: Option<String>,
    /// Chain of causes or backtrace.
    pub traceback: Option<String>,
    /// When it was over, by the reporter's clock.
    pub date_done: DateTime<Utc>,
    /// How long the handler ran.
    pub runtime_ms: Option<i64>,
    /// Who reported.
    pub worker: Option<String>,
}

/// How many tasks are in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct StateCount {
    /// The state.
    #[sqlx(try_from = "String")]
    pub state: TaskState,
    /// How many tasks.
    pub tasks: i64,
}

/// How many tasks of one service are in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct ServiceCount {
    /// The service.
    pub service: String,
    /// The state.
    #[sqlx(try_from = "String")]
    pub state: TaskState,
    /// How many tasks.
    pub tasks: i64,
}
