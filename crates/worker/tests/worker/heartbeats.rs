//! Signs of life.

use crate::running::add;
use crate::tasks::Add;
use crate::world::World;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::heartbeat::{Hand, Heartbeat, Phase};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use counterfoil_toolbox::{Task, TaskState};
use counterfoil_worker::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

async fn next(heartbeats: &mut Subscription) -> Heartbeat {
    let delivery = heartbeats.next().await.expect("the transport lives");
    assert_eq!(delivery.routing_key, "heartbeat.demo");
    let heartbeat = serde_json::from_slice(&delivery.content.body).expect("a sign of life");
    let _ = delivery.ack();
    heartbeat
}

#[tokio::test(start_paused = true)]
async fn a_worker_speaks_at_once_and_every_ten_seconds_and_tells_its_tasks_now_and_then() {
    let world = World::new().await;
    let queue = world.names.heartbeats_queue.clone();
    let mut heartbeats = Subscription::open(world.transport(), SubscribeOptions::new(queue, 1));
    let began = Instant::now();
    let worker = world.start(|builder| builder.handle(add).version("7.8.9"));
    let first = next(&mut heartbeats).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (first.version.as_str(), first.phase),
        ("7.8.9", Phase::Running)
    );
    assert_eq!((first.pid, first.processed), (std::process::id(), 0));
    assert_eq!(first.queues, ["demo"]);
    assert_eq!(first.hands.len(), 1);
    let schemas = first.tasks.expect("the first tells the tasks");
    let (name, schema) = schemas.first_key_value().expect("one task");
    assert_eq!((name.as_str(), schemas.len()), (Add::NAME, 1));
    assert_eq!(schema["required"], serde_json::json!(["x", "y"]));

    let id = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&id, TaskState::Success).await;
    for n in 1..=10 {
        let beat = next(&mut heartbeats).await;
        assert_eq!(beat.processed, 1);
        assert_eq!(beat.tasks.is_some(), n == 10, "number {n}");
    }
    assert_eq!(began.elapsed().as_secs(), 100);

    worker.drain().await;
    assert_eq!(next(&mut heartbeats).await.phase, Phase::Draining);
    assert_eq!(next(&mut heartbeats).await.phase, Phase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_of_its_consumers_and_of_what_it_has_not_reported() {
    let world = World::new().await;
    let queue = world.names.heartbeats_queue.clone();
    let mut heartbeats = Subscription::open(world.transport(), SubscribeOptions::new(queue, 1));
    let settings = WorkerSettings {
        concurrency: 1,
        prefetch: Some(3),
        heartbeat: Duration::from_secs(1),
        ..WorkerSettings::default()
    };
    let release = Arc::new(Notify::new());
    let wait = Arc::clone(&release);
    let worker = world.start_with(settings, |builder| {
        builder.handle(move |_: Add, _: Context| {
            let wait = Arc::clone(&wait);
            async move {
                wait.notified().await;
                Ok(0)
            }
        })
    });
    for n in 0..3 {
        world.send(Add { x: n, y: 1 }).await;
    }
    let demo = QueueName::new("demo").expect("valid");
    // One runs, the others wait in line, and that is reported; then events do not get through.
    let mut hand = None;
    while hand
        != Some(Hand {
            consumers: 2,
            untold: 0,
        })
        || world.waiting_in("demo").await != 0
    {
        hand = next(&mut heartbeats).await.hands.remove(&demo);
    }
    release.notify_waiters();
    release.notify_one();
    release.notify_one();
    worker.drain().await;
    let mut last = next(&mut heartbeats).await;
    while last.phase != Phase::Stopped {
        last = next(&mut heartbeats).await;
    }
    assert_eq!(last.hands[&demo].consumers, 0);
}
