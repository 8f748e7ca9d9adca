//! Where a promise is tried: a broker that nothing else uses, and short ways to use it.

use super::awaiting::{Received, next};
use super::values::{exchange, message, queue};
use crate::{Broker, Vhost, eventually};
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::message::{HeaderValue, Headers};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use counterfoil_toolbox::topology::{
    self, Binding, Destination, ExchangeKind, Item, ItemState, Names, QueueKind, QueueSettings,
    ServiceSettings,
};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::transport::{
    Declare, Publisher, PublisherOptions, SubscribeOptions, Subscription, Transport,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a promise waits for what must come.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// An empty broker and the names of our topology.
#[derive(Debug)]
pub struct Stage {
    pub transport: Arc<dyn Transport>,
    pub names: Names,
    behind: Behind,
}

#[derive(Debug)]
enum Behind {
    Memory(MemoryBroker),
    Rabbit(Vhost),
}

impl Stage {
    /// A broker in memory.
    #[must_use]
    pub fn memory() -> Self {
        let broker = MemoryBroker::new();
        Self::new(Arc::new(broker.clone()), Behind::Memory(broker))
    }

    /// A vhost of the shared RabbitMQ.
    pub async fn rabbit() -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let settings = BrokerSettings {
            urls: vec![vhost.amqp_url().into()],
            ..BrokerSettings::default()
        };
        Ok(Self::new(
            AmqpTransport::new(&settings)?,
            Behind::Rabbit(vhost),
        ))
    }

    fn new(transport: Arc<dyn Transport>, behind: Behind) -> Self {
        let names = BrokerSettings::default()
            .names()
            .expect("the default names are valid");
        Self {
            transport,
            names,
            behind,
        }
    }

    pub async fn apply(&self, items: Vec<Item>) -> anyhow::Result<()> {
        for finding in topology::apply(&*self.transport, items).await? {
            let (item, state) = (&finding.item, &finding.state);
            ensure!(*state == ItemState::Applied, "{item}: {state:?}");
        }
        Ok(())
    }

    /// Declares what the platform needs, without the delay levels.
    pub async fn platform(&self) -> anyhow::Result<()> {
        let items = topology::platform(&self.names, QueueSettings::Arguments);
        self.apply(items).await
    }

    /// Declares what a service needs, and returns its queue.
    pub async fn service(&self, name: &str) -> anyhow::Result<QueueName> {
        let name = ServiceName::new(name)?;
        let items = topology::service(&self.names, &name, &ServiceSettings::default());
        self.apply(items).await?;
        Ok(self.names.service_queue(&name))
    }

    pub async fn delay_levels(&self) -> anyhow::Result<()> {
        self.apply(topology::delay_levels(&self.names)).await
    }

    pub async fn exchange(&self, name: &str, kind: ExchangeKind) -> anyhow::Result<ExchangeName> {
        let exchange = exchange(name, kind);
        let name = exchange.name.clone();
        self.apply(vec![Item::Exchange(exchange)]).await?;
        Ok(name)
    }

    pub async fn queue(
        &self,
        name: &str,
        kind: QueueKind,
        arguments: &[(&'static str, HeaderValue)],
    ) -> anyhow::Result<QueueName> {
        let queue = queue(name, kind, arguments);
        let name = queue.name.clone();
        self.apply(vec![Item::Queue(queue)]).await?;
        Ok(name)
    }

    pub async fn bind_queue(
        &self,
        from: &ExchangeName,
        to: &QueueName,
        key: &str,
    ) -> anyhow::Result<()> {
        self.bind(from, Destination::Queue(to.clone()), key, Headers::new())
            .await
    }

    pub async fn bind(
        &self,
        source: &ExchangeName,
        destination: Destination,
        key: &str,
        arguments: Headers,
    ) -> anyhow::Result<()> {
        let binding = Item::Binding(Binding {
            source: source.clone(),
            destination,
            key: RoutingKey::new(key)?,
            arguments,
        });
        Ok(self.transport.declare(&binding, Declare::Active).await?)
    }

    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.transport.publisher(PublisherOptions::default())
    }

    /// Publishes bodies one after the other, each confirmed.
    pub async fn publish(
        &self,
        exchange: &ExchangeName,
        key: &str,
        bodies: &[&str],
    ) -> anyhow::Result<()> {
        let publisher = self.publisher();
        for body in bodies {
            publisher.publish(message(exchange, key, body)).await?;
        }
        Ok(())
    }

    /// Publishes bodies into one queue.
    pub async fn fill(&self, queue: &QueueName, bodies: &[&str]) -> anyhow::Result<()> {
        let exchange = ExchangeName::default_exchange();
        self.publish(&exchange, queue.as_str(), bodies).await
    }

    /// Publishes 0, 1, 2 and so on into one queue, without waiting for each confirm.
    pub async fn fill_with(&self, queue: &QueueName, n: usize) -> anyhow::Result<()> {
        let (exchange, publisher) = (ExchangeName::default_exchange(), self.publisher());
        let mut confirms = Vec::with_capacity(n);
        for n in 0..n {
            let message = message(&exchange, queue.as_str(), &n.to_string());
            confirms.push(publisher.enqueue(message).await?);
        }
        for confirm in confirms {
            confirm.await?;
        }
        Ok(())
    }

    /// Publishes as others do who set an expiration, which our transports do not send.
    pub async fn publish_expiring(
        &self,
        exchange: &ExchangeName,
        key: &str,
        body: &str,
        after: Duration,
    ) -> anyhow::Result<()> {
        let expiration = after.as_millis().to_string();
        match &self.behind {
            Behind::Memory(_) => {
                let mut message = message(exchange, key, body);
                message.content.properties.expiration = Some(expiration.into());
                self.publisher().publish(message).await?;
            }
            Behind::Rabbit(vhost) => {
                let properties = json!({ "expiration": expiration, "delivery_mode": 2 });
                vhost
                    .publish(exchange.as_str(), key, body, &properties)
                    .await?;
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn subscribe(&self, queue: &QueueName, prefetch: u16) -> Subscription {
        let mut options = SubscribeOptions::new(queue.clone(), prefetch);
        options.reconnect_cap = Duration::from_millis(200);
        Subscription::open(self.transport.clone(), options)
    }

    /// Breaks every connection of the consumers, and at a real broker those of publishers too.
    pub async fn break_connections(&self) -> anyhow::Result<()> {
        match &self.behind {
            Behind::Memory(broker) => broker.faults().close_consumers(),
            Behind::Rabbit(vhost) => drop(vhost.close_connections().await?),
        }
        Ok(())
    }

    /// Messages that wait in a queue.
    pub async fn ready(&self, queue: &QueueName) -> anyhow::Result<u32> {
        let depth = self.transport.depth(queue).await?;
        Ok(depth
            .with_context(|| format!("queue {queue} is not there"))?
            .ready)
    }

    /// Waits until so many messages wait in a queue.
    pub async fn wait_ready(&self, queue: &QueueName, wanted: u32) -> anyhow::Result<()> {
        let what = format!("{wanted} messages in {queue}");
        let mut last = 0;
        eventually(&what, LONG, async || {
            match self.transport.depth(queue).await {
                Ok(depth) => last = depth.map_or(0, |depth| depth.ready),
                // Its connection was broken a moment ago.
                Err(error) if error.is_transient() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            Ok((last == wanted).then_some(()))
        })
        .await
        .with_context(|| format!("there were {last}"))
    }

    /// Takes the next `n` messages out of a queue.
    pub async fn drain(&self, queue: &QueueName, n: usize) -> anyhow::Result<Vec<Received>> {
        let mut subscription = self.subscribe(queue, 1);
        let mut received = Vec::with_capacity(n);
        while received.len() < n {
            received.push(Received::from(next(&mut subscription).await?));
        }
        subscription.close().await;
        Ok(received)
    }
}
