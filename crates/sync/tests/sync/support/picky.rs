//! A broker that says nothing of some queues, on command.

use super::World;
use async_trait::async_trait;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::Item;
use counterfoil_toolbox::transport::link::Link;
use counterfoil_toolbox::transport::{
    Declare, DeclareError, Publisher, PublisherOptions, QueueDepth, ServerInfo, Transport,
    TransportError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Hands everything to another transport, except for what it was told to refuse.
#[derive(Debug)]
pub(crate) struct PickyTransport {
    inner: Arc<dyn Transport>,
    refused: Mutex<Option<QueueName>>,
    asked: Mutex<BTreeMap<String, usize>>,
}

impl PickyTransport {
    /// Stands between this world and its broker from now on.
    pub(crate) fn of(world: &mut World) -> Arc<Self> {
        let picky = Arc::new(Self {
            inner: Arc::clone(&world.transport),
            refused: Mutex::default(),
            asked: Mutex::default(),
        });
        world.transport = Arc::clone(&picky) as Arc<dyn Transport>;
        picky
    }

    /// Does not say any more how full this queue is, and of any other it does.
    pub(crate) fn refuse(&self, queue: Option<QueueName>) {
        *self.refused.lock().expect("not poisoned") = queue;
    }

    /// Names of the queues of which somebody asked how full they are.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        let asked = self.asked.lock().expect("not poisoned");
        asked.keys().cloned().collect()
    }

    /// How often somebody asked how full this queue is.
    pub(crate) fn times(&self, queue: &str) -> usize {
        let asked = self.asked.lock().expect("not poisoned");
        asked.get(queue).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Transport for PickyTransport {
    fn publisher(&self, options: PublisherOptions) -> Publisher {
        self.inner.publisher(options)
    }
    fn runtime(&self) -> Option<tokio::runtime::Handle> {
        self.inner.runtime()
    }
    async fn link(&self, queue: &QueueName) -> Result<Box<dyn Link>, TransportError> {
        self.inner.link(queue).await
    }
    async fn declare(&self, item: &Item, how: Declare) -> Result<(), DeclareError> {
        self.inner.declare(item, how).await
    }
    async fn depth(&self, queue: &QueueName) -> Result<Option<QueueDepth>, TransportError> {
        let asked = queue.to_string();
        *self
            .asked
            .lock()
            .expect("not poisoned")
            .entry(asked)
            .or_default() += 1;
        let refused = self.refused.lock().expect("not poisoned").clone();
        if refused.as_ref() == Some(queue) {
            // As a queue whose node is down.
            return Err(TransportError::Unreachable {
                broker: "test".to_owned(),
                source: "as the test wants it".into(),
            });
        }
        self.inner.depth(queue).await
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
