//! The exchanges and queues of one scenario.

use anyhow::Context as _;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::{self, Item, Names, QueueSettings, ServiceSettings};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use std::sync::Arc;
use std::time::Duration;

/// Age from which on a quorum queue keeps what it confirmed, even if its only node is killed.
const SETTLED: Duration = Duration::from_millis(1500);

/// A broker with a topology of its own, under a prefix.
#[derive(Debug)]
pub struct Setting {
    /// The broker.
    pub transport: Arc<AmqpTransport>,
    /// Names under the prefix.
    pub names: Names,
    items: Vec<Item>,
}

impl Setting {
    /// Declares everything that a platform with the service `export` needs.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn create(amqp_url: &str) -> anyhow::Result<Self> {
        let settings = BrokerSettings {
            urls: vec![amqp_url.to_owned().into()],
            queue_prefix: format!("bench-{}-", std::process::id()),
            ..BrokerSettings::default()
        };
        let names = settings.names()?;
        let transport = AmqpTransport::new(&settings)?;
        let mut items = topology::platform(&names, QueueSettings::Arguments);
        items.extend(topology::service(
            &names,
            &service(),
            &ServiceSettings::default(),
        ));
        let findings = topology::apply(&*transport, items.clone()).await?;
        if let Some(wrong) = topology::not_applied(&findings) {
            anyhow::bail!(wrong);
        }
        tokio::time::sleep(SETTLED).await;
        Ok(Self {
            transport,
            names,
            items,
        })
    }

    /// Queue of the service `export`.
    #[must_use]
    pub fn service_queue(&self) -> QueueName {
        self.names.service_queue(&service())
    }

    /// Ready messages of a queue.
    ///
    /// # Errors
    /// When the broker cannot be asked or the queue is gone.
    pub async fn ready(&self, queue: &QueueName) -> anyhow::Result<u32> {
        Ok(self
            .transport
            .depth(queue)
            .await?
            .context("a queue of this scenario is gone")?
            .ready)
    }

    /// Deletes all queues and exchanges of the scenario.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        for item in self.items.iter().rev() {
            match item {
                Item::Queue(queue) => self.transport.delete_queue(&queue.name).await?,
                Item::Exchange(exchange) => self.transport.delete_exchange(&exchange.name).await?,
                // Bindings go with what they bind.
                Item::Binding(_) => {}
            }
        }
        self.transport.close().await;
        Ok(())
    }
}

fn service() -> ServiceName {
    ServiceName::new("export").expect("a valid name")
}
