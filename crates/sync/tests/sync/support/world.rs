//! One test's broker and database.

use super::Running;
use anyhow::Context;
use counterfoil_store::{Store, StoreOptions};
use counterfoil_sync::Daemon;
use counterfoil_testkit::{Application, Broker, Database, Vhost};
use counterfoil_toolbox::config::{BrokerSettings, SyncSettings};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use counterfoil_toolbox::topology::{self, ItemState, Names};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::transport::{Publication, Publisher, PublisherOptions, Transport};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A broker with the platform's topology, a migrated database, and what keeps both alive.
pub(crate) struct World {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: SyncSettings,
    publisher: Publisher,
    url: String,
    /// Dropped last, so that connections end before what they lead to.
    lives: Lives,
}

enum Lives {
    InMemory {
        _folder: TempDir,
    },
    OnServers {
        vhost: Box<Vhost>,
        database: Database,
    },
}

impl World {
    /// The broker in memory and SQLite.
    pub(crate) async fn in_memory() -> anyhow::Result<Self> {
        Self::in_memory_on(Arc::new(MemoryBroker::new())).await
    }

    /// This broker and SQLite.
    pub(crate) async fn in_memory_on(transport: Arc<dyn Transport>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}/mirror.db", folder.path().display());
        Self::build(transport, &url, Lives::InMemory { _folder: folder }).await
    }

    /// RabbitMQ and PostgreSQL.
    pub(crate) async fn on_servers() -> anyhow::Result<Self> {
        Self::on_servers_with(Database::fresh().await?).await
    }

    /// RabbitMQ and this database.
    pub(crate) async fn on_servers_with(database: Database) -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let url = database.url().to_owned();
        let settings = BrokerSettings {
            urls: vec![vhost.amqp_url().into()],
            ..BrokerSettings::default()
        };
        let transport = AmqpTransport::new(&settings)?;
        let lives = Lives::OnServers {
            vhost: Box::new(vhost),
            database,
        };
        Self::build(transport, &url, lives).await
    }

    /// The broker in memory and the database at `url`, which the test keeps alive.
    pub(crate) async fn with_database(url: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let transport = Arc::new(MemoryBroker::new());
        Self::build(transport, url, Lives::InMemory { _folder: folder }).await
    }

    async fn build(transport: Arc<dyn Transport>, url: &str, lives: Lives) -> anyhow::Result<Self> {
        let names = BrokerSettings::default().names()?;
        let options = StoreOptions::new(url).id_secret("test");
        let store = counterfoil_store::connect(&options).await?;
        store.migrate().await?;
        let publisher = transport.publisher(PublisherOptions::default());
        let settings = SyncSettings {
            celery_services: vec!["demo".parse()?],
            unroutable_interval: Duration::from_millis(200),
            token_interval: Duration::from_millis(100),
            outbox_interval: Duration::from_millis(50),
            ..SyncSettings::default()
        };
        let world = Self {
            transport,
            names,
            store,
            settings,
            publisher,
            url: url.to_owned(),
            lives,
        };
        world
            .declare(topology::platform(&world.names, Default::default()))
            .await?;
        world.serve("demo").await?;
        Ok(world)
    }

    /// The configuration of a process that is to use the same servers.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let Lives::OnServers { vhost, database } = &self.lives else {
            return Vec::new();
        };
        vec![
            ("COUNTERFOIL_PROFILE", "production".to_owned()),
            ("COUNTERFOIL_BROKER__URL", vhost.amqp_url()),
            ("COUNTERFOIL_DATABASE__URL", database.url().to_owned()),
            ("COUNTERFOIL_DATABASE__ID_SECRET", "test".to_owned()),
        ]
    }

    /// An application on the same database.
    pub(crate) async fn application(&self) -> anyhow::Result<Application> {
        Application::connect(&self.url).await
    }

    /// Declares `items`.
    pub(crate) async fn declare(&self, items: Vec<topology::Item>) -> anyhow::Result<()> {
        for finding in topology::apply(&*self.transport, items).await? {
            let state = &finding.state;
            anyhow::ensure!(*state == ItemState::Applied, "{}: {state:?}", finding.item);
        }
        Ok(())
    }

    /// Gives a service its queues.
    pub(crate) async fn serve(&self, service: &str) -> anyhow::Result<QueueName> {
        let service = ServiceName::new(service)?;
        self.declare(topology::service(
            &self.names,
            &service,
            &Default::default(),
        ))
        .await?;
        Ok(self.names.service_queue(&service))
    }

    /// A daemon, running.
    pub(crate) fn daemon(&self) -> Running {
        self.daemon_with(Arc::clone(&self.store))
    }

    /// A daemon that writes to another store.
    pub(crate) fn daemon_with(&self, store: Arc<dyn Store>) -> Running {
        Running::start(Daemon::new(
            Arc::clone(&self.transport),
            self.names.clone(),
            store,
            self.settings.clone(),
        ))
    }

    /// Publishes, and returns once it is confirmed.
    pub(crate) async fn publish(
        &self,
        exchange: &ExchangeName,
        key: &str,
        content: Content,
    ) -> anyhow::Result<()> {
        self.publish_all(exchange, key, [content]).await
    }

    /// Publishes many, and returns once all are confirmed.
    pub(crate) async fn publish_all(
        &self,
        exchange: &ExchangeName,
        key: &str,
        contents: impl IntoIterator<Item = Content>,
    ) -> anyhow::Result<()> {
        let mut confirms = Vec::new();
        for content in contents {
            let publication = Publication {
                exchange: exchange.clone(),
                routing_key: RoutingKey::new(key)?,
                content,
            };
            confirms.push(self.publisher.enqueue(publication).await?);
        }
        for confirm in confirms {
            confirm.await.context("a message of the test")?;
        }
        Ok(())
    }

    /// Publishes a message whose time is over in 50 ms, as Python producers do: ours never set the
    /// property.
    pub(crate) async fn publish_expiring(
        &self,
        exchange: &ExchangeName,
        key: &str,
        mut content: Content,
    ) -> anyhow::Result<()> {
        if let Lives::InMemory { .. } = &self.lives {
            content.properties.expiration = Some("50".into());
            return self.publish(exchange, key, content).await;
        }
        let body = std::str::from_utf8(&content.body)?;
        let headers = content.headers.to_json();
        self.publish_by_management(exchange, key, &headers, body, Some("50"))
            .await
    }

    async fn publish_by_management(
        &self,
        exchange: &ExchangeName,
        key: &str,
        headers: &serde_json::Value,
        body: &str,
        expiration: Option<&str>,
    ) -> anyhow::Result<()> {
        let Lives::OnServers { vhost, .. } = &self.lives else {
            anyhow::bail!("the broker in memory has no management");
        };
        let mut properties = serde_json::json!({
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 2,
            "headers": headers,
        });
        if let Some(expiration) = expiration {
            properties["expiration"] = expiration.into();
        }
        let path = format!("/exchanges/{}/{exchange}/publish", vhost.name());
        let request = serde_json::json!({
            "routing_key": key,
            "properties": properties,
            "payload": body,
            "payload_encoding": "string",
        });
        let answer = vhost.broker().management().post(&path, &request).await?;
        anyhow::ensure!(answer["routed"] == true, "{answer}");
        Ok(())
    }

    /// Publishes something with a header that is a list in a list in a list …, through the
    /// broker's management: our own publisher would refuse it.
    pub(crate) fn publish_nested(
        &self,
        exchange: &ExchangeName,
        key: &str,
        depth: usize,
    ) -> anyhow::Result<()> {
        let publish = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let wrap = |inner, _| serde_json::json!([inner]);
            let headers =
                serde_json::json!({ "bomb": (0..depth).fold(serde_json::json!([]), wrap) });
            runtime.block_on(self.publish_by_management(exchange, key, &headers, "", None))
        };
        // Writing such a thing takes a big stack too.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(512 * 1024 * 1024);
            let done = thread.spawn_scoped(scope, publish)?.join();
            done.map_err(|_| anyhow::anyhow!("publishing panicked"))?
        })
    }
}
