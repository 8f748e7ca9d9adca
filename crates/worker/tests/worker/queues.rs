//! Queues that are deleted while they are consumed.

use crate::running::add;
use crate::tasks::{Add, Patient, patient};
use crate::world::{World, in_time};
use counterfoil_toolbox::config::{BrokerSettings, Declaring, QueueOverride};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::topology::{apply, service};
use counterfoil_toolbox::{ServiceName, TaskState};
use counterfoil_worker::{Context, Exit, TaskError};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

fn demo() -> QueueName {
    QueueName::new("demo").expect("valid")
}

/// Deletes the queue under a worker that has consumed it.
pub(crate) async fn delete_after_a_task(world: &World) {
    let id = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&id, TaskState::Success).await;
    let deleted = world.transport().delete_queue(&demo()).await;
    deleted.expect("the broker is reachable");
}

/// Waits until somebody consumes the queue.
pub(crate) async fn consumed_again(world: &World) {
    let transport = world.transport();
    in_time("consuming it again", async {
        loop {
            let depth = transport.depth(&demo()).await.expect("reachable");
            if depth.is_some_and(|depth| depth.consumers > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_deleted_is_declared_again_with_its_bindings_and_consumed() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.broker(&BrokerSettings::default()).handle(add));
    for _ in 0..3 {
        delete_after_a_task(&world).await;
        let deleted = Instant::now();
        consumed_again(&world).await;
        assert!(deleted.elapsed() < Duration::from_secs(10));
    }
    let id = world.send(Add { x: 20, y: 3 }).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "23");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_declare_its_queue_ends_when_it_is_deleted() {
    for declare in [None, Some(Declaring::Passive), Some(Declaring::Off)] {
        let world = World::new().await;
        let settings = declare.map(|declare| {
            let mut settings = BrokerSettings::default();
            let special = QueueOverride {
                declare,
                ..QueueOverride::default()
            };
            settings
                .queues
                .insert("demo".parse().expect("valid"), special);
            settings
        });
        let worker = world.start(|builder| match &settings {
            Some(settings) => builder.broker(settings).handle(add),
            None => builder.handle(add),
        });
        delete_after_a_task(&world).await;
        let deleted = Instant::now();
        let exit = worker.exit().await;
        assert_eq!(exit, Exit::NoQueue { queue: demo() }, "{declare:?}");
        assert_eq!(exit.code(), 78);
        assert!(deleted.elapsed() < Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_transport_is_closed_ends() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(add));
    let id = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&id, TaskState::Success).await;
    world.transport().close().await;
    assert_eq!(worker.exit().await.code(), 69);
}

#[tokio::test(start_paused = true)]
async fn delayed_tasks_and_retries_of_a_queue_of_limited_length_are_run_too() {
    let world = World::new().await;
    let limit = QueueOverride {
        max_length: Some(1000),
        ..QueueOverride::default()
    };
    let demo_service = ServiceName::new("demo").expect("valid");
    let mut settings = BrokerSettings::default();
    settings.queues.insert(demo_service.clone(), limit);
    let transport = world.transport();
    transport.delete_queue(&demo()).await.expect("in memory");
    let items = service(
        &world.names,
        &demo_service,
        &settings.service(&demo_service),
    );
    apply(&*transport, items).await.expect("in memory");

    let failing = async |_: Patient, cx: Context| match cx.attempt() {
        1 => Err(TaskError::retry("later")),
        _ => Ok(Value::Null),
    };
    let _worker = world.start(|builder| builder.broker(&settings).handle(add).handle(failing));
    let delayed = SendOptions::new().countdown(Duration::from_secs(3));
    let delayed = world.send_with(Add { x: 1, y: 1 }, delayed).await;
    let retried = world.send(patient("")).await;
    let soon = world.send(Add { x: 2, y: 2 }).await;
    for id in [soon, delayed, retried] {
        world.told_of(&id, TaskState::Success).await;
    }
}
