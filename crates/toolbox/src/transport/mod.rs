//! How messages get to a broker and back: one trait, RabbitMQ and a broker in memory behind it.
//!
//! - [`Publisher`] sends messages and answers each with a confirm.
//! - [`Subscription`] delivers the messages of a queue, settles them, and survives reconnects.
//! - [`Transport`] opens both, and declares what they need.
//!
//! One suite (`counterfoil_testkit::transport_suite`) holds both implementations to the same promises.

mod ack;
#[cfg(feature = "amqp")]
pub mod amqp;
mod caution;
mod delivery;
mod error;
mod hand;
mod limits;
pub mod link;
pub mod memory;
mod publisher;
mod subscription;

pub use delivery::{Delivery, Requeue, Settled};
pub use error::{DeclareError, PublishError, TransportError};
pub use hand::InHand;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declare {
    /// Create it when it is missing; refuse when it is there with other arguments.
    Active,
    /// Only look whether it is there.
    Passive,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that wait for a consumer.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// Who a broker is.
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
