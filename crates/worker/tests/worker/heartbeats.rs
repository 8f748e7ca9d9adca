//! Signs of life.

use crate::running::add;
use crate::tasks::Add;
use crate::world::World;
use counterfoil_toolbox::heartbeat::{Heartbeat, Phase};
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use counterfoil_toolbox::{Task, TaskState};
use std::time::Duration;
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
