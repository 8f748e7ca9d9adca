//! What holds when connections break: what was asked meanwhile, and whose task it is afterwards.

use crate::control::{counting, hold, id, nap, release, revoke};
use crate::control_of_workers::until_phase;
use crate::tasks::{Act, Long, Patient, act, long, patient};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::heartbeat::Phase;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::names::DELIVERIES_BEFORE;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::topology::{apply, delay_levels};
use counterfoil_toolbox::transport::{Requeue, SubscribeOptions, Subscription};
use counterfoil_worker::{Context, TaskError};
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

on_both_transports!(
    a_task_that_is_put_off_takes_its_deliveries_along,
    a_task_that_was_delivered_too_often_is_dead_however_it_was_put_off,
    a_task_that_was_delivered_before_is_given_back_by_a_message_of_its_own,
);

/// Cancels a task and sends it, while connections are broken again and again: whatever comes first when
/// they are back, it never starts.
async fn what_is_cancelled_meanwhile_never_starts(
    world: &World,
    rounds: usize,
    break_connections: impl AsyncFn(),
) {
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    let probe = world.send(act("")).await;
    world.told_of(&probe, TaskState::Success).await;
    for n in 0..rounds {
        let cancelled = id(&format!("cancelled {n} {}", Uuid::now_v7()));
        break_connections().await;
        world.ask([revoke(&cancelled)]).await;
        let options = SendOptions::new().id(cancelled.clone());
        world.send_with(act(""), options).await;
        world.told_of(&cancelled, TaskState::Revoked).await;
        assert_eq!(world.states_of(&cancelled), ["REVOKED"]);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_connections_are_broken_never_starts() {
    let world = World::new().await;
    let faults = world.broker.faults();
    // Which of the consumers is back first is a matter of chance.
    what_is_cancelled_meanwhile_never_starts(&world, 30, async || faults.close_consumers()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_the_broker_is_away_for_long_never_starts() {
    let world = World::new().await;
    let faults = world.broker.faults();
    // Back right before the worker has waited for twenty seconds, and again.
    for away in [19_500, 39_500] {
        let away = Duration::from_millis(away);
        what_is_cancelled_meanwhile_never_starts(&world, 20, async || {
            faults.refuse_connections(away);
            tokio::time::sleep(away).await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_cancelled_while_connections_are_broken_never_starts_on_rabbitmq()
-> anyhow::Result<()> {
    let (vhost, world) = crate::on_rabbitmq::rabbitmq().await?;
    let break_connections = async || {
        vhost.close_connections().await.expect("closed");
    };
    what_is_cancelled_meanwhile_never_starts(&world, 5, break_connections).await;
    vhost.close().await
}

/// Takes the next message of `demo` and goes away with it, so many times: as workers do that crash.
async fn deliver_in_vain(world: &World, times: usize) {
    for _ in 0..times {
        let queue = QueueName::new("demo").expect("valid");
        let options = SubscribeOptions::new(queue, 1);
        let mut subscription = Subscription::open(world.transport(), options);
        let _unsettled = in_time("a delivery", subscription.next()).await;
        subscription.close().await;
    }
}

async fn a_task_that_is_put_off_takes_its_deliveries_along(world: World) {
    let levels = delay_levels(&world.names);
    apply(&*world.transport(), levels).await.expect("declared");
    let task = id("held");
    world.ask([hold(&task)]).await;
    let options = SendOptions::new().id(task.clone());
    world.send_with(act(""), options).await;
    deliver_in_vain(&world, 3).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    // It goes on with a message of its own, which the broker has not delivered before.
    world.until_waiting("celery_delayed_0", 1).await;
    world.ask([release(&task)]).await;
    let done = world.told_of(&task, TaskState::Success).await;
    assert_eq!((done.lineage.executions, done.lineage.deliveries), (0, 3));
    assert!(world.all_told_of(&task, TaskState::Retry).is_empty());
    assert!(world.is_empty_after(worker, "demo").await);
}

/// Its message may come next with the same count as this time.
async fn a_task_that_was_delivered_before_is_given_back_by_a_message_of_its_own(world: World) {
    let settings = WorkerSettings {
        drain_timeout: Duration::from_millis(100),
        ..WorkerSettings::default()
    };
    let task = world.send(act("")).await;
    deliver_in_vain(&world, 1).await;
    let worker = world.start_with(settings, |builder| {
        builder.handle(async |_: Act, cx: Context| {
            cx.cancelled().cancelled().await;
            Err(TaskError::retry("interrupted"))
        })
    });
    world.told_of(&task, TaskState::Started).await;
    worker.drain().await;
    let retry = world.told_of(&task, TaskState::Retry).await;
    assert_eq!(retry.counted, Some(false));
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    let done = world.told_of(&task, TaskState::Success).await;
    assert_eq!((done.lineage.executions, done.lineage.deliveries), (1, 0));
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn a_task_that_was_delivered_too_often_is_dead_however_it_was_put_off(world: World) {
    let mut message = world.message("demo.act", "poison", "[[], {}, {}]");
    message.headers.push(DELIVERIES_BEFORE, 19);
    world.publish(&world.names.tasks, "demo.act", message).await;
    deliver_in_vain(&world, 2).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    let failed = world.told_of(&id("poison"), TaskState::Failure).await;
    assert_eq!(failed.lineage.deliveries, 21);
    let fault = failed.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::WorkerCrashed);
    let dead = world.take_from("demo.dead").await;
    let reason = dead.headers.text("counterfoil-reason");
    assert_eq!(reason, Some("delivery_limit"));
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    assert!(world.is_empty_after(worker, "demo").await);
}

/// A handler that fails once it is let go, and succeeds when it is run again.
fn fails_first(
    ends: fn(&str) -> TaskError,
    open: &Arc<Notify>,
    runs: &Arc<AtomicUsize>,
) -> impl Fn(Patient, Context) -> BoxFuture<'static, Result<Value, TaskError>> + Clone + use<> {
    let (open, runs) = (open.clone(), runs.clone());
    move |_, _| {
        let (open, runs) = (open.clone(), runs.clone());
        Box::pin(async move {
            if runs.fetch_add(1, Ordering::SeqCst) > 0 {
                return Ok(Value::Null);
            }
            open.notified().await;
            Err(ends("no luck"))
        })
    }
}

/// A worker that is asked to be quiet while it runs a task, and one that gets the task when connections
/// break. What the first one's handler comes to is not sent on: the second goes on with the task.
async fn goes_on_with_the_worker_that_has_it(ends: fn(&str) -> TaskError) {
    let world = World::new().await;
    let open = Arc::new(Notify::new());
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = fails_first(ends, &open, &runs);
    let builder = world
        .builder(WorkerSettings::default())
        .handle(handler.clone());
    let worker = builder.build().expect("builds");
    let me: WorkerId = worker.id().clone();
    let _first = tokio::spawn(worker.run_until(std::future::pending()));
    let task = world.send(patient("")).await;
    world.told_of(&task, TaskState::Started).await;
    world.ask([Order::Quiet { worker: me.clone() }]).await;
    let mut heartbeats = world.heartbeats();
    until_phase(&mut heartbeats, Phase::Quiet).await;
    world.broker.faults().close_consumers();
    let second = world.start(|builder| builder.handle(handler));
    world.told_of(&task, TaskState::Success).await;
    open.notify_one();
    // Longer than a retry waits, and than a worker waits for a task of its own.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let states = world.states_of(&task);
    assert_eq!(
        states,
        ["STARTED", "SUCCESS"],
        "what is short is not told to start"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(world.waiting_in("demo.dead").await, 0);
    assert!(world.is_empty_after(second, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_given_to_another_worker_is_not_retried_by_the_first() {
    goes_on_with_the_worker_that_has_it(|why| TaskError::retry(why.to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_given_to_another_worker_is_not_buried_by_the_first() {
    goes_on_with_the_worker_that_has_it(|why| TaskError::reject(why.to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_lost_a_task_does_not_say_that_it_waits_while_another_has_it() {
    let world = World::new().await;
    let (open, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let opens = open.clone();
    let keeps_its_place = move |_: Long, _: Context| {
        let open = opens.clone();
        async move {
            open.acquire().await?.forget();
            Ok(Value::Null)
        }
    };
    let worker = world.start_with(World::one_at_a_time(), |builder| {
        let builder = builder.handle(keeps_its_place);
        builder.handle(counting::<Act>(&runs))
    });
    world.warm_up().await;
    // The broker has no message of this one any more.
    let before = world.send(long()).await;
    world.told_of(&before, TaskState::Started).await;
    let task = world.send(act("")).await;
    world.told_of(&task, TaskState::Received).await;
    // Whoever comes when the broker is back is faster than whoever tries again now and then.
    let away = Duration::from_secs(20);
    world.broker.faults().refuse_connections(away);
    tokio::time::sleep(away).await;
    let queue = QueueName::new("demo").expect("valid");
    let mut another = Subscription::open(world.transport(), SubscribeOptions::new(queue, 1));
    let taken = in_time("a delivery", another.next()).await;
    open.add_permits(1);
    world.told_of(&before, TaskState::Success).await;
    // Longer than the worker waits for a task of its own.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.states_of(&task), ["RECEIVED"]);
    let _ = taken.expect("the transport lives").nack(Requeue::Yes);
    another.close().await;
    world.told_of(&task, TaskState::Success).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_the_broker_is_away_is_retried_when_it_is_back() {
    a_failure_is_retried_when_the_broker_is_back(World::new().await).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_the_broker_is_away_is_retried_by_a_worker_without_the_stream_too() {
    let world = World::new().await;
    let queue = &world.names.control_queue;
    let deleted = world.transport().delete_queue(queue).await;
    deleted.expect("deleted");
    a_failure_is_retried_when_the_broker_is_back(world).await;
}

async fn a_failure_is_retried_when_the_broker_is_back(world: World) {
    let open = Arc::new(Notify::new());
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = fails_first(|why| TaskError::retry(why.to_owned()), &open, &runs);
    let worker = world.start(|builder| builder.handle(handler));
    let task = world.send(patient("")).await;
    world.told_of(&task, TaskState::Started).await;
    let faults = world.broker.faults();
    faults.refuse_connections(Duration::from_secs(45));
    open.notify_one();
    let done = world.told_of(&task, TaskState::Success).await;
    assert_eq!(done.lineage.retries(), 1, "{:?}", done.lineage);
    let states = world.states_of(&task);
    assert_eq!(states, ["STARTED", "RETRY", "SUCCESS"]);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_cancelled_while_its_start_is_being_told_never_starts() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let worker = world.start_with(World::one_at_a_time(), |builder| {
        builder.handle(counting::<Long>(&runs)).handle(nap)
    });
    world.warm_up().await;
    let before = world.send(act("10")).await;
    world.told_of(&before, TaskState::Started).await;
    let task = world.send(long()).await;
    world.told_of(&task, TaskState::Received).await;
    // Everybody hears that it starts, but for a while the worker does not know that they do.
    let faults = world.broker.faults();
    faults.lose_confirms(1000);
    world.told_of(&task, TaskState::Started).await;
    faults.lose_confirms(0);
    world.ask([revoke(&task)]).await;
    world.told_of(&task, TaskState::Revoked).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    assert!(world.is_empty_after(worker, "demo").await);
}
