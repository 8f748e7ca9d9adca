//! A broker with the platform's topology and a database, as a front end has them open.

use anyhow::Context as _;
use counterfoil_operations::Platform;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, StoredMessage};
use counterfoil_sync::dead_letter;
use counterfoil_testkit::store_suite::{StoreSite, copy_of, event, lineage};
use counterfoil_testkit::{Broker, Vhost, eventually, patience};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::message::names::REASON;
use counterfoil_toolbox::message::{Content, Envelope};
use counterfoil_toolbox::names::{QueueName, RoutingKey, ServiceName};
use counterfoil_toolbox::topology::{self, ItemState};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::transport::{
    Publication, PublisherOptions, SubscribeOptions, Subscription, Transport,
};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for anything that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) platform: Platform,
    _database: StoreSite,
    _vhost: Option<Vhost>,
}

impl Deref for Site {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

impl Site {
    /// The broker in memory and SQLite.
    pub(crate) async fn in_memory() -> anyhow::Result<Self> {
        let transport = Arc::new(MemoryBroker::new());
        Self::build(transport, StoreSite::sqlite().await?, None).await
    }

    /// RabbitMQ and PostgreSQL.
    pub(crate) async fn on_servers() -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let settings = BrokerSettings {
            urls: vec![vhost.amqp_url().into()],
            ..BrokerSettings::default()
        };
        let transport = AmqpTransport::new(&settings)?;
        Self::build(transport, StoreSite::postgres().await?, Some(vhost)).await
    }

    async fn build(
        transport: Arc<dyn Transport>,
        database: StoreSite,
        vhost: Option<Vhost>,
    ) -> anyhow::Result<Self> {
        let names = BrokerSettings::default().names()?;
        let mut items = topology::platform(&names, Default::default());
        items.extend(topology::service(&names, &demo(), &Default::default()));
        for finding in topology::apply(&*transport, items).await? {
            let state = &finding.state;
            anyhow::ensure!(*state == ItemState::Applied, "{}: {state:?}", finding.item);
        }
        Ok(Self {
            platform: Platform {
                transport,
                names,
                store: database.another().await?,
            },
            _database: database,
            _vhost: vhost,
        })
    }

    /// A task `demo.add` in this state.
    pub(crate) async fn task(&self, id: &str, state: TaskState) -> anyhow::Result<()> {
        let envelope = Envelope::new(id.parse()?, "demo.add".parse()?);
        let mut batch = Batch::new();
        batch.track(&copy_of(envelope));
        if state != TaskState::Pending {
            batch.event(&event(&id.parse()?, lineage(0, 0, 0), state));
        }
        self.store.apply(&batch).await?;
        Ok(())
    }

    pub(crate) async fn row(&self, id: &str) -> anyhow::Result<TaskRow> {
        let row = self.store.task(id).await?;
        row.with_context(|| format!("there is no task {id}"))
    }

    /// A task `demo.add` that failed, in the database as in the dead queue.
    pub(crate) async fn die(&self, id: &str) -> anyhow::Result<()> {
        self.task(id, TaskState::Failure).await?;
        let publication = Publication {
            exchange: self.names.dead.clone(),
            routing_key: RoutingKey::new("demo")?,
            content: self.letter(id),
        };
        let publisher = self.transport.publisher(PublisherOptions::default());
        publisher.publish(publication).await?;
        // The platform's copy, as the broker passes it on.
        let options = SubscribeOptions::new(self.names.deaths_queue.clone(), 1);
        let mut deaths = Subscription::open(Arc::clone(&self.transport), options);
        let death = tokio::time::timeout(patience(SOON), deaths.next()).await?;
        let death = death.context("the transport is open")?;
        self.record(death.content.clone()).await?;
        let _ = death.ack();
        deaths.close().await;
        Ok(())
    }

    /// The message of such a task as it lies there.
    pub(crate) fn letter(&self, id: &str) -> Content {
        let mut content = Content::json("[[1, 2], {}, {}]");
        content.headers.push("task", "demo.add");
        content.headers.push("id", id.to_owned());
        content.headers.push("retries", 0);
        content.headers.push(REASON, "exhausted");
        content
    }

    /// The platform is told of a dead message.
    pub(crate) async fn record(&self, content: Content) -> anyhow::Result<()> {
        let message = StoredMessage {
            exchange: self.names.dead.as_str().into(),
            routing_key: "demo".into(),
            content,
        };
        let mut batch = Batch::new();
        batch.dead(dead_letter(message, &self.names));
        self.store.apply(&batch).await?;
        Ok(())
    }

    /// Waits until so many messages wait in the queue of the service and in its dead queue.
    pub(crate) async fn holds(&self, waiting: u32, dead: u32) -> anyhow::Result<()> {
        let names = &self.names;
        let queues = (names.service_queue(&demo()), names.dead_queue(&demo()));
        let what = format!("{waiting} messages to wait and {dead} to be dead");
        eventually(&what, SOON, async || {
            let ready = (self.ready(&queues.0).await?, self.ready(&queues.1).await?);
            Ok((ready == (waiting, dead)).then_some(()))
        })
        .await
    }

    async fn ready(&self, queue: &QueueName) -> anyhow::Result<u32> {
        let depth = self.transport.depth(queue).await?;
        Ok(depth.map_or(0, |depth| depth.ready))
    }
}

/// The service of all tasks here.
pub(crate) fn demo() -> ServiceName {
    ServiceName::new("demo").expect("valid")
}

/// Declares tests that run on both pairs of broker and database.
macro_rules! on_both_pairs {
    ($($test:ident),+ $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::site::Site::in_memory().await?).await
                }
            )+
        }
        mod on_servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::site::Site::on_servers().await?).await
                }
            )+
        }
    };
}
pub(crate) use on_both_pairs;
