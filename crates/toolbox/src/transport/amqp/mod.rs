//! RabbitMQ over AMQP, through lapin.
//!
//! lapin's own recovery stays off: it doubles bindings, leaks connections, and can pend for ever
//! without saying so. Connections come from pools that replace dead ones; channels are owned by
//! loops that open new ones.

mod connection;
mod consumer;
mod convert;
mod declare;
mod fault;
mod greeting;
mod mailbox;
mod publisher;
mod rehearse;
mod threads;

pub use rehearse::Rehearsed;

use super::error::TransportError;
use super::link::Link;
use super::publisher::Publisher;
use super::{
    Address, Declare, DeclareError, Mailbox, PublisherOptions, QueueDepth, ServerInfo, Transport,
};
use crate::config::BrokerSettings;
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::topology::Item;
use async_trait::async_trait;
use connection::{Broker, Connections};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// A RabbitMQ broker, or a cluster of them behind several URLs.
///
/// It has a thread of its own, on which it connects, publishes and acknowledges: heartbeats go on
/// while every thread of the runtime around it is blocked.
///
/// ```
/// use counterfoil_toolbox::Producer;
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
/// use counterfoil_toolbox::transport::amqp::AmqpTransport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = LoadOptions::new(Role::Producer).env([("COUNTERFOIL_BROKER__URL", "amqp://shop:secret@127.0.0.1:1/orders")]);
/// let config = Config::load(options)?; // broker.url = "amqp://shop:secret@…/orders"
/// let transport = AmqpTransport::new(&config.broker)?; // no broker has to be there yet
/// assert_eq!((transport.user(), transport.vhost()), ("shop", "orders"));
/// let producer = Producer::new(transport, config.broker.names()?); // it connects from now on
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct AmqpTransport {
    connections: Connections,
    confirm_timeout: Duration,
}

impl AmqpTransport {
    /// A transport that connects when it is first used.
    ///
    /// # Errors
    /// [`TransportError::Refused`] when a URL or the file of certificates cannot be read.
    pub fn new(settings: &BrokerSettings) -> Result<Arc<Self>, TransportError> {
        Ok(Arc::new(Self {
            connections: Connections::new(settings)?,
            confirm_timeout: settings.confirm_timeout,
        }))
    }

    /// The broker's user, from the URL.
    #[must_use]
    pub fn user(&self) -> &str {
        self.connections.user()
    }

    /// The virtual host, from the first URL.
    #[must_use]
    pub fn vhost(&self) -> &str {
        let brokers = self.connections.brokers();
        brokers.first().map_or("", |broker| &broker.uri.vhost)
    }

    /// Consumes `queue` before everybody else: as long as fewer than `prefetch` messages are in hand, each
    /// that comes is delivered here. What is not settled goes back when the link is closed.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be reached, refuses, or has no such queue.
    pub async fn first_in_line(
        &self,
        queue: &QueueName,
        tag: &str,
        prefetch: u16,
    ) -> Result<Box<dyn Link>, TransportError> {
        let mut link = self.new_link(queue).await?;
        link.consume_first(tag, prefetch).await?;
        Ok(Box::new(link))
    }

    /// Whether a message could be published to `exchange` with `key`. None is.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be asked.
    pub async fn may_publish(
        &self,
        exchange: &ExchangeName,
        key: &RoutingKey,
    ) -> Result<Rehearsed, TransportError> {
        rehearse::publish(&self.connections, exchange, key).await
    }

    /// Whether `queue` could be consumed. It is not.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be asked.
    pub async fn may_consume(&self, queue: &QueueName) -> Result<Rehearsed, TransportError> {
        rehearse::consume(&self.connections, queue).await
    }

    /// Whether a queue of this name could be declared. It is not; there should be none.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be asked.
    pub async fn may_declare(&self, queue: &QueueName) -> Result<Rehearsed, TransportError> {
        rehearse::declare(&self.connections, queue).await
    }

    async fn new_link(&self, queue: &QueueName) -> Result<consumer::AmqpLink, TransportError> {
        let channel = self.connections.consuming_channel().await?;
        let deadline = self.connections.deadline();
        Ok(consumer::AmqpLink::new(channel, queue.clone(), deadline))
    }
}

#[async_trait]
impl Transport for AmqpTransport {
    fn publisher(&self, options: PublisherOptions) -> Publisher {
        let (publisher, end) = Publisher::new(&options, self.confirm_timeout);
        self.connections.runtime().spawn(publisher::drive(
            self.connections.clone(),
            options,
            publisher.confirm_timeout(),
            end,
        ));
        publisher
    }

    fn runtime(&self) -> Option<Handle> {
        Some(self.connections.runtime().clone())
    }

    async fn link(&self, queue: &QueueName) -> Result<Box<dyn Link>, TransportError> {
        Ok(Box::new(self.new_link(queue).await?))
    }

    async fn mailbox(&self, mailbox: &Mailbox) -> Result<Box<dyn Link>, TransportError> {
        mailbox::open(&self.connections, mailbox).await
    }

    fn address(&self) -> Option<Address> {
        self.connections.brokers().first().map(Broker::address_of)
    }

    async fn declare(&self, item: &Item, how: Declare) -> Result<(), DeclareError> {
        declare::declare(&self.connections, item, how).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<QueueDepth>, TransportError> {
        declare::depth(&self.connections, queue).await
    }

    async fn delete_queue(&self, queue: &QueueName) -> Result<(), TransportError> {
        declare::delete_queue(&self.connections, queue).await
    }

    async fn delete_exchange(&self, exchange: &ExchangeName) -> Result<(), TransportError> {
        declare::delete_exchange(&self.connections, exchange).await
    }

    async fn server(&self) -> Result<ServerInfo, TransportError> {
        // lapin keeps the server's properties to itself; the first frame of a connection has them.
        self.connections.consuming_channel().await?;
        greeting::read(&self.connections).await
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
