//! What callers in Python are told, which no test fails.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::{CeleryTables, StoreError};
use counterfoil_toolbox::config::CeleryEncoding;
use std::time::Duration;

#[async_trait]
impl CeleryTables for FaultyStore {
    async fn keep_celery_results(&self, encoding: CeleryEncoding) -> Result<(), StoreError> {
        self.inner.keep_celery_results(encoding).await
    }
    async fn unlock_chords(&self, limit: u32) -> Result<usize, StoreError> {
        self.inner.unlock_chords(limit).await
    }
    async fn fail_replaced(&self, limit: u32) -> Result<usize, StoreError> {
        self.inner.fail_replaced(limit).await
    }
    async fn forget_skipped(&self, age: Duration) -> Result<(), StoreError> {
        self.inner.forget_skipped(age).await
    }
}
