//! What a dashboard reads beside rows, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{
    ActionFilter, ChangeFeed, Changes, FeedPosition, OperatorAction, OperatorActions, OperatorDeed,
    RequestClaim, RequestKeys, Rollup, Rollups, StoreError, TypeRollup,
};
use counterfoil_toolbox::ids::TaskId;
use std::time::Duration;
use uuid::Uuid;

#[async_trait]
impl ChangeFeed for FaultyStore {
    async fn feed_position(&self) -> Result<FeedPosition, StoreError> {
        self.inner.feed_position().await
    }
    async fn changes_since(&self, position: &FeedPosition) -> Result<Changes, StoreError> {
        self.inner.changes_since(position).await
    }
    async fn tasks_with_public_ids(&self, ids: &[String]) -> Result<Vec<TaskRow>, StoreError> {
        self.inner.tasks_with_public_ids(ids).await
    }
    async fn mark_changes(&self, id: Uuid) -> Result<(), StoreError> {
        self.inner.mark_changes(id).await
    }
    async fn forget_changes(&self, age: Duration, limit: u32) -> Result<usize, StoreError> {
        self.inner.forget_changes(age, limit).await
    }
}

#[async_trait]
impl Rollups for FaultyStore {
    async fn rollup(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        step: Duration,
        service: Option<&str>,
        name: Option<&str>,
    ) -> Result<Rollup, StoreError> {
        self.inner.rollup(from, to, step, service, name).await
    }
    async fn rollup_types(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<TypeRollup>, StoreError> {
        self.inner.rollup_types(from, to).await
    }
    async fn add_up_rollups(&self, limit: u32) -> Result<usize, StoreError> {
        self.inner.add_up_rollups(limit).await
    }
    async fn forget_rollups(&self, limit: u32) -> Result<usize, StoreError> {
        self.inner.forget_rollups(limit).await
    }
}

#[async_trait]
impl OperatorActions for FaultyStore {
    async fn record_deed(&self, deed: &OperatorDeed) -> Result<(), StoreError> {
        self.inner.record_deed(deed).await
    }
    async fn operator_actions(
        &self,
        filter: &ActionFilter,
    ) -> Result<Vec<OperatorAction>, StoreError> {
        self.inner.operator_actions(filter).await
    }
}

#[async_trait]
impl RequestKeys for FaultyStore {
    async fn claim_request(
        &self,
        owner: &str,
        key: &str,
        digest: &[u8],
        task_id: &TaskId,
    ) -> Result<RequestClaim, StoreError> {
        self.inner.claim_request(owner, key, digest, task_id).await
    }
    async fn answer_request(
        &self,
        owner: &str,
        key: &str,
        task_id: &TaskId,
    ) -> Result<(), StoreError> {
        self.inner.answer_request(owner, key, task_id).await
    }
    async fn renew_request(
        &self,
        owner: &str,
        key: &str,
        task_id: &TaskId,
        age: Duration,
    ) -> Result<bool, StoreError> {
        self.inner.renew_request(owner, key, task_id, age).await
    }
    async fn free_request(
        &self,
        owner: &str,
        key: &str,
        task_id: &TaskId,
    ) -> Result<(), StoreError> {
        self.inner.free_request(owner, key, task_id).await
    }
    async fn forget_requests(&self, age: Duration, limit: u32) -> Result<usize, StoreError> {
        self.inner.forget_requests(age, limit).await
    }
}
