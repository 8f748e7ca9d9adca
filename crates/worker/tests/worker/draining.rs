//! Stopping: what runs may finish, what waits goes back, nothing is lost and nothing runs twice
//! that did not have to.

use crate::tasks::{Act, act};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_worker::{Context, Exit, TaskError};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

async fn nap(task: Act, _: Context) -> Result<Value, TaskError> {
    let seconds = task.what.parse()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(Value::Null)
}

#[tokio::test(start_paused = true)]
async fn what_runs_may_finish_and_what_waits_goes_back() {
    let world = World::new().await;
    let worker = world.start_with(World::one_at_a_time(), |builder| builder.handle(nap));
    world.warm_up().await;
    let running = world.send(act("10")).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(world.send(act("0")).await);
    }
    for id in &waiting {
        world.told_of(id, TaskState::Received).await;
    }
    assert_eq!(world.waiting_in("demo").await, 0);
    let began = Instant::now();
    assert_eq!(worker.drain().await, Exit::Drained);
    assert!(
        began.elapsed() < Duration::from_secs(11),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.states_of(&running), ["STARTED", "SUCCESS"]);
    assert_eq!(world.waiting_in("demo").await, 5);
    let _next = world.start(|builder| builder.handle(nap));
    for id in &waiting {
        world.told_of(id, TaskState::Success).await;
    }
    assert_eq!(world.states_of(&running), ["STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn when_patience_is_over_handlers_are_asked_to_leave_and_their_tasks_run_elsewhere() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        cx.cancelled().cancelled().await;
        Err::<Value, _>(TaskError::retry("interrupted"))
    };
    let worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    let began = Instant::now();
    let exit = worker.drain().await;
    assert_eq!(
        exit,
        Exit::Stopped {
            left: vec![id.clone()]
        }
    );
    assert_eq!(began.elapsed().as_secs(), 30);
    // Not a failure of the task: no retry was used up.
    assert_eq!(world.states_of(&id), ["STARTED", "RETRY"]);
    let given_back = world.told_of(&id, TaskState::Retry).await;
    assert_eq!(given_back.counted, Some(false));
    let _next = world.start(|builder| builder.handle(async |_: Act, _: Context| Ok(Value::Null)));
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!((done.lineage.retries(), done.lineage.deliveries), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_everything_is_dropped_and_named() {
    let world = World::new().await;
    let settings = WorkerSettings {
        drain_timeout: Duration::from_secs(2),
        ..WorkerSettings::default()
    };
    let worker = world.start_with(settings, |builder| builder.handle(nap));
    let id = world.send(act("1000")).await;
    world.told_of(&id, TaskState::Started).await;
    let began = Instant::now();
    let exit = worker.drain().await;
    assert_eq!(exit.code(), 0);
    assert_eq!(
        exit,
        Exit::Stopped {
            left: vec![id.clone()]
        }
    );
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.states_of(&id), ["STARTED", "RETRY"]);
    assert_eq!(world.waiting_in("demo").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_stops_at_once() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(nap));
    let id = world.send(act("1000")).await;
    world.told_of(&id, TaskState::Started).await;
    worker.stopper.drain();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let began = Instant::now();
    worker.stopper.stop_now();
    let exit = worker.exit().await;
    assert_eq!(exit.code(), 130);
    assert_eq!(exit, Exit::Killed { left: vec![id] });
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.waiting_in("demo").await, 1);
}

#[tokio::test]
async fn a_blocking_handler_that_ignores_everything_does_not_hold_up_the_end() {
    let world = World::new().await;
    let settings = WorkerSettings {
        drain_timeout: Duration::from_millis(10),
        ..WorkerSettings::default()
    };
    let (release, ignoring) = std::sync::mpsc::channel::<()>();
    let ignoring = std::sync::Mutex::new(ignoring);
    let handler = move |_: Act, _: Context| -> Result<Value, TaskError> {
        // Until the test is over.
        let _ = ignoring.lock().expect("nothing panics").recv();
        Ok(Value::Null)
    };
    let worker = world.start_with(settings, |builder| builder.handle_blocking(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    assert_eq!(worker.drain().await, Exit::Stopped { left: vec![id] });
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_gives_everything_back() {
    let world = World::new().await;
    let builder = world.builder(WorkerSettings::default());
    let worker = builder.handle(nap).build().expect("builds");
    let running = tokio::spawn(worker.run_until(std::future::pending()));
    let id = world.send(act("1000")).await;
    world.told_of(&id, TaskState::Started).await;
    running.abort();
    let given_back = async {
        while world.waiting_in("demo").await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time("giving it back", given_back).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_without_work_takes_no_time() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(nap));
    world.warm_up().await;
    let began = Instant::now();
    assert_eq!(worker.drain().await, Exit::Drained);
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "{:?}",
        began.elapsed()
    );
}
