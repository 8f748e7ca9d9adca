//! Its sessions.

use super::faulty::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{
    AbortingSession, SessionFilter, SessionRow, Sessions, StoreError, SubtaskRow,
};
use counterfoil_toolbox::SessionId;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl FaultyStore {
    /// How often it was asked how many subtasks of a session were never sent.
    pub(crate) fn counts(&self) -> usize {
        self.counts.load(Ordering::SeqCst)
    }

    /// How often it was asked for sessions, but for a single one.
    pub(crate) fn lists(&self) -> usize {
        self.lists.load(Ordering::SeqCst)
    }

    /// Takes so long to answer that from now on.
    pub(crate) fn count_slowly(&self, time: Duration) {
        *self.counting.lock().expect("not poisoned") = time;
    }
}

#[async_trait]
impl Sessions for FaultyStore {
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, StoreError> {
        let is_list = filter.id.is_none();
        self.lists.fetch_add(is_list.into(), Ordering::SeqCst);
        self.inner.sessions(filter).await
    }
    async fn subtasks(
        &self,
        session: &SessionId,
        after: Option<i32>,
        limit: u32,
    ) -> Result<Vec<SubtaskRow>, StoreError> {
        self.inner.subtasks(session, after, limit).await
    }
    async fn unfinished_subtasks(
        &self,
        session: &SessionId,
        after: Option<i32>,
        limit: u32,
    ) -> Result<Vec<SubtaskRow>, StoreError> {
        self.inner.unfinished_subtasks(session, after, limit).await
    }
    async fn unsent_subtasks(&self, session: &SessionId) -> Result<i64, StoreError> {
        self.counts.fetch_add(1, Ordering::SeqCst);
        let time = *self.counting.lock().expect("not poisoned");
        tokio::time::sleep(time).await;
        self.inner.unsent_subtasks(session).await
    }
    async fn open_sessions(&self) -> Result<i64, StoreError> {
        self.inner.open_sessions().await
    }
    async fn aborting_sessions(&self, limit: u32) -> Result<Vec<AbortingSession>, StoreError> {
        self.inner.aborting_sessions(limit).await
    }
    async fn overdue_sessions(
        &self,
        estimate: Duration,
        buffer: Duration,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.inner.overdue_sessions(estimate, buffer, limit).await
    }
}
