//! What is asked of a worker while it runs, by those who speak to it directly.

use crate::running::add;
use crate::tasks::Add;
use crate::world::{Started, World, in_time};
use counterfoil_toolbox::message::Headers;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::task::TaskOptions;
use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
use counterfoil_toolbox::transport::Declare;
use counterfoil_toolbox::{Rate, Task, TaskState};
use counterfoil_worker::extension::{Beside, Extension, Inside, Message, Step, Subject};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::time::Instant;

on_both_transports!(
    an_added_queue_that_is_deleted_is_made_again_and_consumed,
    an_added_queue_that_is_lost_is_left_and_the_worker_goes_on,
);

/// Shows what is inside of a worker.
#[derive(Debug, Clone, Default)]
struct Shows(Arc<SetOnce<Inside>>);

impl Extension for Shows {
    fn messages(&self, _: &Subject<'_>, _: &Step<'_>) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }

    fn beside(&self, worker: Beside) -> Option<BoxFuture<'static, ()>> {
        let _ = self.0.set(worker.inside);
        None
    }
}

async fn start(
    world: &World,
    with: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
) -> (Started, Inside) {
    let shows = Shows::default();
    let worker = world.start(|builder| with(builder).extension(shows.clone()));
    let inside = shows.0.wait().await.clone();
    world.warm_up().await;
    (worker, inside)
}

fn extra() -> QueueName {
    QueueName::new("extra").expect("valid")
}

/// Makes the queue, and tells how.
async fn make_extra(world: &World) -> Vec<Item> {
    let item = Item::Queue(Queue {
        name: extra(),
        kind: QueueKind::Quorum,
        arguments: Headers::new(),
    });
    let declared = world.transport().declare(&item, Declare::Active).await;
    declared.expect("the broker takes it");
    vec![item]
}

async fn consumers(world: &World) -> Option<u32> {
    let depth = world.transport().depth(&extra()).await.expect("reachable");
    depth.map(|depth| depth.consumers)
}

async fn until(what: &str, look: impl AsyncFn() -> bool) {
    in_time(what, async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

async fn is_run(world: &World, id: &'static str) {
    let sum = world.message("demo.add", id, "[[1, 2], {}, {}]");
    world.publish_to_queue("extra", sum).await;
    let id = id.parse().expect("valid");
    world.told_of(&id, TaskState::Success).await;
}

async fn an_added_queue_that_is_deleted_is_made_again_and_consumed(world: World) {
    let (worker, inside) = start(&world, |builder| builder.handle(add)).await;
    assert!(inside.consume(extra(), make_extra(&world).await));
    is_run(&world, "before").await;
    let deleted = world.transport().delete_queue(&extra()).await;
    deleted.expect("the broker is reachable");
    until("being made again", async || {
        consumers(&world).await > Some(0)
    })
    .await;
    is_run(&world, "after").await;
    assert!(inside.queues().contains(&extra()));
    drop(worker);
}

async fn an_added_queue_that_is_lost_is_left_and_the_worker_goes_on(world: World) {
    let (worker, inside) = start(&world, |builder| builder.handle(add)).await;
    make_extra(&world).await;
    assert!(inside.consume(extra(), Vec::new()));
    is_run(&world, "before").await;
    let deleted = world.transport().delete_queue(&extra()).await;
    deleted.expect("the broker is reachable");
    until("being left", async || !inside.queues().contains(&extra())).await;
    // Whoever makes it anew may ask once more.
    make_extra(&world).await;
    assert!(inside.consume(extra(), Vec::new()));
    is_run(&world, "after").await;
    assert!(!worker.is_over());
    // One that was never there.
    let none = QueueName::new("none").expect("valid");
    assert!(inside.consume(none.clone(), Vec::new()));
    until("being left", async || !inside.queues().contains(&none)).await;
    let other = world.send(Add { x: 1, y: 2 }).await;
    world.told_of(&other, TaskState::Success).await;
}

#[tokio::test(start_paused = true)]
async fn the_channel_of_a_queue_that_was_left_is_closed_once_its_tasks_are_over() {
    let world = World::new().await;
    let (go, going) = tokio::sync::watch::channel(false);
    let waits = move |task: Add, _: Context| {
        let mut going = going.clone();
        async move {
            if task.x == 7 {
                going.wait_for(|go| *go).await?;
            }
            Ok::<_, TaskError>(task.x + task.y)
        }
    };
    let (worker, inside) = start(&world, |builder| builder.handle(waits)).await;
    make_extra(&world).await;
    let before = world.broker.channels();
    assert!(inside.consume(extra(), Vec::new()));
    let sum = world.message("demo.add", "long", "[[7, 2], {}, {}]");
    world.publish_to_queue("extra", sum).await;
    let id = "long".parse().expect("valid");
    world.told_of(&id, TaskState::Started).await;
    assert!(inside.leave(&extra()));
    until("being left", async || consumers(&world).await == Some(0)).await;
    assert!(
        world.broker.channels() > before,
        "its task is acknowledged there"
    );
    go.send_replace(true);
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "9");
    until("being closed", async || world.broker.channels() == before).await;
    assert_eq!(world.waiting_in("extra").await, 0, "it was acknowledged");
    drop(worker);
}

/// At most seventy a minute.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Paced {}

impl Task for Paced {
    const NAME: &'static str = "demo.paced";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            rate_limit: Some(Rate::per_minute(70)),
            ..TaskOptions::default()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_their_turn_go_by_a_new_rate_at_once() {
    for (rate, soonest) in [(None, 0), (Some(Rate::per_second(5)), 200)] {
        let world = World::new().await;
        let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let noted = begun.clone();
        let paced = move |_: Paced, _: Context| {
            noted.lock().expect("nothing panics").push(Instant::now());
            std::future::ready(Ok::<_, TaskError>(()))
        };
        let (_worker, inside) = start(&world, |builder| builder.handle(paced).handle(add)).await;
        let first = world.send(Paced {}).await;
        world.told_of(&first, TaskState::Success).await;
        let second = world.send(Paced {}).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(begun.lock().expect("nothing panics").len(), 1, "it waits");
        let changed = Instant::now();
        let name = Paced::NAME.parse().expect("valid");
        inside.limit_rate(&name, rate).expect("known");
        // Its own first turn by the new rate is taken before it.
        let third = world.send(Paced {}).await;
        for id in [second, third] {
            world.told_of(&id, TaskState::Success).await;
        }
        let begun = begun.lock().expect("nothing panics").clone();
        assert!(begun[1] - changed < Duration::from_millis(50), "{begun:?}");
        let between = begun[2] - begun[1];
        assert!(
            between >= Duration::from_millis(soonest) * 9 / 10,
            "{between:?}"
        );
        assert!(
            between < Duration::from_millis(soonest + 100),
            "{between:?}"
        );
    }
}
