//! How messages get to a broker and back: one trait, RabbitMQ and a broker in memory behind it.
//!
//! - [`Publisher`] sends messages and answers each with a confirm.
//! - [`Subscription`] delivers the messages of a queue, settles them, and survives reconnects.
//! - [`Transport`] opens both, and declares what they need.
//!
//! One suite (`counterfoil_testkit::transport_suite`) holds both implementations to the same promises.

mod ack;
mod address;
#[cfg(feature = "amqp")]
pub mod amqp;
mod caution;
mod delivery;
mod error;
mod hand;
mod limits;
pub mod link;
mod mailbox;
pub mod memory;
mod publisher;
mod subscription;

pub use address::Address;
pub use delivery::{Delivery, Requeue, Settled};
pub use error::{DeclareError, PublishError, TransportError};
pub use hand::InHand;
pub use mailbox::Mailbox;
pub use publisher::{Confirm, Connect, Publication, Publisher, PublisherOptions, PublisherStatus};
pub use subscription::{StreamOffset, SubscribeOptions, Subscription, SubscriptionStatus};

use crate::names::{ExchangeName, QueueName};
use crate::topology::Item;
use async_trait::async_trait;
use std::fmt;
use std::future::Future;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A broker: RabbitMQ over AMQP, or one that lives in this process.
///
/// Publishing and consuming use separate connections, since a broker that blocks publishers
/// (memory or disk alarm) stops reading from their connection, acknowledgements included.
///
/// ```
/// use counterfoil_toolbox::names::QueueName;
/// use counterfoil_toolbox::transport::{Transport, TransportError, memory::MemoryBroker};
///
/// /// Asks RabbitMQ in earnest, and a broker in memory in a test.
/// async fn waiting(transport: &dyn Transport, queue: &QueueName) -> Result<u32, TransportError> {
///     Ok(transport.depth(queue).await?.map_or(0, |depth| depth.ready))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let export: QueueName = "export".parse()?;
/// assert_eq!(waiting(&MemoryBroker::new(), &export).await?, 0);
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a publisher. It connects in the background and reconnects by itself.
    fn publisher(&self, options: PublisherOptions) -> Publisher;

    /// The runtime that it works on, if it has one of its own: what must go on while other code
    /// blocks its threads belongs there. `None`: it works on the runtime of its callers.
    fn runtime(&self) -> Option<Handle> {
        None
    }

    /// Opens one channel on the consuming connection; [`Subscription`] is built on it.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached or refuses.
    async fn link(&self, queue: &QueueName) -> Result<Box<dyn link::Link>, TransportError>;

    /// Makes a [`Mailbox`] and begins to read it, on a channel of its own. What comes has to be settled.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached or refuses, and where the transport has none.
    async fn mailbox(&self, mailbox: &Mailbox) -> Result<Box<dyn link::Link>, TransportError> {
        Err(TransportError::Refused {
            what: format!("mailbox {}", mailbox.queue),
            reason: "this transport has none".to_owned(),
        })
    }

    /// Where the broker is. `None`: nowhere, or the transport does not tell.
    fn address(&self) -> Option<Address> {
        None
    }

    /// Declares one exchange, queue or binding, or only looks whether it is there.
    ///
    /// # Errors
    /// [`DeclareError`] tells a missing thing and a different one apart from a broker that is away.
    async fn declare(&self, item: &Item, how: Declare) -> Result<(), DeclareError>;

    /// Ready messages and consumers of a queue; `None` when there is no such queue.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached or refuses.
    async fn depth(&self, queue: &QueueName) -> Result<Option<QueueDepth>, TransportError>;

    /// Deletes a queue with all its messages; fine when there is none.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached or refuses.
    async fn delete_queue(&self, queue: &QueueName) -> Result<(), TransportError>;

    /// Deletes an exchange; fine when there is none.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached or refuses.
    async fn delete_exchange(&self, exchange: &ExchangeName) -> Result<(), TransportError>;

    /// Who the broker is.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached or refuses.
    async fn server(&self) -> Result<ServerInfo, TransportError>;

    /// Closes all connections. Publishers and subscriptions end with an error afterwards.
    async fn close(&self);
}

/// Runs `work` where `transport` works: see [`Transport::runtime`].
///
/// ```
/// use counterfoil_toolbox::transport::spawn_beside;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = counterfoil_toolbox::transport::memory::MemoryBroker::new();
/// let beat = spawn_beside(&transport, async { "still here" }); // over AMQP: whatever blocks this runtime
/// assert_eq!(beat.await?, "still here");
/// # Ok(()) }
/// ```
///
/// # Panics
/// Outside of a runtime, when the transport has none of its own.
pub fn spawn_beside<T: Send + 'static>(
    transport: &dyn Transport,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    transport
        .runtime()
        .unwrap_or_else(Handle::current)
        .spawn(work)
}

/// Whether a declaration may create what is missing.
///
/// ```
/// # use counterfoil_toolbox::message::Headers;
/// use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// use counterfoil_toolbox::transport::{Declare, DeclareError, Transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = counterfoil_toolbox::transport::memory::MemoryBroker::new();
/// # let item = Item::Queue(Queue { name: "letters".parse()?, kind: QueueKind::Quorum, arguments: Headers::new() });
/// let found = broker.declare(&item, Declare::Passive).await;
/// assert!(matches!(found, Err(DeclareError::Missing { .. })));
/// broker.declare(&item, Declare::Active).await?; // now it is there
/// broker.declare(&item, Declare::Passive).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declare {
    /// Create it when it is missing; refuse when it is there with other arguments.
    Active,
    /// Only look whether it is there.
    Passive,
}

/// How full a queue is.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, Transport, memory::MemoryBroker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// let depth = broker.depth(&queue).await?.expect("the queue exists");
/// assert_eq!((depth.ready, depth.consumers), (1, 0)); // one waits, and nobody reads it
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that wait for a consumer.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// Who a broker is.
///
/// ```
/// # use counterfoil_toolbox::transport::{Transport, memory::MemoryBroker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = MemoryBroker::new();
/// let server = transport.server().await?;
/// println!("{} {}", server.product, server.version); // "RabbitMQ 4.1.3"
/// # assert_eq!(server.product, "memory");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// `RabbitMQ`, or `memory`.
    pub product: String,
    /// `3.10.8`, or [`ServerInfo::UNKNOWN`].
    pub version: String,
}

impl ServerInfo {
    /// The version of a broker that does not tell it: over TLS it is not asked.
    pub const UNKNOWN: &str = "unknown";
}
