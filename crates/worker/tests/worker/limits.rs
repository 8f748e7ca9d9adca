//! How often tasks begin, how many run at a time, how long, and how often they are retried.

use crate::control_of_workers::until_heard;
use crate::running::add;
use crate::tasks::{Act, Add, Patient, act, patient};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::{EventKind, FaultKind};
use counterfoil_toolbox::heartbeat::Heartbeat;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::rate::Rate;
use counterfoil_toolbox::task::{Task, TaskOptions};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

on_both_transports!(
    tasks_of_a_limited_rate_begin_evenly_and_others_pass_them,
    tasks_of_a_limited_rate_begin_evenly_after_they_stood_in_line,
    no_more_of_a_type_run_at_a_time_than_it_allows_and_others_pass_them,
    a_task_that_its_worker_has_and_puts_off_is_told_to_wait_again_and_once,
    a_soft_time_limit_is_told_to_the_handler_and_ends_nothing,
    the_sender_says_how_long_a_task_may_run_and_how_often_it_is_retried,
);

/// At most five in a second.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Slow {}

impl Task for Slow {
    const NAME: &'static str = "demo.slow";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            rate_limit: Some(Rate::per_second(5)),
            ..TaskOptions::default()
        }
    }
}

/// At most one in three seconds.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Rare {}

impl Task for Rare {
    const NAME: &'static str = "demo.rare";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            rate_limit: Some(Rate::per_minute(20)),
            ..TaskOptions::default()
        }
    }
}

/// At most two at a time.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Few {}

impl Task for Few {
    const NAME: &'static str = "demo.few";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            max_concurrency: Some(2),
            ..TaskOptions::default()
        }
    }
}

/// A handler that notes when it begins.
fn noting(
    begun: &Arc<Mutex<Vec<Instant>>>,
) -> impl Fn(Slow, Context) -> Ready<Result<(), TaskError>> + use<> {
    let begun = begun.clone();
    move |_, _| {
        begun.lock().expect("nothing panics").push(Instant::now());
        ready(Ok(()))
    }
}

async fn tasks_of_a_limited_rate_begin_evenly_and_others_pass_them(world: World) {
    const TASKS: usize = 15;
    let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let slow = noting(&begun);
    let worker = world.start(|builder| builder.handle(slow).handle(add));
    world.warm_up().await;
    let mut ids = Vec::new();
    for _ in 0..TASKS {
        ids.push(world.send(Slow {}).await);
    }
    let other = world.send(Add { x: 1, y: 2 }).await;
    world.told_of(&other, TaskState::Success).await;
    assert!(
        begun.lock().expect("nothing panics").len() < TASKS,
        "it stood in line"
    );
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
        // Waiting for its turn is no attempt.
        assert!(world.all_told_of(id, TaskState::Retry).is_empty());
    }
    let begun = begun.lock().expect("nothing panics").clone();
    // One that begins late, on a busy machine, is closer to the next.
    let spans = begun.windows(6).map(|six| six[5] - six[0]);
    let short: Vec<_> = spans
        .filter(|span| *span < Duration::from_millis(700))
        .collect();
    assert!(short.is_empty(), "{short:?}");
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn tasks_of_a_limited_rate_begin_evenly_after_they_stood_in_line(world: World) {
    const PLACES: u16 = 5;
    let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let slow = noting(&begun);
    let (open, opened) = tokio::sync::watch::channel(false);
    let waits = move |_: Act, _: Context| {
        let mut opened = opened.clone();
        async move {
            opened.wait_for(|open| *open).await?;
            Ok(Value::Null)
        }
    };
    let settings = WorkerSettings {
        concurrency: PLACES,
        prefetch: Some(4 * PLACES),
        ..WorkerSettings::default()
    };
    let worker = world.start_with(settings, |builder| builder.handle(slow).handle(waits));
    world.warm_up().await;
    for _ in 0..PLACES {
        let id = world.send(act("")).await;
        world.told_of(&id, TaskState::Started).await;
    }
    let mut ids = Vec::new();
    for _ in 0..PLACES {
        ids.push(world.send(Slow {}).await);
    }
    // Long enough for each to take a turn, if it took one before it has a place.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(begun.lock().expect("nothing panics").is_empty());
    open.send_replace(true);
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    let begun = begun.lock().expect("nothing panics").clone();
    let span = begun[begun.len() - 1] - begun[0];
    assert!(span >= Duration::from_millis(600), "{span:?}");
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn no_more_of_a_type_run_at_a_time_than_it_allows_and_others_pass_them(world: World) {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (runs, maximum) = (running.clone(), most.clone());
    let few = move |_: Few, _: Context| {
        let (runs, maximum) = (runs.clone(), maximum.clone());
        async move {
            maximum.fetch_max(runs.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
            runs.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let worker = world.start(|builder| builder.handle(few).handle(add));
    world.warm_up().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(world.send(Few {}).await);
    }
    let other = world.send(Add { x: 1, y: 2 }).await;
    world.told_of(&other, TaskState::Success).await;
    let last = ids.last().expect("twenty");
    assert!(
        world.all_told_of(last, TaskState::Success).is_empty(),
        "it stood in line"
    );
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn a_task_that_its_worker_has_and_puts_off_is_told_to_wait_again_and_once(world: World) {
    let (open, opened) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gate = open.clone();
    let waits = move |_: Act, _: Context| {
        let gate = gate.clone();
        async move {
            gate.acquire().await?.forget();
            Ok(Value::Null)
        }
    };
    let begins = opened.clone();
    let rare = move |_: Rare, _: Context| {
        begins.add_permits(1);
        ready(Ok(()))
    };
    let mut heartbeats = world.heartbeats();
    let settings = WorkerSettings {
        heartbeat: Duration::from_secs(1),
        ..World::one_at_a_time()
    };
    let worker = world.start_with(settings, |builder| builder.handle(waits).handle(rare));
    world.warm_up().await;
    let blocks = async || {
        let id = world.send(act("")).await;
        world.told_of(&id, TaskState::Started).await;
    };
    blocks().await;
    let ids = [world.send(Rare {}).await, world.send(Rare {}).await];
    for id in &ids {
        world.told_of(id, TaskState::Received).await;
    }
    open.add_permits(1);
    // The second one has to wait for seconds.
    let waits = EventKind::State(TaskState::Pending);
    let put_off = world
        .until(|events| events.iter().find(|event| event.kind == waits).cloned())
        .await;
    let received = world.told_of(&put_off.task_id, TaskState::Received).await;
    assert!(put_off.key() > received.key(), "{put_off:?}");
    assert!(put_off.retry_at.is_some() && put_off.worker.is_some());
    // It comes again, and stands in line for a place once more.
    blocks().await;
    // Another one runs, and only of this one nothing is told.
    let has_come = |beat: &Heartbeat| {
        let is_untold = beat.hands.values().any(|hand| hand.untold == 1);
        is_untold && (beat.processed, beat.running) == (2, 1)
    };
    until_heard(&mut heartbeats, has_come).await;
    assert_eq!(opened.available_permits(), 1, "it stood in line");
    open.add_permits(1);
    let done = world.told_of(&put_off.task_id, TaskState::Success).await;
    assert!(done.key() > put_off.key());
    for state in [TaskState::Received, TaskState::Pending] {
        let told = world.all_told_of(&put_off.task_id, state);
        assert_eq!(told.len(), 1, "{:?}", world.states_of(&put_off.task_id));
    }
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn a_soft_time_limit_is_told_to_the_handler_and_ends_nothing(world: World) {
    let handler = async |_: Act, cx: Context| {
        cx.soft_time_limit().cancelled().await;
        let asked_to_leave = cx.cancelled().is_cancelled();
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(json!({ "cleaned up": !asked_to_leave }))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let limits = SendOptions::new()
        .time_limit(Duration::from_secs(60))
        .soft_time_limit(Duration::from_millis(300));
    let id = world.send_with(act(""), limits).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(
        done.result.expect("an output").get(),
        r#"{"cleaned up":true}"#
    );
    let runtime = done.runtime_ms.expect("it ran");
    assert!((400..20_000).contains(&runtime), "{runtime}");
}

async fn the_sender_says_how_long_a_task_may_run_and_how_often_it_is_retried(world: World) {
    let fails = async |_: Patient, _: Context| -> Result<Value, TaskError> {
        Err(TaskError::retry_after("no", Duration::from_secs(1)))
    };
    let hangs =
        async |_: Act, _: Context| -> Result<Value, TaskError> { std::future::pending().await };
    let _worker = world.start(|builder| builder.handle(fails).handle(hangs));
    for (retries, attempts) in [(0, 1), (1, 2), (3, 4)] {
        let options = SendOptions::new().max_retries(retries);
        let id = world.send_with(patient(""), options).await;
        let failed = in_time("giving up", world.told_of(&id, TaskState::Failure)).await;
        let retried = world.all_told_of(&id, TaskState::Retry).len();
        assert_eq!(retried + 1, attempts, "{:?}", world.states_of(&id));
        let kind = if retries == 0 {
            FaultKind::Exception
        } else {
            FaultKind::Exhausted
        };
        assert_eq!(failed.error.expect("a fault").kind, kind);
    }
    let limited = SendOptions::new()
        .max_retries(0)
        .time_limit(Duration::from_millis(200));
    let id = world.send_with(act(""), limited).await;
    let failed = world.told_of(&id, TaskState::Failure).await;
    assert_eq!(failed.error.expect("a fault").kind, FaultKind::TimeLimit);
}
