//! Its sessions.

use super::faulty::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{
    AbortingSession, SessionFilter, SessionRow, Sessions, StoreError, SubtaskRow,
};
use counterfoil_toolbox::SessionId;
use std::time::Duration;

#[async_trait]
impl Sessions for FaultyStore {
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, StoreError> {
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
        self.inner.unsent_subtasks(session).await
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
