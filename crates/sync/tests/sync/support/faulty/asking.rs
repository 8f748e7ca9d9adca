//! Asking alone, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{Asking, Batch, StoreError};

#[async_trait]
impl Asking for FaultyStore {
    async fn only_ask(&self, batch: &Batch) -> Result<(), StoreError> {
        self.inner.only_ask(batch).await
    }
}
