//! A queue that takes nothing more, with real processes.

use crate::audit::assert_balanced;
use crate::platform::{PATIENCE, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::TaskFilter;
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::TaskState;
use std::process::Output;
use std::time::Duration;

/// How many tasks of `small` may wait.
const ROOM: usize = 3;

/// A platform with a service `small` that has room for a few tasks and no worker.
async fn small(vhost: &Vhost, database: &Database) -> anyhow::Result<Platform> {
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform.set("COUNTERFOIL_SYNC__LOST_AFTER", "2s".into());
    platform.set("COUNTERFOIL_BROKER__SERVICES", "demo,small".into());
    let settings = format!("[broker.queues.small]\nmax_length = {ROOM}\n");
    std::fs::write(platform.folder().join("counterfoil.toml"), settings)?;
    assert!(platform.cli(&["init"])?.status.success());
    Ok(platform)
}

fn send(platform: &Platform, id: &str) -> anyhow::Result<Output> {
    platform.cli(&["send", "small.task", "--unvalidated", "--id", id])
}

/// Sends until the queue refuses one: those that it took, the one that it did not, and what its sender was told.
fn fill(platform: &Platform) -> anyhow::Result<(Vec<String>, String, String)> {
    // The broker notices a little later that it is full.
    let mut accepted = Vec::new();
    loop {
        let id = format!("task {}", accepted.len());
        let sent = send(platform, &id)?;
        if !sent.status.success() {
            let said = String::from_utf8_lossy(&sent.stderr).into_owned();
            return Ok((accepted, id, said));
        }
        accepted.push(id);
        anyhow::ensure!(accepted.len() < 20 * ROOM, "it takes everything");
    }
}

#[tokio::test]
async fn what_a_full_queue_refuses_is_rejected_for_good() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut platform = small(&vhost, &database).await?;
    let _daemon = platform.daemon()?;
    let store = platform.store().await?;
    let (accepted, refused, said) = fill(&platform)?;
    assert!(accepted.len() >= ROOM, "{accepted:?}");
    assert!(said.contains("the queue of small.task is full"), "{said}");
    wait_for_state(&*store, &refused, TaskState::Rejected, PATIENCE).await?;
    let row = store.task(&refused).await?.context("the row")?;
    assert_eq!(row.error_kind.as_deref(), Some("queue_full"));
    // Longer than it takes to find that a task was lost.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let row = store.task(&refused).await?.context("the row")?;
    assert_eq!((row.state, row.rescue), (TaskState::Rejected, 0));
    for id in &accepted {
        wait_for_state(&*store, id, TaskState::Pending, PATIENCE).await?;
    }
    let rows = store.tasks(&TaskFilter::default()).await?;
    assert_eq!(rows.len(), accepted.len() + 1);
    assert_balanced(&platform).await
}

#[tokio::test]
async fn what_was_refused_and_is_sent_again_waits_and_can_be_cancelled() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut platform = small(&vhost, &database).await?;
    let _daemon = platform.daemon()?;
    let store = platform.store().await?;
    let (accepted, id, _) = fill(&platform)?;
    wait_for_state(&*store, &id, TaskState::Rejected, PATIENCE).await?;
    vhost.purge("small").await?;
    // The broker notices a little later that there is room.
    eventually("the task to be taken", PATIENCE, async || {
        Ok(send(&platform, &id)?.status.success().then_some(()))
    })
    .await?;
    wait_for_state(&*store, &id, TaskState::Pending, PATIENCE).await?;
    // Of the others nothing is left.
    for id in accepted.iter().chain([&id]) {
        let cancel = platform.cli(&["task", "cancel", id])?;
        let said = String::from_utf8_lossy(&cancel.stderr).into_owned();
        assert!(cancel.status.success(), "{said}");
        wait_for_state(&*store, id, TaskState::Revoked, PATIENCE).await?;
    }
    assert_balanced(&platform).await
}
