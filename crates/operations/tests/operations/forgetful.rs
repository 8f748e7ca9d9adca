//! A broker that says for a while that queues are empty, as RabbitMQ does of a quorum queue whose leader is too busy
//! to answer within 250 ms.

use async_trait::async_trait;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::Item;
use counterfoil_toolbox::transport::link::Link;
use counterfoil_toolbox::transport::{
    Declare, DeclareError, Publisher, PublisherOptions, QueueDepth, ServerInfo, Transport,
    TransportError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hands everything to another transport, except for some answers.
#[derive(Debug)]
pub(crate) struct Forgetful {
    inner: Arc<dyn Transport>,
    /// How often it still says that a queue is empty.
    times: AtomicUsize,
}

impl Forgetful {
    pub(crate) fn new(inner: &Arc<dyn Transport>, times: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            times: AtomicUsize::new(times),
        })
    }
}

#[async_trait]
impl Transport for Forgetful {
    fn publisher(&self, options: PublisherOptions) -> Publisher {
        self.inner.publisher(options)
    }
    async fn link(&self, queue: &QueueName) -> Result<Box<dyn Link>, TransportError> {
        self.inner.link(queue).await
    }
    async fn declare(&self, item: &Item, how: Declare) -> Result<(), DeclareError> {
        self.inner.declare(item, how).await
    }
    async fn depth(&self, queue: &QueueName) -> Result<Option<QueueDepth>, TransportError> {
        let depth = self.inner.depth(queue).await?;
        let forgets = |times: usize| times.checked_sub(1);
        let forgot = self
            .times
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, forgets);
        Ok(match forgot {
            Ok(_) => depth.map(|depth| QueueDepth { ready: 0, ..depth }),
            Err(_) => depth,
        })
    }
    async fn delete_queue(&self, queue: &QueueName) -> Result<(), TransportError> {
        self.inner.delete_queue(queue).await
    }
    async fn delete_exchange(&self, exchange: &ExchangeName) -> Result<(), TransportError> {
        self.inner.delete_exchange(exchange).await
    }
    async fn server(&self) -> Result<ServerInfo, TransportError> {
        self.inner.server().await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
