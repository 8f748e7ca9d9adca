//! A broker and a database that the binary and a test look at together, and a daemon in the test.

use crate::program::Program;
use anyhow::Context as _;
use counterfoil_store::{Store, StoreOptions};
use counterfoil_sync::{Daemon, SyncError};
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::{BrokerSettings, SyncSettings};
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::names::{REASON, REASON_TEXT};
use counterfoil_toolbox::message::{Content, TaskMessage};
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{
    Delivery, Publication, Publisher, PublisherOptions, SubscribeOptions, Subscription, Transport,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Spaces that whoever writes JSON anew would not write.
pub(crate) const BODY: &str = "[ [1],  {\"y\": 2.50}, {\"callbacks\": null} ]";

/// Everything in place, with the service `demo`.
pub(crate) struct Stage {
    pub(crate) program: Program,
    pub(crate) names: Names,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) transport: Arc<dyn Transport>,
    publisher: Publisher,
    pub(crate) vhost: Vhost,
    /// Of the database.
    pub(crate) url: String,
    _database: Option<Database>,
}

/// A daemon that runs in the background.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), SyncError>>,
}

impl Running {
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        Ok(self.running.await??)
    }
}

impl Stage {
    /// Adds a schedule of `demo.add`, for tasks that come by way of the outbox: see [`Self::run_schedule`].
    pub(crate) async fn add_schedule(&self) {
        let add = [
            "schedule",
            "add",
            "now",
            "@yearly",
            "demo.add",
            "--args",
            "[1, 2]",
            "--unvalidated",
        ];
        self.program.run(&add).await.ends_with(0);
    }

    /// Puts a task of that schedule into the outbox, and returns its id.
    pub(crate) async fn run_schedule(&self) -> String {
        let ran = self.program.run(&["schedule", "run", "now"]).await;
        ran.ends_with(0).stdout.trim().to_owned()
    }

    /// RabbitMQ and SQLite.
    pub(crate) async fn sqlite() -> anyhow::Result<Self> {
        Self::build(None).await
    }

    /// RabbitMQ and PostgreSQL.
    pub(crate) async fn postgres() -> anyhow::Result<Self> {
        Self::build(Some(Database::fresh().await?)).await
    }

    async fn build(database: Option<Database>) -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let mut program = Program::new();
        let file = program.folder().join("platform.db");
        let url = match &database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite://{}", file.display()),
        };
        program.set("COUNTERFOIL_BROKER__URL", vhost.amqp_url());
        program.set("COUNTERFOIL_BROKER__SERVICES", "demo");
        program.set("COUNTERFOIL_DATABASE__URL", url.clone());
        program.set("USER", "alice");
        program.run(&["init"]).await.ends_with(0);
        let settings = BrokerSettings {
            urls: vec![vhost.amqp_url().into()],
            ..BrokerSettings::default()
        };
        let transport: Arc<dyn Transport> = AmqpTransport::new(&settings)?;
        let options = StoreOptions::new(url.clone()).id_secret("development".to_owned());
        Ok(Self {
            program,
            names: settings.names()?,
            store: counterfoil_store::connect(&options).await?,
            publisher: transport.publisher(PublisherOptions::default()),
            transport,
            vhost,
            url,
            _database: database,
        })
    }

    /// Starts a daemon in this process.
    pub(crate) fn daemon(&self) -> Running {
        let daemon = Daemon::new(
            Arc::clone(&self.transport),
            self.names.clone(),
            Arc::clone(&self.store),
            SyncSettings::default(),
        );
        let (stop, stopped) = oneshot::channel::<()>();
        Running {
            stop,
            running: tokio::spawn(daemon.run_until(async move { drop(stopped.await) })),
        }
    }

    pub(crate) async fn publish(
        &self,
        exchange: &ExchangeName,
        key: &str,
        content: Content,
    ) -> anyhow::Result<()> {
        let publication = Publication {
            exchange: exchange.clone(),
            routing_key: RoutingKey::new(key)?,
            content,
        };
        Ok(self.publisher.publish(publication).await?)
    }

    /// Sends a task, takes it out of its queue, and lets it die there as a worker would.
    pub(crate) async fn die(&self, name: &str, reason: FaultKind) -> anyhow::Result<Content> {
        let id = TaskId::random();
        let mut content = Content::json(BODY);
        content.headers.push("task", name);
        content.headers.push("id", id.as_str());
        content.headers.push("retries", 3);
        content.headers.push("stamp", "kept");
        content.properties.priority = Some(7);
        self.publish(&self.names.tasks, name, content.clone())
            .await?;
        let _ = self.take("demo").await?.ack();
        self.bury(&content, reason).await
    }

    /// What a worker does with a task that it gives up.
    pub(crate) async fn bury(
        &self,
        content: &Content,
        reason: FaultKind,
    ) -> anyhow::Result<Content> {
        let mut letter = content.clone();
        letter.headers.set(REASON, reason.as_str());
        letter.headers.set(REASON_TEXT, "nobody can do that");
        self.publish(&self.names.dead, "demo", letter.clone())
            .await?;
        let envelope = TaskMessage::decode(content)?.envelope;
        let kind = EventKind::State(TaskState::Failure);
        let now = chrono::Utc::now();
        let mut event = Event::new(envelope.id, envelope.name, envelope.lineage, kind, now);
        event.error = Some(TaskFault::new(reason, "nobody can do that"));
        let events = Content::json(serde_json::to_vec(&[event])?);
        self.publish(&self.names.events, "event.demo.batch", events)
            .await?;
        Ok(letter)
    }

    /// The next message of a queue, unacknowledged while it is held.
    pub(crate) async fn take(&self, queue: &str) -> anyhow::Result<Delivery> {
        let options = SubscribeOptions::new(queue.parse()?, 1);
        let mut subscription = Subscription::open(Arc::clone(&self.transport), options);
        let next = tokio::time::timeout(counterfoil_testkit::patience(SOON), subscription.next());
        let delivery = next.await?.context("the transport is open")?;
        subscription.cancel().await;
        // Its channel lives as long as the test: the delivery is settled on it.
        tokio::spawn(async move {
            tokio::time::sleep(SOON).await;
            subscription.close().await;
        });
        Ok(delivery)
    }

    /// Waits until the dead queue lists so many, and returns them.
    pub(crate) async fn listed(&self, wanted: usize) -> anyhow::Result<Vec<serde_json::Value>> {
        eventually(&format!("{wanted} dead letters"), SOON, async || {
            let list = &["dead", "list", "demo", "--json"];
            let listed = self.program.run(list).await.ends_with(0).documents();
            Ok((listed.len() == wanted).then_some(listed))
        })
        .await
    }

    /// Waits until the task has this run in this state.
    pub(crate) async fn is(&self, id: &str, run: i32, state: TaskState) -> anyhow::Result<()> {
        eventually(
            &format!("{id} to be {state} in run {run}"),
            SOON,
            async || {
                let row = self.store.task(id).await?;
                Ok(row
                    .filter(|row| (row.run, row.state) == (run, state))
                    .map(drop))
            },
        )
        .await
    }

    /// Messages that wait in a queue.
    pub(crate) async fn ready(&self, queue: &str) -> anyhow::Result<u64> {
        Ok(self.vhost.depth(queue).await?.ready)
    }
}

/// The id that a message carries.
pub(crate) fn id_of(content: &Content) -> &str {
    content.headers.text("id").expect("it has one")
}

/// Declares each test once with SQLite and once with PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::stage::Stage::sqlite().await?).await
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::stage::Stage::postgres().await?).await
                }
            )*
        }
    };
}
pub(crate) use on_both_databases;

/// Declares each test once, with SQLite.
macro_rules! on_sqlite {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::stage::Stage::sqlite().await?).await
                }
            )*
        }
    };
}
pub(crate) use on_sqlite;
