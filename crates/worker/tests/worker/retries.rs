//! Failing handlers: when they run again, where the task waits meanwhile, and when it is over.

use crate::tasks::{Act, Patient, act, patient};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, FaultKind};
use counterfoil_toolbox::message::{HeaderValue, TaskMessage, names};
use counterfoil_worker::{Context, Exit, TaskError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_short_wait_is_spent_in_the_worker_and_every_attempt_is_told() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| match cx.attempt() {
        3 => Ok(json!(cx.lineage().retries())),
        n => Err(TaskError::retry(format!("not yet: {n}"))),
    };
    let worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "2");
    assert_eq!(done.lineage.retries(), 2);
    let retries = world.all_told_of(&id, TaskState::Retry);
    let texts: Vec<_> = retries
        .iter()
        .map(|event| {
            let fault = event.error.clone().expect("a fault");
            (
                event.lineage.retries(),
                event.counted,
                fault.kind,
                fault.message,
            )
        })
        .collect();
    let counted = Some(true);
    assert_eq!(
        texts,
        [
            (0, counted, FaultKind::Exception, "not yet: 1".to_owned()),
            (1, counted, FaultKind::Exception, "not yet: 2".to_owned())
        ]
    );
    assert!(retries.iter().all(|event| event.retry_at > Some(event.at)));
    // Only one message of it ever was in the tracking queue.
    assert_eq!(world.waiting_in("platform.fifo").await, 1);
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_task_takes_no_place_among_those_that_run() {
    let world = World::new().await;
    let handler = async |task: Act, cx: Context| match (task.what.as_str(), cx.attempt()) {
        ("first", 1) => Err(TaskError::retry_after("later", Duration::from_millis(900))),
        _ => Ok(Value::Null),
    };
    let _worker = world.start_with(World::one_at_a_time(), |builder| builder.handle(handler));
    world.warm_up().await;
    let first = world.send(act("first")).await;
    world.told_of(&first, TaskState::Retry).await;
    let second = world.send(act("second")).await;
    world.told_of(&second, TaskState::Success).await;
    assert!(!world.states_of(&first).contains(&"SUCCESS"));
    world.told_of(&first, TaskState::Success).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_spent_at_the_broker_and_the_copy_says_all_that_the_task_said() {
    let world = World::new().await;
    let worker = world.start(|builder| {
        builder.handle(async |_: Patient, cx: Context| match cx.attempt() {
            1 => Err(TaskError::retry("not yet")),
            _ => Ok(json!(cx.creator())),
        })
    });
    let embed = r#"{"callbacks": null, "chain": [{"task": "demo.next"}]}"#;
    let body = format!(r#"[["x"], {{}}, {embed}]"#);
    let mut message = world.message("demo.patient", "p1", &body);
    message.headers.push("mine", "kept");
    message.headers.push(names::CREATOR, "user 7");
    message.headers.push("x-death", HeaderValue::List(vec![]));
    let began = Instant::now();
    world
        .publish(&world.names.tasks, "demo.patient", message)
        .await;
    let id = "p1".parse().expect("valid");
    let done = world.told_of(&id, TaskState::Success).await;
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert_eq!(done.result.expect("an output").get(), r#""user 7""#);
    assert_eq!(done.lineage.retries(), 1);

    let _original = world.take_from("platform.fifo").await;
    let copy = world.take_from("platform.fifo").await;
    assert_eq!(copy.headers.text("mine"), Some("kept"));
    assert_eq!(copy.headers.int("retries"), Some(1));
    assert!(copy.headers.text("eta").is_some());
    assert!(String::from_utf8_lossy(&copy.body).ends_with(&format!("{embed}]")));
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_has_been_here_for_a_minute_is_not_held_for_another_try() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| match cx.attempt() {
        1 => {
            tokio::time::sleep(Duration::from_secs(61)).await;
            Err(TaskError::retry("took long"))
        }
        _ => Ok(Value::Null),
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    // The backoff is 100 ms, but the task and its copy have both been tracked.
    assert_eq!(world.waiting_in("platform.fifo").await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_retry_is_told_only_when_its_copy_is_safe() {
    let world = World::new().await;
    let handler = async |_: Patient, _: Context| Err::<Value, _>(TaskError::retry("not yet"));
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(patient("")).await;
    world.told_of(&id, TaskState::Retry).await;
    // The original and the copy have both been tracked by then.
    assert_eq!(world.waiting_in("platform.fifo").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_retries_are_used_up_is_dead() {
    let world = World::new().await;
    let handler = async |_: Act, _: Context| Err::<Value, _>(TaskError::retry("no luck"));
    let worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let failed = world.told_of(&id, TaskState::Failure).await;
    let fault = failed.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::Exhausted);
    assert_eq!(fault.message, "after 2 retries (exception): no luck");
    assert_eq!(failed.lineage.retries(), 2);
    assert_eq!(world.all_told_of(&id, TaskState::Retry).len(), 2);
    assert!(world.is_empty_after(worker, "demo").await);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(names::REASON), Some("exhausted"));
    let envelope = TaskMessage::decode(&dead).expect("a task").envelope;
    assert_eq!((envelope.retries, envelope.lineage.retries()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_uncounted_retry_uses_up_nothing() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| match cx.attempt() {
        10 => Ok(json!(cx.lineage().retries())),
        _ => Err(TaskError::retry_uncounted(
            "throttled",
            Duration::from_millis(10),
        )),
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "9");
    let retries = world.all_told_of(&id, TaskState::Retry);
    assert!(retries.iter().all(|event| event.counted == Some(false)));
}

#[tokio::test(start_paused = true)]
async fn counted_and_uncounted_retries_are_told_apart_across_the_broker() {
    let world = World::new().await;
    let handler = async |_: Patient, cx: Context| match cx.attempt() {
        1..=4 => Err(TaskError::retry_uncounted(
            "throttled",
            Duration::from_secs(3),
        )),
        5 | 6 => Err(TaskError::retry("counted")),
        n => Ok(json!(n)),
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(patient("")).await;
    // Two counted retries are allowed, and four others came before them.
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "7");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_retried_with_its_message_and_place() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        assert!(cx.attempt() > 1, "boom");
        Ok(Value::Null)
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    let retry = world.told_of(&id, TaskState::Retry).await;
    let fault = retry.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::Panic);
    assert!(
        fault.message.starts_with("panicked at "),
        "{}",
        fault.message
    );
    assert!(fault.message.contains("retries.rs:"), "{}", fault.message);
    assert!(fault.message.ends_with(": boom"), "{}", fault.message);
}

#[tokio::test(start_paused = true)]
async fn panics_of_blocking_handlers_and_of_what_handlers_drop_are_survived() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "in drop");
        }
    }
    let world = World::new().await;
    let blocking = |_: Act, _: Context| -> Result<Value, TaskError> { panic!("on a thread") };
    let dropping = async |_: Patient, _: Context| {
        let _bomb = Bomb;
        Ok(Value::Null)
    };
    let _worker = world.start(|builder| builder.handle_blocking(blocking).handle(dropping));
    let id = world.send(act("")).await;
    let failed = world.told_of(&id, TaskState::Failure).await;
    let text = failed.error.expect("a fault").message;
    assert!(
        text.ends_with(": on a thread") && text.contains("retries.rs:"),
        "{text}"
    );
    let id = world.send(patient("")).await;
    let failed = world.told_of(&id, TaskState::Failure).await;
    assert!(
        failed
            .error
            .expect("a fault")
            .message
            .ends_with(": in drop")
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_timed_out_handler_is_dropped_leaves_its_outcome() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let world = World::new().await;
    let handler = async |_: Patient, _: Context| {
        let _bomb = Bomb;
        std::future::pending::<Result<Value, TaskError>>().await
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let limit =
        counterfoil_toolbox::producer::SendOptions::new().time_limit(Duration::from_secs(1));
    let id = world.send_with(patient(""), limit).await;
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert_eq!(retry.error.expect("a fault").kind, FaultKind::TimeLimit);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_sends_waiting_tasks_on_with_the_retries_they_have_behind_them() {
    let world = World::new().await;
    let tries = Arc::new(AtomicU32::new(0));
    let count = tries.clone();
    let handler = move |_: Act, cx: Context| {
        let count = count.clone();
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            match cx.lineage().retries() {
                2 => Ok(json!(cx.attempt())),
                _ => Err(TaskError::retry_after("later", Duration::from_millis(999))),
            }
        }
    };
    let first = world.start(|builder| builder.handle(handler.clone()));
    let id = world.send(act("")).await;
    let is_second = |events: &[counterfoil_toolbox::event::Event]| {
        let retry = EventKind::State(TaskState::Retry);
        let waits =
            |e: &&counterfoil_toolbox::event::Event| e.kind == retry && e.lineage.retries() == 1;
        events.iter().find(waits).map(|_| ())
    };
    world.until(is_second).await;
    let exit = in_time("draining", first.drain()).await;
    assert_eq!(exit, Exit::Drained, "it left nothing behind");
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    let _second = world.start(|builder| builder.handle(handler));
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "3");
    assert_eq!(tries.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_retries_by_itself_counts_less_than_the_next_delivery_of_the_message() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| match cx.lineage().tries {
        0 => Err::<Value, _>(TaskError::retry("once more")),
        _ => std::future::pending().await,
    };
    let first = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let tried = |events: &[counterfoil_toolbox::event::Event]| {
        let started = EventKind::State(TaskState::Started);
        let second =
            |e: &&counterfoil_toolbox::event::Event| e.kind == started && e.lineage.tries == 1;
        events.iter().find(second).cloned()
    };
    let lost = world.until(tried).await;
    assert_eq!((lost.lineage.executions, lost.lineage.deliveries), (0, 0));
    first.stopper.stop_now();
    first.exit().await;
    let handler = async |_: Act, _: Context| Err::<Value, _>(TaskError::fail("for good"));
    let _second = world.start(|builder| builder.handle(handler));
    let failed = world.told_of(&id, TaskState::Failure).await;
    assert_eq!((failed.lineage.deliveries, failed.lineage.tries), (1, 0));
    assert!(failed.key() > lost.key(), "{failed:?} after {lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_back_to_its_worker_is_reported_as_the_delivery_that_it_is() {
    let world = World::new().await;
    let go = Arc::new(tokio::sync::Notify::new());
    let let_go = go.clone();
    let handler = move |_: Act, _: Context| {
        let go = go.clone();
        async move {
            go.notified().await;
            Err::<Value, _>(TaskError::fail("for good"))
        }
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.broker.faults().close_consumers();
    // Time to connect again, and to take over the redelivery.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let_go.notify_one();
    let failed = world.told_of(&id, TaskState::Failure).await;
    assert_eq!(failed.lineage.deliveries, 1);
}
