//! Tasks whose messages are gone.

use crate::support::{
    FaultyStore, PickyTransport, SOON, World, batch, event, heartbeat, on_both_pairs, task,
};
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::delay::delayed_key;
use counterfoil_toolbox::heartbeat::{Hand, Heartbeat, Phase};
use counterfoil_toolbox::message::TaskMessage;
use counterfoil_toolbox::names::{QueueName, RoutingKey, ServiceName};
use counterfoil_toolbox::topology::DelayLevels;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{Delivery, SubscribeOptions, Subscription};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

on_both_pairs!(
    what_was_purged_is_sent_again_once_though_two_daemons_look_and_marks_fail,
    what_a_worker_had_that_is_gone_is_sent_again_when_it_was_purged,
    what_a_worker_has_and_says_nothing_of_is_left_alone,
    what_somebody_has_taken_who_says_nothing_is_left_alone,
    what_passed_the_delay_levels_is_sent_again_whatever_others_wait_there_for,
    nothing_is_sent_again_while_its_service_is_paused_or_nobody_listens,
    what_was_purged_is_sent_again_while_nobody_can_look_at_the_queue_of_another_service,
);

const TASK: &str = "demo.add";

/// Long enough for a busy machine: markers must come through in a quarter of it.
const BOUND: Duration = Duration::from_secs(4);

/// A worker of the service with this in hand, until it is dropped.
fn worker(world: &World, phase: Phase, hand: Hand) -> AbortOnDropHandle<()> {
    world.beats(move || Heartbeat {
        hands: BTreeMap::from([(QueueName::new("demo").expect("a name"), hand)]),
        // Heard five times in it, on a busy machine too.
        interval_ms: 2000,
        phase,
        ..heartbeat()
    })
}

const NOTHING: Hand = Hand {
    consumers: 0,
    untold: 0,
};

async fn sent(world: &World, ids: &[&str]) -> anyhow::Result<()> {
    for id in ids {
        world
            .publish(&world.names.tasks, TASK, task(id, TASK))
            .await?;
        world.row_in(id, TaskState::Pending).await?;
    }
    Ok(())
}

/// The next message of the queue, in the hands of a consumer.
async fn taken(world: &World) -> anyhow::Result<(Subscription, Delivery)> {
    let options = SubscribeOptions::new(QueueName::new("demo")?, 1);
    let mut queue = Subscription::open(Arc::clone(&world.transport), options);
    let delivery = timeout(SOON, queue.next()).await?.expect("a task");
    Ok((queue, delivery))
}

/// Empties the queue, as a person does by mistake.
async fn purged(world: &World, count: usize) -> anyhow::Result<()> {
    for _ in 0..count {
        let (queue, delivery) = taken(world).await?;
        let _ = delivery.ack();
        queue.close().await;
    }
    world.ready(&QueueName::new("demo")?, 0).await
}

async fn row(world: &World, id: &str) -> anyhow::Result<TaskRow> {
    Ok(world.store.task(id).await?.expect("a row"))
}

async fn sent_again(world: &World, id: &str) -> anyhow::Result<TaskRow> {
    eventually("a rescue", SOON, async || {
        let row = world.store.task(id).await?;
        Ok(row.filter(|row| row.rescue == 1))
    })
    .await
}

async fn left_alone(world: &World, id: &str) -> anyhow::Result<()> {
    // Nothing tells that nothing happens: it has to be waited for.
    let since = Instant::now();
    while since.elapsed() < BOUND * 3 {
        assert_eq!(row(world, id).await?.rescue, 0, "{:?}", since.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn with_bound(mut world: World) -> World {
    world.settings.lost_after = BOUND;
    world
}

async fn what_was_purged_is_sent_again_once_though_two_daemons_look_and_marks_fail(
    world: World,
) -> anyhow::Result<()> {
    let world = with_bound(world);
    let store = FaultyStore::new(&world.store);
    let daemon = || world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let (one, other) = (daemon(), daemon());
    one.ready().await?;
    let _worker = worker(&world, Phase::Stopped, NOTHING);
    sent(&world, &["t1", "t2"]).await?;
    // Of the other one everything is known.
    let started = event("t2", TASK, TaskState::Started);
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), batch(&[started]))
        .await?;
    store.fail_next_marks(2);
    purged(&world, 2).await?;
    let again = sent_again(&world, "t1").await?;
    assert_eq!(again.state, TaskState::Pending);
    assert_eq!(again.error_kind.as_deref(), Some("message_lost"));
    world.ready(&QueueName::new("demo")?, 1).await?;
    // Now it is in the queue, for as long as nobody takes it.
    sleep(BOUND * 2).await;
    assert_eq!(row(&world, "t1").await?.rescue, 1);
    assert_eq!(row(&world, "t2").await?.rescue, 0);
    world.ready(&QueueName::new("demo")?, 1).await?;
    let (queue, delivery) = taken(&world).await?;
    let message = TaskMessage::decode(&delivery.content)?;
    let lineage = message.envelope.lineage;
    assert_eq!((lineage.rescue, lineage.executions), (1, 0));
    assert_eq!(message.payload.args(), "[2]");
    queue.close().await;
    one.stop().await?;
    Ok(other.stop().await?)
}

async fn what_a_worker_had_that_is_gone_is_sent_again_when_it_was_purged(
    world: World,
) -> anyhow::Result<()> {
    let world = with_bound(world);
    let daemon = world.daemon();
    daemon.ready().await?;
    sent(&world, &["t1"]).await?;
    let mut started = event("t1", TASK, TaskState::Started);
    started.worker = Some(heartbeat().worker);
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), batch(&[started]))
        .await?;
    world.row_in("t1", TaskState::Started).await?;
    purged(&world, 1).await?;
    let living = worker(&world, Phase::Running, NOTHING);
    left_alone(&world, "t1").await?;
    drop(living);
    let _gone = worker(&world, Phase::Stopped, NOTHING);
    let again = sent_again(&world, "t1").await?;
    assert_eq!(again.state, TaskState::Pending);
    world.ready(&QueueName::new("demo")?, 1).await?;
    Ok(daemon.stop().await?)
}

async fn what_a_worker_has_and_says_nothing_of_is_left_alone(world: World) -> anyhow::Result<()> {
    let world = with_bound(world);
    let daemon = world.daemon();
    daemon.ready().await?;
    let has = |consumers, untold| worker(&world, Phase::Running, Hand { consumers, untold });
    let slow = has(1, 1);
    sent(&world, &["t1"]).await?;
    let (queue, delivery) = taken(&world).await?;
    left_alone(&world, "t1").await?;
    // It has the consumer still, and says that it has nothing.
    let _ = delivery.ack();
    drop(slow);
    let _empty = has(1, 0);
    sent_again(&world, "t1").await?;
    queue.close().await;
    Ok(daemon.stop().await?)
}

async fn what_somebody_has_taken_who_says_nothing_is_left_alone(
    world: World,
) -> anyhow::Result<()> {
    let world = with_bound(world);
    let daemon = world.daemon();
    daemon.ready().await?;
    let _worker = worker(&world, Phase::Running, NOTHING);
    sent(&world, &["t1"]).await?;
    let (queue, delivery) = taken(&world).await?;
    left_alone(&world, "t1").await?;
    let _ = delivery.ack();
    queue.close().await;
    sent_again(&world, "t1").await?;
    Ok(daemon.stop().await?)
}

async fn what_passed_the_delay_levels_is_sent_again_whatever_others_wait_there_for(
    world: World,
) -> anyhow::Result<()> {
    let world = with_bound(world);
    let daemon = world.daemon();
    daemon.ready().await?;
    let _worker = worker(&world, Phase::Stopped, NOTHING);
    let levels = DelayLevels::default();
    levels.declare(&*world.transport, &world.names).await?;
    for (id, seconds) in [("far", 1 << 20), ("t1", 1)] {
        let key = delayed_key(Duration::from_secs(seconds), &RoutingKey::new(TASK)?)?;
        let mut content = task(id, TASK);
        // Its sender's clock is years behind, so it should have come out long ago.
        content.properties.timestamp = Some(1);
        world
            .publish(&world.names.delay_entry, key.as_str(), content)
            .await?;
        world.row_in(id, TaskState::Pending).await?;
    }
    purged(&world, 1).await?;
    sent_again(&world, "t1").await?;
    let (queue, delivery) = taken(&world).await?;
    let _ = delivery.ack();
    queue.close().await;
    // The queue is empty again.
    left_alone(&world, "far").await?;
    Ok(daemon.stop().await?)
}

async fn nothing_is_sent_again_while_its_service_is_paused_or_nobody_listens(
    world: World,
) -> anyhow::Result<()> {
    let world = with_bound(world);
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    daemon.ready().await?;
    let _worker = worker(&world, Phase::Running, NOTHING);
    sent(&world, &["t1"]).await?;
    store.fail_next(usize::MAX);
    purged(&world, 1).await?;
    // Long enough by the database's clock; but nobody has looked.
    sleep(BOUND * 2).await;
    store.fail_next(0);
    let back = Instant::now();
    sent_again(&world, "t1").await?;
    assert!(back.elapsed() >= BOUND, "{:?}", back.elapsed());

    sent(&world, &["t2"]).await?;
    purged(&world, 2).await?;
    let service = ServiceName::new("demo")?;
    let pause = Order::PauseService {
        service: service.clone(),
    };
    world.ask([pause]).await?;
    left_alone(&world, "t2").await?;
    world.ask([Order::ResumeService { service }]).await?;
    sent_again(&world, "t2").await?;
    Ok(daemon.stop().await?)
}

async fn what_was_purged_is_sent_again_while_nobody_can_look_at_the_queue_of_another_service(
    world: World,
) -> anyhow::Result<()> {
    let mut world = with_bound(world);
    let broker = PickyTransport::of(&mut world);
    // The first that is looked at, in alphabetical order.
    let broken = world.serve("broken").await?;
    broker.refuse(Some(broken.clone()));
    let daemon = world.daemon();
    daemon.ready().await?;
    let other = broken.clone();
    let _worker = world.beats(move || Heartbeat {
        hands: [other.as_str(), "demo"]
            .map(|queue| (QueueName::new(queue).expect("a name"), NOTHING))
            .into(),
        interval_ms: 2000,
        phase: Phase::Stopped,
        ..heartbeat()
    });
    sent(&world, &["t1"]).await?;
    purged(&world, 1).await?;
    sent_again(&world, "t1").await?;
    assert!(broker.times(broken.as_str()) > 0);
    Ok(daemon.stop().await?)
}
