//! Broker and database together, and one at a time at work on each dead queue.

use crate::error::OperationError;
use counterfoil_store::{DeadLetter, LeaderGuard, Store, StoredMessage};
use counterfoil_sync::dead_letter;
use counterfoil_toolbox::message::names::DELIVERY_COUNT;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::link::Arrival;
use std::sync::Arc;

/// Broker and database, for what needs both.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The broker.
    pub transport: Arc<dyn Transport>,
    /// What its exchanges and queues are called.
    pub names: Names,
    /// The database.
    pub store: Arc<dyn Store>,
}

impl Platform {
    /// Closes both.
    ///
    /// # Cancel safety
    /// Dropped, it leaves connections open.
    pub async fn close(&self) {
        self.transport.close().await;
        self.store.close().await;
    }

    /// Keeps others from dealing with the same dead queue at the same time, who would not see what is
    /// in hand here.
    pub(crate) async fn alone_with(
        &self,
        service: &ServiceName,
    ) -> Result<LeaderGuard, OperationError> {
        let name = format!("dead-{}{service}", self.names.prefix());
        let guard = self.store.try_lead(&name).await?;
        guard.ok_or_else(|| OperationError::AtWork {
            queue: self.names.dead_queue(service),
        })
    }

    /// Whether the service has a dead queue, whoever else has heard of it.
    ///
    /// # Errors
    /// [`OperationError::Transport`].
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn has_dead_queue(&self, service: &ServiceName) -> Result<bool, OperationError> {
        let queue = self.names.dead_queue(service);
        Ok(self.transport.depth(&queue).await?.is_some())
    }

    /// A message as the platform records it.
    pub(crate) fn letter(&self, arrival: Arrival) -> (u64, DeadLetter) {
        let mut content = arrival.content;
        content.headers.retain(|name| name != DELIVERY_COUNT);
        let message = StoredMessage {
            exchange: arrival.exchange.as_str().into(),
            routing_key: arrival.routing_key.as_str().into(),
            content,
        };
        (arrival.tag, dead_letter(message, &self.names))
    }
}
