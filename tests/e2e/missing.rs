//! Tasks whose queue somebody purged, with real processes.

use crate::platform::{PATIENCE, Platform, wait_for_count};
use counterfoil_store::Store;
use counterfoil_testkit::{Broker, Database, Vhost};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription, Transport};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How soon messages are taken for lost.
const BOUND: Duration = Duration::from_secs(4);

/// Beside it, one handler at a time, and a sign of life every second.
const WORKER: [(&str, &str); 2] = [
    ("COUNTERFOIL_WORKER__CONCURRENCY", "1"),
    ("COUNTERFOIL_WORKER__HEARTBEAT", "1s"),
];

async fn site() -> anyhow::Result<(Platform, Vhost, Database, Arc<dyn Store>)> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform.set("COUNTERFOIL_SYNC__LOST_AFTER", "4s".into());
    let store = platform.store().await?;
    Ok((platform, vhost, database, store))
}

fn send(platform: &Platform, name: &str, arguments: &str, count: usize) -> anyhow::Result<()> {
    let line = format!("{arguments}\n");
    let file = platform.folder().join("tasks.jsonl");
    std::fs::write(&file, line.repeat(count))?;
    let sent = platform.cli(&["send", name, "--from", &file.display().to_string()])?;
    let errors = String::from_utf8_lossy(&sent.stderr).into_owned();
    anyhow::ensure!(sent.status.success(), "{errors}");
    Ok(())
}

/// Takes `count` messages out of the queue `demo`, and holds them.
async fn taken(transport: Arc<dyn Transport>, count: u16) -> anyhow::Result<Subscription> {
    let options = SubscribeOptions::new(QueueName::new("demo")?, count);
    let mut queue = Subscription::open(transport, options);
    for _ in 0..count {
        let delivery = timeout(PATIENCE, queue.next()).await?.expect("a task");
        // Forgotten, but not given back.
        drop(delivery);
    }
    Ok(queue)
}

#[tokio::test]
async fn what_was_purged_while_the_worker_was_away_runs_once_all_the_same() -> anyhow::Result<()> {
    let (mut platform, vhost, _database, store) = site().await?;
    let _daemon = platform.daemon()?;
    let worker = platform.worker_with(&WORKER)?;
    send(&platform, "demo.add", r#"{"x": 1, "y": 1}"#, 1)?;
    wait_for_count(&*store, TaskState::Success, 1, PATIENCE).await?;
    worker.terminate().await?;

    send(&platform, "demo.add", r#"{"x": 1, "y": 2}"#, 100)?;
    wait_for_count(&*store, TaskState::Pending, 100, PATIENCE).await?;
    vhost.purge("demo").await?;
    let _worker = platform.worker_with(&WORKER)?;
    wait_for_count(&*store, TaskState::Success, 101, PATIENCE).await?;
    let starts = platform.starts()?;
    assert_eq!(starts.len(), 101);
    assert!(starts.values().all(|times| *times == 1), "{starts:?}");
    Ok(())
}

#[tokio::test]
async fn what_a_slow_worker_or_somebody_else_holds_is_not_sent_again() -> anyhow::Result<()> {
    let (mut platform, _vhost, _database, store) = site().await?;
    let _daemon = platform.daemon()?;
    let transport: Arc<dyn Transport> = AmqpTransport::new(&platform.broker())?;
    send(&platform, "demo.add", r#"{"x": 1, "y": 1}"#, 5)?;
    wait_for_count(&*store, TaskState::Pending, 5, PATIENCE).await?;
    let somebody = taken(Arc::clone(&transport), 5).await?;
    // One runs for long, and the worker holds those behind it.
    let worker = [&WORKER[..], &[("COUNTERFOIL_WORKER__PREFETCH", "10")]].concat();
    let _worker = platform.worker_with(&worker)?;
    send(&platform, "demo.sleep", r#"{"seconds": 20}"#, 1)?;
    wait_for_count(&*store, TaskState::Started, 1, PATIENCE).await?;
    send(&platform, "demo.add", r#"{"x": 1, "y": 2}"#, 4)?;
    wait_for_count(&*store, TaskState::Success, 5, PATIENCE).await?;
    assert!(
        store
            .tasks(&Default::default())
            .await?
            .iter()
            .all(|row| row.rescue == 0),
        "nothing was sent again in {BOUND:?} and more"
    );
    somebody.close().await;
    wait_for_count(&*store, TaskState::Success, 10, PATIENCE).await?;
    let starts = platform.starts()?;
    assert_eq!(starts.len(), 10);
    assert!(starts.values().all(|times| *times == 1), "{starts:?}");
    transport.close().await;
    Ok(())
}
