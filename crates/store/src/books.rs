//! Ids that are known somewhere and have no row.

use crate::error::StoreError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::TaskId;
use serde::Serialize;
use sqlx::FromRow;
use std::collections::HashSet;

/// An id without a row, and where it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, FromRow)]
pub struct Stray {
    /// Id of the task.
    pub task_id: String,
    /// Name of the table.
    pub place: String,
}

/// A task that somebody deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct DeletedTask {
    /// Its id on the wire.
    pub task_id: String,
    /// Its public id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub name: String,
    /// Who deleted it.
    pub deleted_by: Option<String>,
    /// When.
    pub deleted_at: DateTime<Utc>,
}

/// What balancing the books needs. Part of [`Store`](crate::Store).
#[async_trait]
pub trait Books: Send + Sync {
    /// Ids without a row of dead letters and of subtasks of sessions that are over; and of tasks that were
    /// published from the outbox a minute ago or earlier. The first 10,000, in their order. What is parked
    /// may be what should have become the row, and what people deleted has none on purpose. Histories, results and logs are asked by
    /// [`ids_without_row`](crate::Retention::ids_without_row).
    async fn strays(&self) -> Result<Vec<Stray>, StoreError>;

    /// The task of this public id or task id, if somebody deleted it with
    /// [`delete_tasks`](crate::Store::delete_tasks) within the last months.
    async fn deleted_task(&self, id: &str) -> Result<Option<DeletedTask>, StoreError>;

    /// Those of these tasks that wait in the outbox: nobody has sent them yet. Ask for at most 10,000 at a
    /// time.
    async fn unsent_tasks(&self, ids: &[TaskId]) -> Result<HashSet<TaskId>, StoreError>;
}

/// Implements [`Books`] for a store that has what [`implement_store!`](crate::calls::implement_store) needs.
macro_rules! implement_books {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::books::Books for $store {
            async fn strays(&self) -> Result<Vec<crate::books::Stray>, StoreError> {
                let strays = query_as(self.sql.strays).bind(row_limit(0));
                self.all("look for ids without a row", strays).await
            }

            async fn deleted_task(
                &self,
                id: &str,
            ) -> Result<Option<crate::books::DeletedTask>, StoreError> {
                let task = query_as(self.sql.deleted_task).bind(cleaned(id, INDEXED).into_owned());
                Ok(self.all("look for a deleted task", task).await?.pop())
            }

            async fn unsent_tasks(&self, ids: &[TaskId]) -> Result<HashSet<TaskId>, StoreError> {
                let ids = Self::texts(ids.iter().map(|id| id.as_str()));
                let unsent = query_as::<_, (String,)>(self.sql.unsent_tasks).bind(ids);
                let unsent = self.all("look what waits in the outbox", unsent).await?;
                let unsent = unsent.iter().filter_map(|(id,)| TaskId::new(id).ok());
                Ok(unsent.collect())
            }
        }
    };
}
pub(crate) use implement_books;
