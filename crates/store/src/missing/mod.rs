//! Tasks whose messages may be gone: they wait, and nothing was heard of them for a while.

mod calls;

pub(crate) use calls::implement_missing;

use crate::batch::Resent;
use crate::error::StoreError;
use crate::record::MessageColumns;
use crate::stored::StoredMessage;
use async_trait::async_trait;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use sqlx::FromRow;
use std::time::Duration;

/// A task that waits, or whose worker is gone, and of which nothing was heard for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// Type of the task.
    pub name: String,
    /// The attempt that the row shows.
    pub lineage: Lineage,
    /// The message as it was published: that of the coming attempt, whatever it says of its rescue.
    pub message: StoredMessage,
    /// Which delay levels a copy of it may ever have been in: level `n` is bit `n`.
    pub delay_bits: i32,
}

impl MissingTask {
    /// The attempt that it is when the platform sends it again. Its message tells how many retries are behind
    /// it; whatever is told of the one before is of an older rescue.
    #[must_use]
    pub fn next(&self, message: Lineage) -> Lineage {
        Lineage {
            run: self.lineage.run,
            rescue: self.lineage.rescue.saturating_add(1),
            executions: message.executions.max(self.lineage.retries()),
            deliveries: 0,
            tries: 0,
        }
    }
}

/// The part of [`Store`](crate::Store) that is about them.
#[async_trait]
pub trait MissingTasks {
    /// Tasks for the queues of `service` that wait, or that a worker had which is gone, that are not held, and that
    /// nothing was heard of for so long, nor should their messages be in the delay levels: in the order of
    /// their ids, those after `after`, at most so many, up to 10,000. Whether their messages are there only the
    /// broker knows.
    async fn missing_tasks(
        &self,
        service: &str,
        unheard_for: Duration,
        after: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<MissingTask>, StoreError>;

    /// Records that the platform sent these again, each as this attempt. Recording the same again is harmless.
    async fn mark_found(&self, tasks: &[(MissingTask, Lineage)]) -> Result<(), StoreError>;
}

/// What became of a message, for the history.
fn fault() -> TaskFault {
    let message = "its message was in no queue any more, and no worker had it: it is sent again";
    TaskFault::new(FaultKind::MessageLost, message)
}

impl<'a> From<&'a (MissingTask, Lineage)> for Resent<'a> {
    fn from((task, next): &'a (MissingTask, Lineage)) -> Self {
        Self {
            task_id: &task.task_id,
            name: &task.name,
            next: *next,
            why: Some(fault()),
        }
    }
}

#[derive(Debug, FromRow)]
pub(crate) struct MissingColumns {
    #[sqlx(try_from = "String")]
    task_id: TaskId,
    #[sqlx(rename = "type")]
    name: String,
    run: i32,
    rescue: i32,
    executions: i32,
    deliveries: i32,
    tries: i32,
    #[sqlx(flatten)]
    message: MessageColumns,
    delay_bits: i32,
}

impl From<MissingColumns> for MissingTask {
    fn from(columns: MissingColumns) -> Self {
        Self {
            task_id: columns.task_id,
            name: columns.name,
            lineage: Lineage {
                run: columns.run,
                rescue: columns.rescue,
                executions: columns.executions,
                deliveries: columns.deliveries,
                tries: columns.tries,
            },
            message: columns.message.into(),
            delay_bits: columns.delay_bits,
        }
    }
}
