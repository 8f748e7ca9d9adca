//! Canaries: messages that must come through everywhere, or somebody should know.
//!
//! A task that no service owns has to appear in the tracking queue and among the unroutable, an
//! event in the queue of events. A missing binding loses such messages without any error; only
//! their absence tells. Any daemon may see them, so sightings go through the database.

use crate::health::{Canary, Health};
use counterfoil_store::{CanaryPlace, Store, StoreError};
use counterfoil_toolbox::doctor::canary;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublishError, Publisher, PublisherOptions, Transport};
use std::sync::Arc;
use uuid::Uuid;

/// How many canaries are looked through for the last one: other daemons may have sent some, and people (`doctor
/// --probe`, `audit`).
const LOOK_BACK: u32 = 200;

/// Sends a canary at each round, and says what became of the one before.
#[derive(Debug)]
pub(crate) struct Canaries {
    names: Names,
    store: Arc<dyn Store>,
    health: Arc<Health>,
    publisher: Publisher,
    last: Option<Uuid>,
}

impl Canaries {
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            names,
            store,
            health,
            publisher: transport.publisher(PublisherOptions::default()),
            last: None,
        }
    }

    /// Looks for the last canary and sends the next.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn round(&mut self) -> Result<(), StoreError> {
        if let Some(last) = self.last.take() {
            self.look_for(last).await?;
        }
        let id = Uuid::now_v7();
        self.store.canary_sent(id).await?;
        match self.send(id).await {
            Ok(()) => self.last = Some(id),
            // Then the broker is away, which shows elsewhere: this canary never flew.
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "canary not sent"),
        }
        Ok(())
    }

    async fn look_for(&self, id: Uuid) -> Result<(), StoreError> {
        let canaries = self.store.canaries(LOOK_BACK).await?;
        let Some(row) = canaries.into_iter().find(|row| row.id == id) else {
            return Ok(());
        };
        let missing: Vec<_> = row.missing().map(CanaryPlace::as_str).collect();
        let sent_at = row.sent_at;
        self.health.canary(if missing.is_empty() {
            Canary::Seen { sent_at }
        } else {
            tracing::error!(
                ?missing,
                %sent_at,
                "a canary did not come through: bindings are missing (`counterfoil topology apply` sets them), the daemon is far behind, or another one took it for another database"
            );
            Canary::Missed { sent_at, missing }
        });
        Ok(())
    }

    async fn send(&self, id: Uuid) -> Result<(), PublishError> {
        let [task, event] = canary(&self.names, id);
        // Not mandatory: what no queue takes is for the look-out to find.
        self.publisher.publish(task).await?;
        self.publisher.publish(event).await
    }
}
