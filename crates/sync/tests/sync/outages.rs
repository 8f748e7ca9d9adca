//! A database that is away, a record that it refuses, a daemon that crashes.

use crate::support::{
    FaultyStore, Log, Running, SOON, World, batch, id, on_both_pairs, settled, task,
};
use counterfoil_store::Store;
use counterfoil_sync::SyncError;
use counterfoil_sync::health::Report;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use std::sync::Arc;
use std::time::Duration;

/// Queues whose batches may wait for the database at the same time.
const PUMPS: usize = 2;

on_both_pairs!(
    a_database_that_is_away_for_a_while_loses_and_parks_nothing,
    the_one_record_that_the_database_refuses_is_parked_and_the_rest_is_written,
    a_crash_between_commit_and_acknowledgement_changes_nothing,
    a_batch_that_takes_too_long_is_written_in_parts,
    a_waiting_report_that_the_database_refuses_does_not_hold_up_those_behind_it,
    stopping_writes_what_is_in_hand,
    a_daemon_that_stops_while_the_database_is_away_leaves_everything_with_the_broker,
);

async fn send(world: &World, from: usize, to: usize) -> anyhow::Result<()> {
    let tasks = (from..to).map(|n| task(&format!("t{n}"), "demo.add"));
    world
        .publish_all(&world.names.tasks, "demo.add", tasks)
        .await?;
    let events: Vec<_> = (from..to)
        .map(|n| settled(&format!("t{n}"), "demo.add", "5"))
        .collect();
    let batches = events.chunks(50).map(batch);
    world
        .publish_all(&world.names.events, "event.demo.batch", batches)
        .await
}

async fn all_mirrored(world: &World, count: usize) -> anyhow::Result<()> {
    eventually(
        "all tasks to be mirrored",
        Duration::from_secs(60),
        async || {
            let counts = world.store.counts_by_state(None).await?;
            let done = counts
                .iter()
                .find(|count| count.state == TaskState::Success);
            let done = done.map_or(0, |count| count.tasks);
            Ok((usize::try_from(done)? == count && counts.len() == 1).then_some(()))
        },
    )
    .await
}

fn faulty(world: &World) -> (Arc<FaultyStore>, Running) {
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    (store, daemon)
}

async fn a_database_that_is_away_for_a_while_loses_and_parks_nothing(
    world: World,
) -> anyhow::Result<()> {
    let log = Log::listen();
    let (store, daemon) = faulty(&world);
    daemon.ready().await?;
    store.fail_next(6);
    send(&world, 0, 1000).await?;
    let report = daemon
        .reports("trouble", |report| !report.database.reachable)
        .await?;
    assert!(!report.ready && report.alive, "{report:?}");
    all_mirrored(&world, 1000).await?;
    assert_eq!(world.parked(0).await?.len(), 0);
    let report = daemon.ready().await?;
    assert_eq!(report.redelivered, 0, "no delivery was given back");
    let told = log.count("batch not written, trying again");
    // Other tests in the same process speak, too.
    let is_alone = std::env::var_os("NEXTEST").is_some();
    assert!(
        !is_alone || (1..=PUMPS).contains(&told),
        "each tells once, however often it tries: {told}"
    );
    Ok(daemon.stop().await?)
}

async fn the_one_record_that_the_database_refuses_is_parked_and_the_rest_is_written(
    world: World,
) -> anyhow::Result<()> {
    // All of it waits when the daemon starts, so that culprit and innocents share batches.
    send(&world, 0, 300).await?;
    let store = FaultyStore::new(&world.store);
    store.refuse(&id("t77"));
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    all_mirrored(&world, 299).await?;
    // Its copy and its event; those of the same batch went through.
    let parked = world.parked(2).await?;
    assert!(
        parked
            .iter()
            .all(|row| row.task_id.as_deref() == Some("t77"))
    );
    assert!(
        parked
            .iter()
            .all(|row| row.reason.contains("the database refused it"))
    );
    let copy = parked
        .iter()
        .find(|row| row.queue == world.names.tracking_queue.as_str());
    let body = &copy.expect("the copy").message.content.body;
    assert_eq!(*body, task("t77", "demo.add").body);
    assert!(world.store.task("t77").await?.is_none());
    Ok(daemon.stop().await?)
}

async fn a_batch_that_takes_too_long_is_written_in_parts(world: World) -> anyhow::Result<()> {
    // All of it waits when the daemon starts, so that batches are large.
    send(&world, 0, 200).await?;
    let store = FaultyStore::new(&world.store);
    store.slow_above(30);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    all_mirrored(&world, 200).await?;
    assert_eq!(world.parked(0).await?.len(), 0);
    daemon.ready().await?;
    Ok(daemon.stop().await?)
}

async fn a_crash_between_commit_and_acknowledgement_changes_nothing(
    world: World,
) -> anyhow::Result<()> {
    let store = FaultyStore::new(&world.store);
    store.hang_after_commit();
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    send(&world, 0, 100).await?;
    eventually("a commit", SOON, async || {
        Ok((store.writes() > 0).then_some(()))
    })
    .await?;
    daemon.crash().await;
    let daemon = world.daemon();
    all_mirrored(&world, 100).await?;
    // What the first one had not acknowledged came again.
    world.emptied(&world.names.tracking_queue).await?;
    world.emptied(&world.names.events_queue).await?;
    daemon.stop().await?;
    for n in 0..100 {
        let lines = world.store.history(&id(&format!("t{n}"))).await?;
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }
    assert_eq!(world.parked(0).await?.len(), 0);
    Ok(())
}

async fn a_waiting_report_that_the_database_refuses_does_not_hold_up_those_behind_it(
    world: World,
) -> anyhow::Result<()> {
    // As long as another one leads, nobody judges what waits.
    let leader = world.store.try_lead("counterfoil-sync").await?;
    assert!(leader.is_some());
    let (store, daemon) = faulty(&world);
    let tasks = || ["t0", "t1", "t2"].into_iter();
    let early: Vec<_> = tasks()
        .map(|id| settled(id, "proj.tasks.add", "5"))
        .collect();
    world
        .publish(&world.names.events, "event.demo.batch", batch(&early))
        .await?;
    world.parked(3).await?;
    let copies = tasks().map(|id| task(id, "proj.tasks.add"));
    world
        .publish_all(&world.names.tasks, "demo.default", copies)
        .await?;
    for id in tasks() {
        world.row_in(id, TaskState::Pending).await?;
    }
    store.refuse(&id("t1"));
    drop(leader);
    world.row_in("t0", TaskState::Success).await?;
    world.row_in("t2", TaskState::Success).await?;
    let parked = eventually("the refused one to be told apart", SOON, async || {
        // First who still waits: the other way round, it may be judged between the two looks.
        let judged = world.store.waiting(10).await?.is_empty();
        let rows = world.store.parked(&Default::default()).await?;
        Ok((judged && rows.len() == 1).then_some(rows))
    })
    .await?;
    assert_eq!(parked[0].task_id.as_deref(), Some("t1"));
    assert!(
        parked[0].reason.contains("as the test wants it"),
        "{parked:?}"
    );
    Ok(daemon.stop().await?)
}

async fn stopping_writes_what_is_in_hand(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    daemon.ready().await?;
    // Long enough for the consumers to take more than one message at a time.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    send(&world, 0, 500).await?;
    daemon.stop().await?;
    // What had come is written and acknowledged; the rest was never taken. No message was
    // returned, which would count against it.
    let mut reader = counterfoil_toolbox::transport::Subscription::open(
        Arc::clone(&world.transport),
        counterfoil_toolbox::transport::SubscribeOptions::new(
            world.names.tracking_queue.clone(),
            1,
        ),
    );
    let left = world.transport.depth(&world.names.tracking_queue).await?;
    if left.is_some_and(|depth| depth.ready > 0) {
        let delivery = reader.next().await.expect("a message");
        assert_eq!(delivery.delivery_count(), 0);
    }
    reader.close().await;
    let daemon = world.daemon();
    all_mirrored(&world, 500).await?;
    Ok(daemon.stop().await?)
}

async fn a_daemon_that_stops_while_the_database_is_away_leaves_everything_with_the_broker(
    world: World,
) -> anyhow::Result<()> {
    let (store, daemon) = faulty(&world);
    daemon.ready().await?;
    store.fail_next(usize::MAX);
    send(&world, 0, 100).await?;
    daemon
        .reports("trouble", |report| !report.database.reachable)
        .await?;
    let error = daemon.stop().await.expect_err("not everything is written");
    assert!(matches!(error, SyncError::NotFlushed { .. }), "{error}");
    assert_eq!(error.exit_code(), 1);
    let daemon = world.daemon();
    all_mirrored(&world, 100).await?;
    Ok(daemon.stop().await?)
}

/// On one thread, so that its clock can be moved.
#[tokio::test]
async fn an_outage_of_ten_minutes_gives_the_messages_back_once_and_takes_them_again_afterwards()
-> anyhow::Result<()> {
    let world = World::in_memory().await?;
    let (store, daemon) = faulty(&world);
    daemon.ready().await?;
    // It is the writes that fail: reads are answered all the time.
    store.keep_reading();
    store.fail_next(usize::MAX);
    send(&world, 0, 100).await?;
    daemon
        .reports("trouble", |report| !report.database.reachable)
        .await?;
    assert_eq!(
        daemon.health.report().broker["tracking"].status,
        "consuming"
    );
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    let stopped = |report: &Report| report.broker["tracking"].status == "stopped";
    daemon.reports("consuming to end", stopped).await?;
    // All of it is the broker's again, and so are the canaries that came meanwhile.
    world.given_back(&world.names.tracking_queue, 100).await?;
    let probes = store.probes();
    eventually("more probes", SOON, async || {
        Ok((store.probes() > probes + 2).then_some(()))
    })
    .await?;
    world.given_back(&world.names.tracking_queue, 100).await?;
    assert!(!daemon.health.report().database.reachable);
    store.fail_next(0);
    all_mirrored(&world, 100).await?;
    assert_eq!(world.parked(0).await?.len(), 0);
    daemon.ready().await?;
    Ok(daemon.stop().await?)
}

mod own_nodes {
    use super::*;
    use counterfoil_testkit::{Database, PostgresNode};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_server_that_is_stopped_and_started_loses_and_parks_nothing()
    -> anyhow::Result<()> {
        let mut server = PostgresNode::start().await?;
        let database = Database::of(&server).await?;
        let world = World::with_database(database.url()).await?;
        let daemon = world.daemon();
        daemon.ready().await?;
        send(&world, 0, 500).await?;
        server.stop_immediate().await?;
        send(&world, 500, 1500).await?;
        daemon
            .reports("trouble", |report| !report.database.reachable)
            .await?;
        server.restart().await?;
        send(&world, 1500, 2000).await?;
        all_mirrored(&world, 2000).await?;
        assert_eq!(world.parked(0).await?.len(), 0);
        let report = daemon.ready().await?;
        assert_eq!(report.redelivered, 0, "no delivery was given back");
        daemon.stop().await?;
        Ok(())
    }
}
