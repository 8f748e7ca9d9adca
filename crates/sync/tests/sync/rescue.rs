//! Tasks that their workers have taken over from the broker.

use crate::support::{FaultyStore, SOON, World, batch, event, heartbeat, id, on_both_pairs, task};
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::Lease;
use counterfoil_toolbox::heartbeat::Heartbeat;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::names::RESTARTS;
use counterfoil_toolbox::message::{Content, TaskMessage};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

on_both_pairs!(
    a_task_whose_worker_vanished_is_sent_again_once_though_two_daemons_look,
    a_task_whose_worker_is_heard_is_left_alone,
    nothing_is_sent_again_because_the_database_was_away,
    a_task_whose_message_is_not_known_fails,
);

const TASK: &str = "demo.long";

/// Between two looks at what must not happen: nothing tells of that.
const LOOK: Duration = Duration::from_millis(100);

/// Long enough for a busy machine: markers must come through in a quarter of it.
const LEASE: Duration = Duration::from_secs(4);

/// A worker that has taken a task over, and says so until it is dropped.
fn worker_with(world: &World, task_id: &str) -> AbortOnDropHandle<()> {
    let task_id = id(task_id);
    world.beats(move || Heartbeat {
        leases: vec![task_id.clone()],
        ..heartbeat()
    })
}

/// Tells that the worker has taken the first attempt of a task over.
async fn taken_over(world: &World, task_id: &str) -> anyhow::Result<()> {
    let mut started = event(task_id, TASK, TaskState::Started);
    started.worker = WorkerId::new("demo@here.7.1").ok();
    started.lease = Some(Lease {
        ms: u32::try_from(LEASE.as_millis())?,
        restarts: 1,
    });
    let key = event_key("demo");
    let events = &world.names.events;
    world
        .publish(events, key.as_str(), batch(&[started]))
        .await?;
    world.row_in(task_id, TaskState::Started).await?;
    Ok(())
}

/// Sends a task, takes its message out of the queue for good, and tells that.
async fn begun(world: &World, task_id: &str) -> anyhow::Result<()> {
    world
        .publish(&world.names.tasks, TASK, task(task_id, TASK))
        .await?;
    world.row_in(task_id, TaskState::Pending).await?;
    taken(world).await?;
    taken_over(world, task_id).await
}

/// The next message of the service's queue; nobody else will get it.
async fn taken(world: &World) -> anyhow::Result<Content> {
    let options = SubscribeOptions::new(QueueName::new("demo")?, 1);
    let mut queue = Subscription::open(Arc::clone(&world.transport), options);
    let delivery = timeout(SOON, queue.next()).await?.expect("a task");
    let content = delivery.content.clone();
    let _ = delivery.ack();
    queue.close().await;
    Ok(content)
}

async fn row(world: &World, task_id: &str) -> anyhow::Result<TaskRow> {
    Ok(world.store.task(task_id).await?.expect("a row"))
}

async fn a_task_whose_worker_vanished_is_sent_again_once_though_two_daemons_look(
    world: World,
) -> anyhow::Result<()> {
    let (one, other) = (world.daemon(), world.daemon());
    one.ready().await?;
    let worker = worker_with(&world, "t1");
    begun(&world, "t1").await?;
    drop(worker);
    let again = row_of_rescue(&world, "t1", 1).await?;
    assert_eq!(again.state, TaskState::Pending);
    assert_eq!(again.error_kind.as_deref(), Some("worker_lost"));
    assert_eq!(again.lease_until, None);
    let content = taken(&world).await?;
    assert_eq!(content.headers.int(RESTARTS), Some(2));
    let message = TaskMessage::decode(&content)?;
    let lineage = message.envelope.lineage;
    assert_eq!((lineage.rescue, lineage.executions), (1, 0));
    assert_eq!(message.payload.args(), "[2]");
    // Nobody takes the new attempt over, so nothing more is sent, however long one looks.
    tokio::time::sleep(LEASE * 3).await;
    assert_eq!(row(&world, "t1").await?.rescue, 1);
    world.ready(&QueueName::new("demo")?, 0).await?;
    one.stop().await?;
    Ok(other.stop().await?)
}

async fn row_of_rescue(world: &World, task_id: &str, rescue: i32) -> anyhow::Result<TaskRow> {
    counterfoil_testkit::eventually("a rescue", SOON, async || {
        let row = world.store.task(task_id).await?;
        Ok(row.filter(|row| row.rescue == rescue))
    })
    .await
}

async fn a_task_whose_worker_is_heard_is_left_alone(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    daemon.ready().await?;
    let worker = worker_with(&world, "t1");
    begun(&world, "t1").await?;
    let since = Instant::now();
    while since.elapsed() < LEASE * 3 {
        let row = row(&world, "t1").await?;
        assert_eq!((row.state, row.rescue), (TaskState::Started, 0));
        tokio::time::sleep(LOOK).await;
    }
    drop(worker);
    row_of_rescue(&world, "t1", 1).await?;
    Ok(daemon.stop().await?)
}

async fn nothing_is_sent_again_because_the_database_was_away(world: World) -> anyhow::Result<()> {
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    daemon.ready().await?;
    let worker = worker_with(&world, "t1");
    begun(&world, "t1").await?;
    // What takes the database away may take the worker's voice too, a little before and after.
    drop(worker);
    tokio::time::sleep(LEASE / 4).await;
    store.fail_next(usize::MAX);
    // The lease ends in that time, and the worker is heard before another has passed.
    tokio::time::sleep(LEASE * 2).await;
    store.fail_next(0);
    tokio::time::sleep(LEASE / 2).await;
    let worker = worker_with(&world, "t1");
    let since = Instant::now();
    while since.elapsed() < LEASE * 2 {
        assert_eq!(row(&world, "t1").await?.rescue, 0);
        tokio::time::sleep(LOOK).await;
    }
    drop(worker);
    row_of_rescue(&world, "t1", 1).await?;
    Ok(daemon.stop().await?)
}

async fn a_task_whose_message_is_not_known_fails(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    daemon.ready().await?;
    taken_over(&world, "t1").await?;
    let row = world.row_in("t1", TaskState::Failure).await?;
    assert_eq!(row.error_kind.as_deref(), Some("worker_lost"));
    let why = row.error_message.expect("a reason");
    assert!(why.contains("does not know its message"), "{why}");
    Ok(daemon.stop().await?)
}
