//! How much runs at the same time, and that nothing stands in the way of the rest.

use crate::tasks::{Act, Patient, act, patient};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::EventKind;
use counterfoil_worker::{Context, Exit, TaskError};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::advance;

#[tokio::test(start_paused = true)]
async fn thousands_of_short_tasks_flow_past_a_long_one_at_the_head() {
    let world = World::new().await;
    let settings = WorkerSettings {
        prefetch: Some(20),
        concurrency: 20,
        ..WorkerSettings::default()
    };
    let go = Arc::new(Notify::new());
    let let_go = go.clone();
    let handler = move |task: Act, _: Context| {
        let go = go.clone();
        async move {
            if task.what == "long" {
                go.notified().await;
            }
            Ok(Value::Null)
        }
    };
    let worker = world.start_with(settings, |builder| builder.handle(handler));
    let long = world.send(act("long")).await;
    world.told_of(&long, TaskState::Started).await;
    let sent = world
        .producer
        .send_all((0..3000).map(|_| act("short")))
        .await;
    assert!(sent.iter().all(Result::is_ok));
    let succeeded = |n: usize| {
        move |events: &[counterfoil_toolbox::event::Event]| {
            let success = EventKind::State(TaskState::Success);
            (events.iter().filter(|e| e.kind == success).count() == n).then_some(())
        }
    };
    world.until(succeeded(3000)).await;
    assert_eq!(world.states_of(&long), ["STARTED"]);
    let_go.notify_one();
    world.until(succeeded(3001)).await;
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_run_at_the_same_time_than_the_settings_say() {
    let world = World::new().await;
    let settings = WorkerSettings {
        concurrency: 3,
        prefetch: Some(50),
        ..WorkerSettings::default()
    };
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = most.clone();
    let handler = move |_: Act, _: Context| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Value::Null)
        }
    };
    let _worker = world.start_with(settings, |builder| builder.handle(handler));
    world.warm_up().await;
    let ids = world.producer.send_all((0..30).map(|_| act(""))).await;
    for sent in ids {
        world
            .told_of(sent.expect("sent").id(), TaskState::Success)
            .await;
    }
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

/// Runs `tasks`, of which the one that "blocks" keeps its thread until all others are over: those
/// that "end" at once, and those that "wait" for a moment. They come at once: while the first one
/// is in hand, for longer than a consumer is cautious, the others are in the queue.
async fn all_go_on_beside_one_that_blocks(
    tasks: impl IntoIterator<Item = &'static str>,
    block: fn(&dyn Fn()),
) {
    let world = World::new().await;
    let tasks: Vec<_> = std::iter::once("first").chain(tasks).map(act).collect();
    let others = tasks.len() - 1;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let handler = move |task: Act, _: Context| {
        let (release, released) = (release.clone(), released.clone());
        async move {
            if task.what == "blocks" {
                block(&|| {
                    let released = released.lock().expect("nothing panics");
                    for _ in 0..others {
                        let in_time = released.recv_timeout(Duration::from_secs(30));
                        in_time.expect("the others go on meanwhile");
                    }
                });
                return Ok(Value::Null);
            }
            let wait = match &*task.what {
                "first" => Duration::from_millis(1500),
                "waits" => Duration::from_millis(20),
                _ => Duration::ZERO,
            };
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            release.send(()).expect("the other one waits");
            Ok(Value::Null)
        }
    };
    let all = world.producer.send_all(tasks).await;
    let _worker = world.start(|builder| builder.handle(handler));
    for sent in all {
        world
            .told_of(sent.expect("sent").id(), TaskState::Success)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_keeps_its_thread_does_not_hold_up_those_that_wait_before_it() {
    let tasks = (0..10).map(|n| if n < 9 { "waits" } else { "blocks" });
    all_go_on_beside_one_that_blocks(tasks, |wait| wait()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_keeps_its_thread_does_not_hold_up_the_one_behind_it() {
    all_go_on_beside_one_that_blocks(["blocks", "ends"], |wait| wait()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handler_that_tells_the_runtime_that_it_blocks_does_not_hold_up_the_one_behind_it() {
    let block = |wait: &dyn Fn()| tokio::task::block_in_place(wait);
    all_go_on_beside_one_that_blocks(["blocks", "ends"], block).await;
}

#[tokio::test]
async fn a_blocking_handler_keeps_its_place_until_it_has_really_ended() {
    let world = World::new().await;
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = most.clone();
    let handler = move |_: Act, _: Context| -> Result<Value, TaskError> {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(150));
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(Value::Null)
    };
    let settings = WorkerSettings {
        time_limit: Some(Duration::from_millis(20)),
        ..World::one_at_a_time()
    };
    let _worker = world.start_with(settings, |builder| builder.handle_blocking(handler));
    let id = world.send(act("")).await;
    in_time("giving up", world.told_of(&id, TaskState::Failure)).await;
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_places_are_taken_by_handlers_that_hang_finishes_the_rest_and_ends() {
    let world = World::new().await;
    let (release, hanging) = std::sync::mpsc::channel::<()>();
    let hanging = std::sync::Mutex::new(hanging);
    let handler = move |_: Act, _: Context| -> Result<Value, TaskError> {
        // Until the test is over.
        let _ = hanging.lock().expect("nothing panics").recv();
        Ok(Value::Null)
    };
    let slow = async |_: Patient, _: Context| {
        tokio::time::sleep(Duration::from_secs(40)).await;
        Ok(Value::Null)
    };
    let settings = WorkerSettings {
        time_limit: Some(Duration::from_secs(60)),
        concurrency: 2,
        prefetch: Some(10),
        ..WorkerSettings::default()
    };
    let worker = world.start_with(settings, |builder| {
        builder.handle_blocking(handler).handle(slow)
    });
    let first = world.send(act("")).await;
    world.told_of(&first, TaskState::Started).await;
    // A clock that is paused stands still while a thread of a blocking handler runs.
    advance(Duration::from_secs(50)).await;
    let second = world.send(patient("")).await;
    world.told_of(&second, TaskState::Started).await;
    for _ in 0..1000 {
        advance(Duration::from_millis(100)).await;
        if worker.is_over() {
            break;
        }
    }
    assert!(worker.is_over(), "{:?}", world.states_of(&first));
    let exit = worker.exit().await;
    assert_eq!(exit.code(), 1);
    assert_eq!(
        exit,
        Exit::Hung {
            tasks: vec![first.clone()]
        }
    );
    assert_eq!(world.states_of(&first)[..2], ["STARTED", "RETRY"]);
    assert_eq!(world.states_of(&second), ["STARTED", "SUCCESS"]);
    drop(release);
}
