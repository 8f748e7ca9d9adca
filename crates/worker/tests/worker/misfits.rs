//! Messages that no handler can run: told, kept with the reason, and never in anyone's way.

use crate::running::add;
use crate::tasks::{Act, Add, act};
use crate::world::World;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::{Event, FaultKind};
use counterfoil_toolbox::message::{Content, HeaderValue, names};
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{TaskId, TaskName, TaskState};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// FAILURE was told of `id`, and the same reason stands in the dead letter, which is returned.
async fn failed_and_kept(world: &World, id: &TaskId, kind: FaultKind) -> (Event, Content) {
    let event = world.told_of(id, TaskState::Failure).await;
    let fault = event.error.clone().expect("a fault");
    assert_eq!(fault.kind, kind, "{}", fault.message);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(names::REASON), Some(kind.as_str()));
    assert_eq!(
        dead.headers.text(names::REASON_TEXT),
        Some(fault.message.as_str())
    );
    (event, dead)
}

fn message_of(event: &Event) -> &str {
    &event.error.as_ref().expect("a fault").message
}

#[tokio::test(start_paused = true)]
async fn a_wrong_argument_fails_at_once_with_its_name_and_the_message_is_kept() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(add));
    let raw = RawTask {
        name: TaskName::new("demo.add").expect("valid"),
        args: "[]".to_owned(),
        kwargs: r#"{"x":1,"y":2,"colour":"red"}"#.to_owned(),
    };
    let sent = world.producer.send_raw(raw, SendOptions::new()).await;
    let id = sent.expect("sent");
    let (event, dead) = failed_and_kept(&world, &id, FaultKind::BadArguments).await;
    assert_eq!(
        message_of(&event),
        "`demo.add` got an unexpected argument `colour`"
    );
    assert_eq!(dead.headers.text("id"), Some(id.as_str()));
    assert!(dead.body.ends_with(br#""chord":null}]"#));
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_task_fails_and_is_kept() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    let id = world.send(act("")).await;
    let (event, _) = failed_and_kept(&world, &id, FaultKind::UnknownTask).await;
    assert_eq!(message_of(&event), "this worker knows no task `demo.act`");
}

/// Whoever sent it was to take it out of the queue, and was killed before that.
#[tokio::test(start_paused = true)]
async fn a_probe_that_was_left_behind_is_dropped_without_a_word() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(add));
    let id = "0198c0de-0000-7000-8000-000000000001";
    let probe = world.message("platform.canary", id, "[[], {}, {}]");
    world.publish_to_queue("demo", probe).await;
    let next = world.send(Add { x: 1, y: 2 }).await;
    world.told_of(&next, TaskState::Success).await;
    assert_eq!(world.states_of(&id.parse().expect("valid")), [""; 0]);
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(world.waiting_in("demo.dead").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_foreign_service_is_told_in_the_name_of_the_queue_that_it_came_to() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    let message = world.message("nobody.knows", "n1", "[[], {}, {}]");
    world.publish_to_queue("demo", message).await;
    let id = "n1".parse().expect("valid");
    let (event, _) = failed_and_kept(&world, &id, FaultKind::UnknownTask).await;
    assert_eq!(&*event.service, "demo");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_task_fails_by_the_id_in_its_headers() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    let message = world.message("demo.add", "u1", "{broken");
    world.publish_to_queue("demo", message).await;
    let id = "u1".parse().expect("valid");
    let (event, dead) = failed_and_kept(&world, &id, FaultKind::Undecodable).await;
    assert!(message_of(&event).starts_with("the body is not [args, kwargs, embed]"));
    assert_eq!(&dead.body[..], b"{broken");
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_usable_id_is_kept_and_told_of_nobody() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(add));
    let mut message = Content::json("hello");
    message.headers.push("x-death", "a trace of the broker");
    world.publish_to_queue("demo", message).await;
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(names::REASON), Some("undecodable"));
    assert_eq!(dead.headers.get("x-death"), None);
    assert_eq!(&dead.body[..], b"hello");
    // The next good one is not held up.
    let id = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&id, TaskState::Success).await;
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_went_around_the_permissions_is_refused() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    let mut message = world.message("demo.add", "c1", "[[1, 2], {}, {}]");
    let keys = HeaderValue::List(vec!["export.project".into()]);
    message.headers.push("CC", keys);
    world.publish_to_queue("demo", message).await;
    let id = "c1".parse().expect("valid");
    let (event, dead) = failed_and_kept(&world, &id, FaultKind::Rejected).await;
    assert_eq!(message_of(&event), "it was sent by a CC header");
    assert_eq!(dead.headers.get("CC"), None);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_fails_the_task_and_not_the_worker() {
    let world = World::new().await;
    let settings = WorkerSettings {
        max_result_bytes: 100,
        ..WorkerSettings::default()
    };
    let handler =
        async |task: Act, _: Context| Ok(Value::from("x".repeat(task.what.parse::<usize>()?)));
    let _worker = world.start_with(settings, |builder| builder.handle(handler));
    let (large, fits) = (world.send(act("99")).await, world.send(act("98")).await);
    let (event, _) = failed_and_kept(&world, &large, FaultKind::ResultTooLarge).await;
    assert_eq!(
        message_of(&event),
        "the result is 101 bytes long; at most 100 are kept"
    );
    world.told_of(&fits, TaskState::Success).await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_no_database_holds_fails_the_task() {
    let world = World::new().await;
    let handler = async |_: Act, _: Context| Ok(json!("a\0b"));
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let (event, _) = failed_and_kept(&world, &id, FaultKind::ResultTooLarge).await;
    assert!(message_of(&event).contains("cannot be stored"));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_task_is_kept_and_a_failed_one_is_not() {
    let world = World::new().await;
    let handler = async |task: Act, _: Context| match task.what.as_str() {
        "reject" => Err::<Value, _>(TaskError::reject("not like this")),
        _ => Err(TaskError::fail("never")),
    };
    let worker = world.start(|builder| builder.handle(handler));
    let (failed, rejected) = (
        world.send(act("fail")).await,
        world.send(act("reject")).await,
    );
    let (event, _) = failed_and_kept(&world, &rejected, FaultKind::Rejected).await;
    assert_eq!(message_of(&event), "not like this");
    let event = world.told_of(&failed, TaskState::Failure).await;
    let fault = event.error.expect("a fault");
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (FaultKind::Exception, "never")
    );
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(
        world.waiting_in("demo.dead").await,
        0,
        "only the rejected one was kept"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_refused_is_kept_and_tried_less_and_less_often() {
    let world = World::new().await;
    let handler = async |_: Act, _: Context| Err::<Value, _>(TaskError::reject("not like this"));
    let worker = world.start(|builder| builder.handle(handler));
    let deleted = world.transport().delete_exchange(&world.names.dead).await;
    deleted.expect("the broker is reachable");
    let began = Instant::now();
    let id = world.send(act("")).await;
    // Tries after 1, 3, 7, 15, 31, 63 seconds, and then every minute.
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert!(world.states_of(&id).iter().all(|state| *state != "FAILURE"));
    world.mend().await;
    failed_and_kept(&world, &id, FaultKind::Rejected).await;
    assert!((120..130).contains(&began.elapsed().as_secs()));
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn missing_state_ends_the_execution_with_the_name_of_its_type() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| Ok(json!(*cx.state::<u64>()));
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let (event, _) = failed_and_kept(&world, &id, FaultKind::Exhausted).await;
    assert!(message_of(&event).ends_with("no state of type u64 was given to the worker"));
}
