//! Removing old tasks, and forgetting what was asked of workers.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{
    Cursor, FaultClass, KeptSessions, KeptTasks, KnownIds, OldSession, Removed, Retention,
    StoreError,
};
use counterfoil_toolbox::ids::{SessionId, TaskId};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl FaultyStore {
    /// Cannot forget what was asked of workers any more.
    pub(crate) fn keep_controls(&self) {
        self.keeps_controls.store(true, Ordering::SeqCst);
    }
}

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
    async fn finalizer_types(&self) -> Result<Vec<String>, StoreError> {
        self.inner.finalizer_types().await
    }
    async fn old_sessions(
        &self,
        kept: &[KeptSessions],
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<OldSession>, StoreError> {
        self.inner.old_sessions(kept, after, limit).await
    }
    async fn remove_sessions(&self, ids: &[SessionId]) -> Result<usize, StoreError> {
        self.inner.remove_sessions(ids).await
    }

    async fn forget_controls(&self, ended_for: Duration, limit: u32) -> Result<usize, StoreError> {
        match self.keeps_controls.load(Ordering::SeqCst) {
            true => Err(self.fault(FaultClass::Transient)),
            false => self.inner.forget_controls(ended_for, limit).await,
        }
    }
    async fn forget_deleted(&self, deleted_for: Duration, limit: u32) -> Result<usize, StoreError> {
        self.inner.forget_deleted(deleted_for, limit).await
    }
}
