//! Tasks that send tasks.

use crate::tasks::{Act, Export, act};
use crate::world::{Started, World};
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{Task, TaskId, TaskState};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

#[tokio::test(start_paused = true)]
async fn a_child_knows_its_parent_and_the_first_of_its_family() {
    let world = World::new().await;
    let handler = async |task: Act, cx: Context| {
        let child = match task.what.as_str() {
            "grandparent" => Some(cx.send(act("parent")).await?),
            "parent" => Some(cx.send(Export {}).await?),
            _ => None,
        };
        Ok(json!(child.map(|id| id.to_string())))
    };
    let export = async |_: Export, _: Context| Ok(());
    let _worker = world.start(|builder| builder.handle(handler).handle(export));
    let root = world.send(act("grandparent")).await;
    let id_in = |event: counterfoil_toolbox::event::Event| {
        let id: String = serde_json::from_str(event.result.expect("an id").get()).expect("text");
        id.parse().expect("an id")
    };
    let parent = id_in(world.told_of(&root, TaskState::Success).await);
    let child = id_in(world.told_of(&parent, TaskState::Success).await);
    let event = world.told_of(&child, TaskState::Success).await;
    assert_eq!(event.task, Export::NAME);
    assert_eq!(event.parent_id, Some(parent));
    assert_eq!(event.root_id, Some(root.clone()));
    // The tracking copies say so too, for the mirror.
    for (name, parent) in [("demo.act", None), ("demo.act", Some(root.as_str()))] {
        let copy = world.take_from("platform.fifo").await;
        assert_eq!(copy.headers.text("task"), Some(name));
        assert_eq!(copy.headers.text("parent_id"), parent);
        assert_eq!(copy.headers.text("root_id"), Some(root.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_may_be_any_task_with_options_of_its_own() {
    let world = World::new().await;
    let handler = async |task: Act, cx: Context| {
        if task.what == "child" {
            return Ok(json!([
                cx.parent_id().map(|id| id.to_string()),
                cx.creator()
            ]));
        }
        let child = RawTask {
            name: cx.task_name().clone(),
            args: r#"["child"]"#.to_owned(),
            kwargs: "{}".to_owned(),
        };
        let id = cx
            .send_raw(child, SendOptions::new().creator("ada"))
            .await?;
        Ok(json!(id.to_string()))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let parent = world.send(act("")).await;
    let result = world
        .told_of(&parent, TaskState::Success)
        .await
        .result
        .expect("an id");
    let child: String = serde_json::from_str(result.get()).expect("text");
    let child = child.parse().expect("an id");
    let result = world
        .told_of(&child, TaskState::Success)
        .await
        .result
        .expect("a list");
    assert_eq!(result.get(), json!([parent.to_string(), "ada"]).to_string());
}

#[tokio::test(start_paused = true)]
async fn a_child_with_an_id_of_its_own_stays_one_task_when_its_parent_is_repeated() {
    let world = World::new().await;
    let handler = async |task: Act, cx: Context| {
        if task.what == "parent" {
            let id = format!("{}.{}.only", cx.task_id(), cx.lineage().run).parse()?;
            let options = SendOptions::new().id(id);
            let child = cx.send_with(act("child"), options).await?;
            if cx.attempt() == 1 {
                return Err(TaskError::retry("once more"));
            }
            return Ok(json!(child.to_string()));
        }
        Ok(json!("done"))
    };
    let worker = world.start(|builder| builder.handle(handler));
    let parent = world.send(act("parent")).await;
    let done = world.told_of(&parent, TaskState::Success).await;
    let child: String = serde_json::from_str(done.result.expect("an id").get()).expect("text");
    assert_eq!(child, format!("{parent}.0.only"));
    let child = child.parse().expect("an id");
    let done = world.told_of(&child, TaskState::Success).await;
    assert_eq!(done.parent_id, Some(parent));
    assert!(world.is_empty_after(worker, "demo").await);
    // The tracking copies of the parent and of both children.
    for id in [done.root_id.expect("a root"), child.clone(), child] {
        let copy = world.take_from("platform.fifo").await;
        assert_eq!(copy.headers.text("id"), Some(id.as_str()));
    }
}

/// A worker whose parents send a child once the gate is open.
pub(crate) fn start_with_gate(world: &World) -> (Started, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    let handler = move |task: Act, cx: Context| {
        let open = open.clone();
        async move {
            if task.what != "parent" {
                return Ok(Value::Null);
            }
            open.acquire().await?.forget();
            Ok(json!(cx.send(act("child")).await?.to_string()))
        }
    };
    let worker = world.start(|builder| builder.handle(handler));
    (worker, gate)
}

/// The parent has ended with the first attempt, and so has its child.
pub(crate) async fn assert_sent_at_once(world: &World, parent: &TaskId) {
    let done = world.told_of(parent, TaskState::Success).await;
    let child: String = serde_json::from_str(done.result.expect("an id").get()).expect("text");
    let child = child.parse().expect("an id");
    world.told_of(&child, TaskState::Success).await;
    assert!(world.all_told_of(parent, TaskState::Retry).is_empty());
    assert_eq!(done.lineage.retries(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_sent_while_the_broker_is_away_waits_for_it_and_costs_no_retry() {
    let world = World::new().await;
    let (_worker, gate) = start_with_gate(&world);
    let parent = world.send(act("parent")).await;
    world.told_of(&parent, TaskState::Started).await;
    let faults = world.broker.faults();
    faults.refuse_connections(Duration::from_secs(20));
    // Everybody has noticed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.add_permits(1);
    assert_sent_at_once(&world, &parent).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_be_sent_is_a_counted_retry_of_its_parent() {
    let world = World::new().await;
    let (_worker, gate) = start_with_gate(&world);
    let parent = world.send(act("parent")).await;
    world.told_of(&parent, TaskState::Started).await;
    let faults = world.broker.faults();
    faults.refuse_connections(Duration::from_secs(60));
    gate.add_permits(2);
    let retried = world.told_of(&parent, TaskState::Retry).await;
    let fault = retried.error.expect("a reason");
    assert!(fault.message.contains("demo.act was not sent"), "{fault:?}");
    world.told_of(&parent, TaskState::Success).await;
}
