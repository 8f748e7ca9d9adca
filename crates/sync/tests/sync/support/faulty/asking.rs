//! Asking alone, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::record::ControlRow;
use counterfoil_store::{Asking, Batch, StoreError};
use uuid::Uuid;

#[async_trait]
impl Asking for FaultyStore {
    async fn only_ask(&self, batch: &Batch) -> Result<(), StoreError> {
        self.inner.only_ask(batch).await
    }
    async fn only_asks(&self) -> Result<Option<String>, StoreError> {
        self.inner.only_asks().await
    }
    async fn unanswered(&self, limit: u32) -> Result<Vec<ControlRow>, StoreError> {
        self.inner.unanswered(limit).await
    }
    async fn remove_answered(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        self.inner.remove_answered(ids).await
    }
}
