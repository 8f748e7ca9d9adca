//! Broker and database together, and one command at a time on each dead queue.

use crate::failure::Failure;
use crate::open;
use counterfoil_store::{DeadLetter, LeaderGuard, Store, StoredMessage};
use counterfoil_sync::dead_letter;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::message::names::DELIVERY_COUNT;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::link::Arrival;
use std::sync::Arc;

/// Broker and database, for commands that need both.
pub(crate) struct Platform {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) store: Arc<dyn Store>,
}

impl Platform {
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        Self::open_with(open::database(config).await?, config).await
    }

    /// The same where the database is open already.
    pub(crate) async fn open_with(store: Arc<dyn Store>, config: &Config) -> Result<Self, Failure> {
        let names = open::names(&config.broker)?;
        Ok(Self {
            store,
            transport: open::broker(&config.broker).await?,
            names,
        })
    }

    pub(crate) async fn close(&self) {
        self.transport.close().await;
        self.store.close().await;
    }

    /// Keeps others from dealing with the same dead queue at the same time, who would not see what is
    /// in hand here.
    pub(super) async fn alone_with(&self, service: &ServiceName) -> Result<LeaderGuard, Failure> {
        let name = format!("dead-{}{service}", self.names.prefix());
        self.store.try_lead(&name).await?.ok_or_else(|| {
            let queue = self.names.dead_queue(service);
            Failure::failed(format!("another command is at work on {queue}"))
                .remedy("wait until it is done")
        })
    }

    /// Whether the service has a dead queue, whoever else has heard of it.
    pub(super) async fn has_dead_queue(&self, service: &ServiceName) -> Result<bool, Failure> {
        let queue = self.names.dead_queue(service);
        Ok(self.transport.depth(&queue).await?.is_some())
    }

    /// A message as the platform records it.
    pub(super) fn letter(&self, arrival: Arrival) -> (u64, DeadLetter) {
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
