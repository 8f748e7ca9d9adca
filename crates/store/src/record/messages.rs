//! Rows that hold a whole message.

use crate::filter::Cursor;
use crate::stored::{StoredMessage, headers_from_json, properties_from_json};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::state::Lineage;
use serde::Serialize;
use sqlx::FromRow;
use std::time::Duration;
use uuid::Uuid;

/// A row of `dead`: a message in the dead queue of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadRow {
    /// Id of the record.
    pub id: Uuid,
    /// Service whose dead queue holds the message.
    pub service: String,
    /// Why it died.
    pub reason: String,
    /// One line that goes with the reason.
    pub reason_text: Option<String>,
    /// The task, when that could be read.
    pub task_id: Option<String>,
    /// Type of the task.
    #[serde(rename = "type")]
    pub name: Option<String>,
    /// The attempt that died, as people see it.
    pub attempt: String,
    /// When it died.
    pub died_at: DateTime<Utc>,
    /// How often the platform was told.
    pub times: i64,
    /// The message; not serialized.
    #[serde(skip)]
    pub message: StoredMessage,
}

impl DeadRow {
    /// The place after which the next page begins.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            created_date: self.died_at,
            id: self.id.to_string(),
        }
    }
}

/// A row of `dead` without its message.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct DeadRecord {
    /// Id of the record.
    #[sqlx(try_from = "String")]
    pub id: Uuid,
    /// The task, when that could be read.
    pub task_id: Option<String>,
    /// Type of the task.
    #[sqlx(rename = "type")]
    pub name: Option<String>,
    /// Which run of it died.
    pub run: i32,
    /// When it died.
    pub died_at: DateTime<Utc>,
}

/// A task's message, from which it can be sent again.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// The run that the row shows.
    pub run: i32,
    /// The message as it was published.
    pub message: StoredMessage,
}

/// A row of `parked`: a message that the platform could not read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParkedRow {
    /// Id of the record.
    pub id: Uuid,
    /// Queue that it was read from.
    pub queue: String,
    /// Why it is parked.
    pub reason: String,
    /// The task, when that could be read.
    pub task_id: Option<String>,
    /// Type of the task.
    #[serde(rename = "type")]
    pub name: Option<String>,
    /// When it was first parked.
    pub parked_at: DateTime<Utc>,
    /// How often an equal message was parked.
    pub times: i64,
    /// Size of the body in bytes.
    pub body_bytes: usize,
    /// The message; not serialized.
    #[serde(skip)]
    pub message: StoredMessage,
}

impl ParkedRow {
    /// The place after which the next page begins.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            created_date: self.parked_at,
            id: self.id.to_string(),
        }
    }
}

/// A task that no service owned when it was sent, with what is needed to send it again.
#[derive(Debug, Clone, PartialEq)]
pub struct UnroutableTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// Type of the task.
    pub name: String,
    /// The attempt that found no queue.
    pub lineage: Lineage,
    /// The message as it was published.
    pub message: StoredMessage,
    /// Its place in the list, for the next page.
    pub place: Cursor,
}

impl UnroutableTask {
    /// The attempt that it is when the platform sends it again.
    #[must_use]
    pub const fn next(&self) -> Lineage {
        Lineage {
            rescue: self.lineage.rescue.saturating_add(1),
            deliveries: 0,
            ..self.lineage
        }
    }
}

/// A task whose worker vanished after it had taken the task over from the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct LostTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// Type of the task.
    pub name: String,
    /// The attempt that the worker had.
    pub lineage: Lineage,
    /// How often workers had vanished with it before.
    pub restarts: i32,
    /// The worker.
    pub worker: Option<WorkerId>,
    /// How long that may be silent.
    pub lease: Duration,
    /// The message as it was published. `None`: it is not known, so it cannot be sent again.
    pub message: Option<StoredMessage>,
}

impl LostTask {
    /// The attempt that it is when the platform sends it again.
    #[must_use]
    pub const fn next(&self) -> Lineage {
        Lineage {
            run: self.lineage.run,
            rescue: self.lineage.rescue.saturating_add(1),
            executions: self.lineage.retries(),
            deliveries: 0,
            tries: 0,
        }
    }

    /// What happened to it.
    #[must_use]
    pub fn fault(&self) -> TaskFault {
        let worker = self.worker.as_ref().map_or("its worker", |id| id.as_str());
        let message = format!("{worker} was silent for longer than {:?}", self.lease);
        TaskFault::new(FaultKind::WorkerLost, message)
    }
}

/// The columns of a stored message.
#[derive(Debug, FromRow)]
pub(crate) struct MessageColumns {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) message: Vec<u8>,
    pub(crate) headers: String,
    pub(crate) properties: String,
}

impl From<MessageColumns> for StoredMessage {
    fn from(columns: MessageColumns) -> Self {
        Self {
            exchange: columns.exchange.into(),
            routing_key: columns.routing_key.into(),
            content: Content {
                properties: properties_from_json(&columns.properties),
                headers: headers_from_json(&columns.headers),
                body: columns.message.into(),
            },
        }
    }
}
