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
use super::mailbox::{self, Mailbox};
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

/// What the broker calls itself, see [`ServerInfo::product`].
pub(crate) const PRODUCT: &str = "memory";

/// A broker in this process. Clones share it; it ends with its last clone, publisher and link.
///
/// ```
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::topology::{self, QueueSettings};
/// use counterfoil_toolbox::transport::{Transport, memory::MemoryBroker};
/// use counterfoil_toolbox::Producer;
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// topology::apply(&broker, topology::platform(&names, QueueSettings::default())).await?;
/// let producer = Producer::new(Arc::new(broker.clone()), names.clone());
/// producer.send(Add { x: 2, y: 3 }).await?;
/// let depth = broker.depth(&names.tracking_queue).await?.expect("it was declared");
/// assert_eq!(depth.ready, 1); // the copy for the platform
/// # Ok(()) }
/// ```
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
    ///
    /// ```
    /// # use counterfoil_toolbox::message::{Content, Headers};
    /// # use counterfoil_toolbox::names::ExchangeName;
    /// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
    /// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
    /// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
    /// # broker.declare(&item, Declare::Active).await?;
    /// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
    /// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
    /// let process = broker.connect();
    /// let mut subscription = Subscription::open(Arc::new(process.clone()), SubscribeOptions::new(queue.clone(), 1));
    /// let taken = subscription.next().await.expect("one waits");
    /// process.hang_up(); // it was killed
    /// assert_eq!(broker.depth(&queue).await?.unwrap().ready, 1); // so somebody else gets it
    /// # drop(taken);
    /// # Ok(()) }
    /// ```
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

    /// Channels that this client has open (see [`Self::connect`]), one for each subscription; on the handle that the
    /// broker was made with, those of everybody.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shared
            .with(|state| state.channels_of(self.client.id()).len())
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

    async fn mailbox(&self, mailbox: &Mailbox) -> Result<Box<dyn Link>, TransportError> {
        let mut link = self.link(&mailbox.queue).await?;
        self.shared.with(|state| state.make_mailbox(mailbox))?;
        link.consume(mailbox::TAG, mailbox.prefetch, None).await?;
        Ok(link)
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
            product: PRODUCT.to_owned(),
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
