//! Removing old tasks, which never fails here.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{Cursor, KeptTasks, KnownIds, Removed, Retention, StoreError};
use counterfoil_toolbox::ids::{SessionId, TaskId};
use std::time::Duration;

#[async_trait]
impl Retention for FaultyStore {
    async fn task_types(&self) -> Result<Vec<String>, StoreError> {
        self.inner.task_types().await
    }
    async fn retentions(&self) -> Result<Vec<Duration>, StoreError> {
        self.inner.retentions().await
    }
    async fn remove_old(
        &self,
        tasks: &KeptTasks,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Removed, StoreError> {
        self.inner.remove_old(tasks, after, limit).await
    }
    async fn ids_without_row(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<KnownIds, StoreError> {
        self.inner.ids_without_row(after, limit).await
    }
    async fn remove_strays(&self, ids: &[TaskId], keep: Duration) -> Result<(), StoreError> {
        self.inner.remove_strays(ids, keep).await
    }
    async fn drop_empty_months(&self) -> Result<usize, StoreError> {
        self.inner.drop_empty_months().await
    }
    async fn remove_sessions(&self, ids: &[SessionId]) -> Result<usize, StoreError> {
        self.inner.remove_sessions(ids).await
    }

    async fn forget_controls(&self, ended_for: Duration) -> Result<(), StoreError> {
        self.inner.forget_controls(ended_for).await
    }
}
