//! The session of the guide, opened by a task and by a producer.

use crate::platform::{PATIENCE, Platform, apply};
use anyhow::{Context as _, ensure};
use counterfoil_store::{SessionRow, Store};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::session::SessionStatus;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, ServiceName, SessionId};
use counterfoil_worker::Worker;
use serde_json::{Value, json};
use std::future::Future;

#[allow(clippy::print_stderr, reason = "the example talks to a person")]
mod example {
    include!("session_example.rs");

    /// What the guide leaves to its readers.
    pub(super) fn all(worker: WorkerBuilder) -> WorkerBuilder {
        register(worker)
    }

    /// Lets a task open one, and returns what that task returned.
    pub(super) async fn by_a_task(producer: &Producer) -> anyhow::Result<String> {
        let catalogue = "books".to_owned();
        let import = Import {
            catalogue,
            pages: 4,
        };
        let mut sent = producer.send(import).await?;
        Ok(sent.result(crate::platform::PATIENCE).await?)
    }

    /// Opens one with a page that cannot be read.
    pub(super) async fn by_a_producer(producer: &Producer) -> anyhow::Result<StartedSession> {
        import_maps(producer, 10).await
    }
}

/// Waits for the end of a session, and for what its finalizer returned.
async fn ended(store: &dyn Store, id: &SessionId) -> anyhow::Result<(SessionRow, Value)> {
    let row = eventually("the session to end", PATIENCE, async || {
        let row = store.session(id).await?;
        Ok(row.filter(|row| !row.status.is_open()))
    });
    let row = row.await?;
    let finalizer = row.finalizer_id.parse()?;
    let result = eventually("its finalizer to end", PATIENCE, async || {
        store.result(&finalizer, 0).await.map_err(Into::into)
    });
    let result = result.await?.result.context("a result")?;
    Ok((row, serde_json::from_str(result.get())?))
}

async fn beside<T>(
    worker: Worker,
    test: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut outcome = None;
    worker.run_until(async { outcome = Some(test.await) }).await;
    outcome.context("the worker ended by itself")?
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_the_guide_end_with_the_finalizer_that_it_shows() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let broker = platform.broker();
    apply(&broker, &[ServiceName::new("catalogue")?]).await?;
    let mut daemon = platform.daemon()?;
    let store = platform.store().await?;
    let (transport, names) = (AmqpTransport::new(&broker)?, broker.names()?);
    let producer = Producer::listening(transport.clone(), names.clone(), "shop").await?;
    let worker = Worker::builder(transport, names, WorkerSettings::default());
    let worker = example::all(worker).broker(&broker).build()?;
    beside(worker, async {
        let id = example::by_a_task(&producer).await?.parse()?;
        let (row, told) = ended(&*store, &id).await?;
        ensure!(row.status == SessionStatus::Success, "{row:#?}");
        ensure!(
            told == json!("books, SUCCESS: 6 entries on 4 of 4 pages"),
            "{told}"
        );

        let started = example::by_a_producer(&producer).await?;
        ensure!(started.unsent.is_empty(), "{started:?}");
        let (row, told) = ended(&*store, &started.id).await?;
        ensure!(row.creator_id.as_deref() == Some("user-7"), "{row:#?}");
        ensure!(
            told == json!("maps, FAILURE: 37 entries on 9 of 10 pages"),
            "{told}"
        );
        Ok(())
    })
    .await?;
    daemon.assert_running()
}
