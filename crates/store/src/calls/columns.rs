//! Rows that are put together from more than one kind of column.

use crate::filter::Cursor;
use crate::owners::Owners;
use crate::record::{DeadRow, LostTask, MessageColumns, ParkedRow, StoredTask, UnroutableTask};
use crate::stored::StoredMessage;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::state::Lineage;
use sqlx::FromRow;
use std::time::Duration;
use uuid::Uuid;

/// The attempt columns of a row.
#[derive(Debug, FromRow)]
struct LineageColumns {
    run: i32,
    rescue: i32,
    executions: i32,
    deliveries: i32,
}

impl From<LineageColumns> for Lineage {
    fn from(columns: LineageColumns) -> Self {
        Self {
            run: columns.run,
            rescue: columns.rescue,
            executions: columns.executions,
            deliveries: columns.deliveries,
            tries: 0,
        }
    }
}

#[derive(Debug, FromRow)]
pub(crate) struct UnroutableColumns {
    id: String,
    created_date: DateTime<Utc>,
    #[sqlx(try_from = "String")]
    task_id: TaskId,
    #[sqlx(rename = "type")]
    name: String,
    #[sqlx(flatten)]
    lineage: LineageColumns,
    #[sqlx(flatten)]
    message: MessageColumns,
}

impl From<UnroutableColumns> for UnroutableTask {
    fn from(columns: UnroutableColumns) -> Self {
        Self {
            task_id: columns.task_id,
            name: columns.name,
            lineage: columns.lineage.into(),
            message: columns.message.into(),
            place: Cursor {
                created_date: columns.created_date,
                id: columns.id,
            },
        }
    }
}

#[derive(Debug, FromRow)]
pub(crate) struct LostTaskColumns {
    #[sqlx(try_from = "String")]
    task_id: TaskId,
    #[sqlx(rename = "type")]
    name: String,
    #[sqlx(flatten)]
    lineage: LineageColumns,
    tries: i32,
    restarts: Option<i32>,
    worker: Option<String>,
    lease_ms: i32,
    exchange: Option<String>,
    routing_key: Option<String>,
    message: Option<Vec<u8>>,
    headers: Option<String>,
    properties: Option<String>,
}

impl From<LostTaskColumns> for LostTask {
    fn from(columns: LostTaskColumns) -> Self {
        let message = || {
            Some(MessageColumns {
                exchange: columns.exchange?,
                routing_key: columns.routing_key?,
                message: columns.message?,
                headers: columns.headers?,
                properties: columns.properties?,
            })
        };
        Self {
            task_id: columns.task_id,
            name: columns.name,
            lineage: Lineage {
                tries: columns.tries,
                ..columns.lineage.into()
            },
            restarts: columns.restarts.unwrap_or(0),
            worker: columns.worker.and_then(|id| WorkerId::new(&id).ok()),
            lease: Duration::from_millis(columns.lease_ms.unsigned_abs().into()),
            message: message().map(StoredMessage::from),
        }
    }
}

#[derive(Debug, FromRow)]
pub(crate) struct StoredTaskColumns {
    #[sqlx(try_from = "String")]
    task_id: TaskId,
    run: i32,
    #[sqlx(flatten)]
    message: MessageColumns,
}

impl From<StoredTaskColumns> for StoredTask {
    fn from(columns: StoredTaskColumns) -> Self {
        Self {
            task_id: columns.task_id,
            run: columns.run,
            message: columns.message.into(),
        }
    }
}

/// Who was asked to run a task.
#[derive(Debug, FromRow)]
pub(crate) struct OwnersColumns {
    #[sqlx(try_from = "String")]
    task_id: TaskId,
    service: String,
    addressee: String,
}

impl From<OwnersColumns> for (TaskId, Owners) {
    fn from(columns: OwnersColumns) -> Self {
        let owners = Owners {
            by_name: columns.service.into(),
            by_key: columns.addressee.into(),
        };
        (columns.task_id, owners)
    }
}

#[derive(Debug, FromRow)]
pub(crate) struct DeadColumns {
    #[sqlx(try_from = "String")]
    id: Uuid,
    service: String,
    reason: String,
    reason_text: Option<String>,
    task_id: Option<String>,
    #[sqlx(rename = "type")]
    name: Option<String>,
    #[sqlx(flatten)]
    lineage: LineageColumns,
    died_at: DateTime<Utc>,
    times: i64,
    #[sqlx(flatten)]
    message: MessageColumns,
}

impl From<DeadColumns> for DeadRow {
    fn from(columns: DeadColumns) -> Self {
        Self {
            id: columns.id,
            service: columns.service,
            reason: columns.reason,
            reason_text: columns.reason_text,
            task_id: columns.task_id,
            name: columns.name,
            attempt: Lineage::from(columns.lineage).to_string(),
            died_at: columns.died_at,
            times: columns.times,
            message: columns.message.into(),
        }
    }
}

#[derive(Debug, FromRow)]
pub(crate) struct ParkedColumns {
    #[sqlx(try_from = "String")]
    id: Uuid,
    queue: String,
    reason: String,
    task_id: Option<String>,
    #[sqlx(rename = "type")]
    name: Option<String>,
    parked_at: DateTime<Utc>,
    times: i64,
    #[sqlx(flatten)]
    message: MessageColumns,
}

impl From<ParkedColumns> for ParkedRow {
    fn from(columns: ParkedColumns) -> Self {
        Self {
            id: columns.id,
            queue: columns.queue,
            reason: columns.reason,
            task_id: columns.task_id,
            name: columns.name,
            parked_at: columns.parked_at,
            times: columns.times,
            body_bytes: columns.message.message.len(),
            message: StoredMessage::from(columns.message),
        }
    }
}
