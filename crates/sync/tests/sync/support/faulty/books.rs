//! Balancing the books, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{Books, StoreError, Stray};
use counterfoil_toolbox::TaskId;
use std::collections::HashSet;

#[async_trait]
impl Books for FaultyStore {
    async fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        self.inner.strays().await
    }
    async fn unsent_tasks(&self, ids: &[TaskId]) -> Result<HashSet<TaskId>, StoreError> {
        self.inner.unsent_tasks(ids).await
    }
}
