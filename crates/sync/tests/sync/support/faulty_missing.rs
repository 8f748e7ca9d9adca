//! The parts of the store that fails on command which are about missing tasks, doubles and families.

use super::FaultyStore;
use async_trait::async_trait;
use counterfoil_store::record::{ResultRow, StateCount, TaskRow};
use counterfoil_store::{Double, Families, Identities, MissingTask, MissingTasks, StoreError};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use std::time::Duration;

#[async_trait]
impl MissingTasks for FaultyStore {
    async fn missing_tasks(
        &self,
        service: &str,
        unheard_for: Duration,
        after: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<MissingTask>, StoreError> {
        self.answers()?;
        let missing = self.inner.missing_tasks(service, unheard_for, after, limit);
        missing.await
    }
    async fn mark_found(&self, tasks: &[(MissingTask, Lineage)]) -> Result<(), StoreError> {
        self.marks_fail()?;
        self.inner.mark_found(tasks).await
    }
}

#[async_trait]
impl Identities for FaultyStore {
    async fn task_with_identity(
        &self,
        name: &str,
        identifier: &str,
    ) -> Result<Option<TaskRow>, StoreError> {
        self.answers()?;
        self.inner.task_with_identity(name, identifier).await
    }
    async fn doubles(&self, limit: u32) -> Result<Vec<Double>, StoreError> {
        self.answers()?;
        self.inner.doubles(limit).await
    }
}

#[async_trait]
impl Families for FaultyStore {
    async fn family_counts(&self, root_id: &TaskId) -> Result<Vec<StateCount>, StoreError> {
        self.answers()?;
        self.inner.family_counts(root_id).await
    }
    async fn family_results(&self, root_id: &TaskId) -> Result<Vec<ResultRow>, StoreError> {
        self.answers()?;
        self.inner.family_results(root_id).await
    }
}
