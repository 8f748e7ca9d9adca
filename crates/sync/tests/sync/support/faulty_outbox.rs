//! The outbox of a store that fails on demand.

use super::faulty::FaultyStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_store::{
    AppConnection, Firing, Outbox, OutboxMessage, OutboxState, OutboxWake, RefusedMessage,
    ScheduleRow, Schedules, StoreError,
};
use counterfoil_toolbox::producer::Draft;
use std::time::Duration;

#[async_trait]
impl Outbox for FaultyStore {
    async fn draft_in(
        &self,
        connection: AppConnection<'_>,
        draft: &Draft,
    ) -> Result<(), StoreError> {
        self.inner().draft_in(connection, draft).await
    }
    async fn due_messages(
        &self,
        held: &[String],
        most: u32,
        bytes: u32,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        self.inner().due_messages(held, most, bytes).await
    }
    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        self.inner().next_due().await
    }
    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreError> {
        self.marks()?;
        self.inner().mark_sent(positions).await
    }
    async fn refuse_message(&self, position: i64, why: &str) -> Result<(), StoreError> {
        self.marks()?;
        self.inner().refuse_message(position, why).await
    }
    async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        self.inner().outbox_state().await
    }
    async fn refused_messages(
        &self,
        id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RefusedMessage>, StoreError> {
        self.inner().refused_messages(id, limit).await
    }
    async fn retry_refused(&self, positions: &[i64]) -> Result<Vec<i64>, StoreError> {
        self.inner().retry_refused(positions).await
    }
    async fn forget_sent(&self, age: Duration, limit: u32) -> Result<u64, StoreError> {
        self.inner().forget_sent(age, limit).await
    }
    async fn outbox_wake(&self) -> Result<OutboxWake, StoreError> {
        self.inner().outbox_wake().await
    }
}

#[async_trait]
impl Schedules for FaultyStore {
    async fn schedules(&self, name: Option<&str>) -> Result<Vec<ScheduleRow>, StoreError> {
        self.inner().schedules(name).await
    }
    async fn add_schedule(&self, schedule: &ScheduleRow) -> Result<bool, StoreError> {
        self.inner().add_schedule(schedule).await
    }
    async fn remove_schedule(&self, name: &str) -> Result<bool, StoreError> {
        self.inner().remove_schedule(name).await
    }
    async fn enable_schedule(
        &self,
        name: &str,
        enabled: bool,
        next_at: Option<DateTime<Utc>>,
    ) -> Result<bool, StoreError> {
        self.inner().enable_schedule(name, enabled, next_at).await
    }
    async fn due_schedules(
        &self,
        except: &[String],
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        self.inner().due_schedules(except, limit).await
    }
    async fn fire(&self, firing: &Firing) -> Result<bool, StoreError> {
        self.inner().fire(firing).await
    }
    async fn put(&self, draft: &Draft) -> Result<(), StoreError> {
        self.inner().put(draft).await
    }
}
