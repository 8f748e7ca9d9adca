//! Lists for people, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{Counted, Lists, LivingCount, StoreError, TaskFilter, TaskPage};
use std::time::Duration;

#[async_trait]
impl Lists for FaultyStore {
    async fn page(&self, filter: &TaskFilter, within: Duration) -> Result<TaskPage, StoreError> {
        self.inner.page(filter, within).await
    }
    async fn count_tasks(&self, filter: &TaskFilter) -> Result<Counted, StoreError> {
        self.inner.count_tasks(filter).await
    }
    async fn count_living(&self) -> Result<Vec<LivingCount>, StoreError> {
        self.inner.count_living().await
    }
}
