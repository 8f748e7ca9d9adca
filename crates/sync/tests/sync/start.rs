//! What is refused at the start, and what is waited for.

use crate::support::{World, on_both_pairs, task};
use counterfoil_store::StoreOptions;
use counterfoil_sync::SyncError;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use std::sync::Arc;
use std::time::Duration;

on_both_pairs!(a_missing_queue_is_named_with_the_remedy);

async fn a_missing_queue_is_named_with_the_remedy(world: World) -> anyhow::Result<()> {
    world
        .transport
        .delete_queue(&world.names.deaths_queue)
        .await?;
    let error = world
        .daemon()
        .ended()
        .await
        .expect_err("a queue is missing");
    assert!(matches!(error, SyncError::NoQueue { .. }));
    assert_eq!(
        error.to_string(),
        "queue platform.deaths does not exist: run `counterfoil topology apply`"
    );
    assert_eq!(error.exit_code(), 78);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_its_schema_is_refused_with_the_remedy() -> anyhow::Result<()> {
    let world = World::in_memory().await?;
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}/empty.db", folder.path().display());
    let empty = counterfoil_store::connect(&StoreOptions::new(url).id_secret("test")).await?;
    let error = world
        .daemon_with(empty)
        .ended()
        .await
        .expect_err("nothing is migrated");
    assert!(
        error.to_string().ends_with("run `counterfoil init`"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 78);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_at_the_start_is_waited_for() -> anyhow::Result<()> {
    let broker = MemoryBroker::new();
    let faults = broker.faults();
    let world = World::in_memory_on(Arc::new(broker)).await?;
    faults.refuse_connections(Duration::from_secs(60));
    let daemon = world.daemon();
    daemon
        .reports("it to wait", |report| report.broker.is_empty())
        .await?;
    faults.refuse_connections(Duration::ZERO);
    daemon.ready().await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    Ok(daemon.stop().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_breaks_connections_makes_nothing_come_twice() -> anyhow::Result<()> {
    let broker = MemoryBroker::new();
    let faults = broker.faults();
    let world = World::in_memory_on(Arc::new(broker)).await?;
    let daemon = world.daemon();
    for n in 0..50 {
        let message = task(&format!("t{n}"), "demo.add");
        world
            .publish(&world.names.tasks, "demo.add", message)
            .await?;
        if n % 10 == 5 {
            faults.close_consumers();
        }
    }
    for n in 0..50 {
        world.row_in(&format!("t{n}"), TaskState::Pending).await?;
    }
    daemon.stop().await?;
    world.emptied(&world.names.tracking_queue).await?;
    Ok(())
}
