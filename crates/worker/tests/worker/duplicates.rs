//! The same message twice: after broken connections, and from senders that were not sure.

use crate::tasks::{Act, act};
use crate::tokens::{Gauge, all_succeed, seed, send_limited, sleeper};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A handler that counts its runs and waits to be let go.
#[derive(Clone)]
struct Gate {
    runs: Arc<AtomicU32>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self {
            runs: Arc::default(),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    fn add_to(&self, builder: WorkerBuilder) -> WorkerBuilder {
        let gate = self.clone();
        builder.handle(move |_: Act, _: Context| {
            let gate = gate.clone();
            async move { gate.pass().await }
        })
    }

    async fn pass(&self) -> Result<Value, TaskError> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.acquire().await?.forget();
        Ok(json!(run))
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }
}

/// Waits until so many messages wait at the broker.
async fn waits_in_queue(world: &World, messages: u32) {
    in_time("waiting at the broker", async {
        while world.waiting_in("demo").await != messages {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_delivered_again_while_it_runs_is_run_once_and_acknowledged() {
    let (world, gate) = (World::new().await, Gate::new());
    let worker = world.start(|builder| gate.add_to(builder));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.broker.faults().close_consumers();
    // Delivered again at once; a second later nothing else can have come.
    tokio::time::sleep(Duration::from_secs(10)).await;
    gate.open.add_permits(10);
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "1");
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(gate.runs(), 1);
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn a_finished_task_whose_acknowledgement_was_lost_is_not_run_again() {
    let (world, gate) = (World::new().await, Gate::new());
    let worker = world.start(|builder| gate.add_to(builder));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    // Nobody can be reached while it finishes: its acknowledgement has nowhere to go.
    world
        .broker
        .faults()
        .refuse_connections(Duration::from_secs(5));
    gate.open.add_permits(10);
    world.told_of(&id, TaskState::Success).await;
    let probe = world.send(act("probe")).await;
    world.told_of(&probe, TaskState::Success).await;
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(gate.runs(), 2);
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_message_with_the_same_id_is_run_with_the_first() {
    let (world, gate) = (World::new().await, Gate::new());
    let worker = world.start(|builder| gate.add_to(builder));
    for _ in 0..3 {
        let message = world.message("demo.act", "d1", "[[], {}, {}]");
        world.publish(&world.names.tasks, "demo.act", message).await;
    }
    let id = "d1".parse().expect("valid");
    world.told_of(&id, TaskState::Started).await;
    // All three are in hand before the first ends.
    waits_in_queue(&world, 0).await;
    gate.open.add_permits(10);
    world.told_of(&id, TaskState::Success).await;
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(gate.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_while_its_delivery_is_lost_is_left_to_the_worker_that_gets_it_next() {
    let (world, gate) = (World::new().await, Gate::new());
    let worker = world.start_with(World::one_at_a_time(), |builder| gate.add_to(builder));
    world.warm_up().await;
    let running = world.send(act("")).await;
    world.told_of(&running, TaskState::Started).await;
    let waiting = [world.send(act("")).await, world.send(act("")).await];
    for id in &waiting {
        world.told_of(id, TaskState::Received).await;
    }
    world.broker.faults().close_consumers();
    // What runs is delivered here again, and nothing else as long as it runs.
    waits_in_queue(&world, 2).await;
    let other =
        world.start(|builder| builder.handle(async |_: Act, _: Context| Ok(json!("elsewhere"))));
    for id in &waiting {
        let done = world.told_of(id, TaskState::Success).await;
        assert_eq!(done.result.expect("an output").get(), r#""elsewhere""#);
    }
    gate.open.add_permits(10);
    world.told_of(&running, TaskState::Success).await;
    other.drain().await;
    // Had it kept them, it would run them now.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(gate.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_while_its_delivery_is_lost_runs_when_it_is_delivered_again() {
    let (world, gate) = (World::new().await, Gate::new());
    let worker = world.start_with(World::one_at_a_time(), |builder| gate.add_to(builder));
    world.warm_up().await;
    let mut ids = vec![world.send(act("")).await];
    world.told_of(&ids[0], TaskState::Started).await;
    for _ in 0..3 {
        ids.push(world.send(act("")).await);
    }
    for id in &ids[1..] {
        world.told_of(id, TaskState::Received).await;
    }
    world.broker.faults().close_consumers();
    waits_in_queue(&world, 3).await;
    gate.open.add_permits(10);
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(gate.runs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_while_its_queue_is_deleted_runs_since_nobody_else_gets_it() {
    let (world, gate) = (World::new().await, Gate::new());
    let settings = BrokerSettings::default();
    let add = |builder: WorkerBuilder| gate.add_to(builder.broker(&settings));
    let worker = world.start_with(World::one_at_a_time(), add);
    world.warm_up().await;
    let running = world.send(act("")).await;
    world.told_of(&running, TaskState::Started).await;
    let waiting = world.send(act("")).await;
    world.told_of(&waiting, TaskState::Received).await;
    let queue = "demo".parse().expect("valid");
    let deleted = world.transport().delete_queue(&queue).await;
    deleted.expect("the broker is reachable");
    gate.open.add_permits(10);
    for id in [&running, &waiting] {
        world.told_of(id, TaskState::Success).await;
    }
    assert_eq!(worker.drain().await.code(), 0);
    assert_eq!(gate.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_back_before_its_sending_is_confirmed_is_not_lost_with_the_original() {
    let world = World::new().await;
    seed(&world, 0).await;
    let gauge = Arc::new(Gauge::default());
    let _worker = sleeper(&world, &gauge, Duration::from_millis(10));
    world.warm_up().await;
    send_limited(&world, 1).await;
    // By now it waits for a token. Nothing else is sent before it goes back.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.broker.faults().lose_confirms(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    seed(&world, 1).await;
    let began = Instant::now();
    all_succeed(&world, 1).await;
    // The worker sends another copy when it has waited for the confirm for ten seconds.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
