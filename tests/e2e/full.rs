//! A queue that takes nothing more, with real processes.

use crate::audit::assert_balanced;
use crate::platform::{PATIENCE, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::TaskFilter;
use counterfoil_testkit::{Broker, Database};
use counterfoil_toolbox::TaskState;
use std::time::Duration;

/// How many tasks of `small` may wait.
const ROOM: usize = 3;

#[tokio::test]
async fn what_a_full_queue_refuses_is_rejected_for_good() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform.set("COUNTERFOIL_SYNC__LOST_AFTER", "2s".into());
    platform.set("COUNTERFOIL_BROKER__SERVICES", "demo,small".into());
    let settings = format!("[broker.queues.small]\nmax_length = {ROOM}\n");
    std::fs::write(platform.folder().join("counterfoil.toml"), settings)?;
    assert!(platform.cli(&["init"])?.status.success());
    let _daemon = platform.daemon()?;
    let store = platform.store().await?;
    let send = |id: &str| {
        let task = ["send", "small.task", "--unvalidated", "--id", id];
        platform.cli(&task)
    };
    // The broker notices a little later that it is full.
    let mut accepted = Vec::new();
    let (refused, said) = loop {
        let id = format!("task {}", accepted.len());
        let sent = send(&id)?;
        if !sent.status.success() {
            break (id, String::from_utf8_lossy(&sent.stderr).into_owned());
        }
        accepted.push(id);
        assert!(accepted.len() < 20 * ROOM, "it takes everything");
    };
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
