//! Balancing the books, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{Books, DeletedTask, StoreError, Stray};
use counterfoil_toolbox::TaskId;
use std::collections::HashSet;

#[async_trait]
impl Books for FaultyStore {
    async fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        self.inner.strays().await
    }
    async fn deleted_task(&self, id: &str) -> Result<Option<DeletedTask>, StoreError> {
        self.inner.deleted_task(id).await
    }
    async fn unsent_tasks(&self, ids: &[TaskId]) -> Result<HashSet<TaskId>, StoreError> {
        self.inner.unsent_tasks(ids).await
    }
}
