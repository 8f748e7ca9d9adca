//! From messages to handlers and their results.

use crate::tasks::{Act, Add, Export, act};
use crate::world::World;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{TaskName, TaskState};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};

pub(crate) async fn add(task: Add, _: Context) -> Result<i64, TaskError> {
    Ok(task.x + task.y)
}

#[tokio::test(start_paused = true)]
async fn a_task_is_run_reported_once_and_gone_from_its_queue() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(add));
    let id = world.send(Add { x: 2, y: 3 }).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "5");
    assert!(done.started_at.is_some() && done.runtime_ms.is_some());
    assert!(done.worker.is_some());
    assert_eq!(world.states_of(&id), ["SUCCESS"]);
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn arguments_by_position_reach_the_same_fields() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    let raw = RawTask {
        name: TaskName::new("demo.add").expect("valid"),
        args: "[40]".to_owned(),
        kwargs: r#"{"y": 2}"#.to_owned(),
    };
    let sent = world.producer.send_raw(raw, SendOptions::new()).await;
    let done = world
        .told_of(&sent.expect("sent"), TaskState::Success)
        .await;
    assert_eq!(done.result.expect("an output").get(), "42");
}

#[tokio::test(start_paused = true)]
async fn a_blocking_handler_runs_on_a_thread_of_its_own_and_shares_the_state() {
    struct Greeting(&'static str);
    let world = World::new().await;
    let here = std::thread::current().id();
    let handler = move |task: Act, cx: Context| {
        assert_ne!(std::thread::current().id(), here);
        let greeting = cx.state::<Greeting>().0;
        Ok(json!(format!("{greeting} {}", task.what)))
    };
    let _worker = world.start(|builder| builder.state(Greeting("hello")).handle_blocking(handler));
    let id = world.send(act("world")).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), r#""hello world""#);
}

#[tokio::test(start_paused = true)]
async fn several_queues_are_consumed_and_each_service_is_told_by_its_own_key() {
    let world = World::new().await;
    let export = async |_: Export, _: Context| Ok(());
    let _worker = world.start(|builder| builder.handle(add).handle(export));
    let ids = [
        world.send(Add { x: 1, y: 1 }).await,
        world.send(Export {}).await,
    ];
    let services: Vec<_> = [
        world.told_of(&ids[0], TaskState::Success).await.service,
        world.told_of(&ids[1], TaskState::Success).await.service,
    ]
    .into();
    assert_eq!(services, ["demo".into(), "export".into()]);
    assert_eq!(world.keys(), ["event.demo.batch", "event.export.batch"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_any_name_is_run_from_the_queue_that_it_came_to() {
    let world = World::new().await;
    let settings = WorkerSettings {
        queues: vec![QueueName::new("demo").expect("valid")],
        ..WorkerSettings::default()
    };
    let _worker = world.start_with(settings, |builder| {
        builder.handle_as("legacy_tasks.add_numbers", add)
    });
    let message = world.message("legacy_tasks.add_numbers", "l1", "[[1, 2], {}, {}]");
    world.publish_to_queue("demo", message).await;
    let id = "l1".parse().expect("valid");
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "3");
    // Straight into the queue: nobody else knows that it was sent to this service.
    assert_eq!(&*done.service, "legacy_tasks");

    // A user of the broker that may speak for its own service only can report what its key brought.
    let message = world.message("legacy_tasks.add_numbers", "l2", "[[3, 4], {}, {}]");
    let tasks = world.names.tasks.clone();
    world.publish(&tasks, "demo.legacy", message).await;
    let id = "l2".parse().expect("valid");
    assert_eq!(
        &*world.told_of(&id, TaskState::Success).await.service,
        "demo"
    );
}

#[tokio::test(start_paused = true)]
async fn an_output_of_nothing_is_a_success_without_result() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(async |_: Export, _: Context| Ok(())));
    let id = world.send(Export {}).await;
    assert!(
        world
            .told_of(&id, TaskState::Success)
            .await
            .result
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_skips_succeeds_and_says_why() {
    let world = World::new().await;
    let handler = async |_: Act, _: Context| Err::<Value, _>(TaskError::skip("nothing new"));
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.skipped.as_deref(), Some("nothing new"));
}
