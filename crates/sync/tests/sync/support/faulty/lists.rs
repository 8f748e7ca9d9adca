//! Lists and glances for people, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_store::record::{EventRow, LogRow, TaskRow};
use counterfoil_store::{
    Counted, Delayed, DiedSince, Glances, Lists, LivingCount, Part, RunningTask, StoreError,
    TaskFilter, TaskPage,
};
use counterfoil_toolbox::ids::TaskId;
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

#[async_trait]
impl Glances for FaultyStore {
    async fn first_of_family(
        &self,
        root_id: &TaskId,
        limit: u32,
    ) -> Result<Part<TaskRow>, StoreError> {
        self.inner.first_of_family(root_id, limit).await
    }
    async fn last_of_history(
        &self,
        task_id: &TaskId,
        limit: u32,
    ) -> Result<Part<EventRow>, StoreError> {
        self.inner.last_of_history(task_id, limit).await
    }
    async fn last_of_log(&self, task_id: &TaskId, limit: u32) -> Result<Part<LogRow>, StoreError> {
        self.inner.last_of_log(task_id, limit).await
    }
    async fn running(&self, workers: &[&str], each: u32) -> Result<Vec<RunningTask>, StoreError> {
        self.inner.running(workers, each).await
    }
    async fn delayed(&self) -> Result<Delayed, StoreError> {
        self.inner.delayed().await
    }
    async fn died_since(
        &self,
        since: DateTime<Utc>,
        lately: DateTime<Utc>,
        most: u32,
    ) -> Result<Vec<DiedSince>, StoreError> {
        self.inner.died_since(since, lately, most).await
    }
    async fn count_parked(&self, most: u32) -> Result<i64, StoreError> {
        self.inner.count_parked(most).await
    }
}
