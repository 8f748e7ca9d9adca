//! A broker in this process that routes and queues like RabbitMQ 3.10 does, for demos and tests.
//!
//! What the topology uses is here and behaves alike: topic, fanout, direct and headers exchanges,
//! bindings between exchanges, alternate exchanges, quorum and classic queues, streams, confirms,
//! delivery limits, dead-lettering with `x-death`, message TTL, maximum lengths. Time is tokio's,
//! so a test with a paused clock waits for nothing.
//!
//! Not here: `CC` and `BCC` headers, priorities, policies, transient or exclusive queues,
//! `x-expires`, `x-max-length-bytes`, and a stream's `x-max-age` (it keeps everything). Nothing is
//! written to disk: messages end with the last clone of the broker.

mod arguments;
mod broker;
mod channel;
mod client;
mod consume;
mod death;
mod declare;
mod deliver;
mod exchange;
mod faults;
mod letters;
mod pattern;
mod publish;
mod queue;
mod route;
#[cfg(test)]
mod tests;

pub use faults::Faults;

use super::link::Link;
use super::publisher::{Publisher, PublisherOptions};
use super::{Declare, DeclareError, QueueDepth, ServerInfo, Transport, TransportError};
use crate::names::{ExchangeName, QueueName};
use crate::topology::Item;
use async_trait::async_trait;
use broker::Shared;
use client::Client;
use consume::MemoryLink;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a message waits for its confirm unless its publisher says otherwise.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// A broker in this process. Clones share it; it ends with its last clone, publisher and link.
#[derive(Debug, Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
    client: Client,
}

impl MemoryBroker {
    /// An empty broker: no queues, and no exchange but the default one.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared::new();
        Self {
            client: Client::owner(&shared),
            shared,
        }
    }

    /// The same broker as a process of its own sees it, which can lose its connection, or be
    /// [killed](Self::hang_up), while others go on.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self {
            client: self.client.another(&self.shared),
            shared: self.shared.clone(),
        }
    }

    /// What the broker sees when a process is killed: all that this client (see [`Self::connect`]) had
    /// in hand goes back to its queues, and nothing of it is heard from now on, whatever still runs. On
    /// the handle that the broker was made with it concerns everybody.
    pub fn hang_up(&self) {
        self.client.hang_up(&self.shared);
    }

    /// Ways to make it misbehave, for tests. Those that concern connections concern the client of this
    /// handle (see [`Self::connect`]); on the handle that the broker was made with, everybody.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(self.shared.clone(), self.client.id())
    }

    fn ensure_reachable(&self) -> Result<(), TransportError> {
        self.client.ensure_open()?;
        self.shared.ensure_reachable()
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for MemoryBroker {
    fn publisher(&self, options: PublisherOptions) -> Publisher {
        self.shared.ensure_clock();
        let (publisher, end) = Publisher::new(&options, CONFIRM_TIMEOUT);
        self.shared.tasks.spawn(publish::drive(
            self.shared.clone(),
            self.client.closed().clone(),
            end,
            options,
            publisher.confirm_timeout(),
        ));
        publisher
    }

    async fn link(&self, queue: &QueueName) -> Result<Box<dyn Link>, TransportError> {
        self.ensure_reachable()?;
        self.shared.ensure_clock();
        Ok(Box::new(MemoryLink::open(
            self.shared.clone(),
            self.client.id(),
            queue.clone(),
        )))
    }

    async fn declare(&self, item: &Item, how: Declare) -> Result<(), DeclareError> {
        self.ensure_reachable()?;
        self.shared.with(|state| state.declare(item, how))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<QueueDepth>, TransportError> {
        self.ensure_reachable()?;
        Ok(self.shared.with(|state| state.depth(queue)))
    }

    async fn delete_queue(&self, queue: &QueueName) -> Result<(), TransportError> {
        self.ensure_reachable()?;
        self.shared.with(|state| state.delete_queue(queue));
        Ok(())
    }

    async fn delete_exchange(&self, exchange: &ExchangeName) -> Result<(), TransportError> {
        self.ensure_reachable()?;
        self.shared.with(|state| state.delete_exchange(exchange));
        Ok(())
    }

    async fn server(&self) -> Result<ServerInfo, TransportError> {
        self.ensure_reachable()?;
        Ok(ServerInfo {
            product: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Closes the connection of this client; on the handle that the broker was made with, the broker.
    async fn close(&self) {
        self.hang_up();
        if self.client.is_owner() {
            self.shared.tasks.close();
            self.shared.tasks.wait().await;
        }
    }
}
