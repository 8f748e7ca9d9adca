//! Events: what is told, when, and that nothing is acknowledged before it has been told.

use crate::tasks::{Act, act};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::EventKind;
use counterfoil_worker::{Context, Level, TaskError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

async fn nothing(_: Act, _: Context) -> Result<Value, TaskError> {
    Ok(Value::Null)
}

async fn short_nap(_: Act, _: Context) -> Result<Value, TaskError> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(Value::Null)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_its_time_is_told_when_it_starts() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(short_nap));
    let id = world.send(act("")).await;
    let started = world.told_of(&id, TaskState::Started).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
    assert_eq!(done.started_at, None);
    assert!(started.event_id < done.event_id);
    assert!((3000..3100).contains(&done.runtime_ms.expect("it ran")));
}

#[tokio::test(start_paused = true)]
async fn received_is_told_only_of_a_task_that_has_to_wait_for_its_turn() {
    let world = World::new().await;
    let _worker = world.start_with(World::one_at_a_time(), |builder| builder.handle(short_nap));
    world.warm_up().await;
    let ids = [world.send(act("")).await, world.send(act("")).await];
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    assert_eq!(world.states_of(&ids[0]), ["STARTED", "SUCCESS"]);
    assert_eq!(world.states_of(&ids[1]), ["RECEIVED", "STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn events_gather_while_an_earlier_batch_is_under_way() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let handler = move |_: Act, _: Context| {
        let gate = gate.clone();
        async move {
            gate.acquire().await?.forget();
            Ok(Value::Null)
        }
    };
    let worker = world.start(|builder| builder.handle(handler));
    world.warm_up().await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(world.send(act("")).await);
    }
    for id in &ids {
        world.told_of(id, TaskState::Started).await;
    }
    let before = world.batches();
    opened.add_permits(ids.len());
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    let batches = world.batches() - before;
    assert!(
        batches <= 5,
        "{batches} messages for 50 events that came at once"
    );
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_sent_again_until_it_is_taken() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(short_nap));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.broker.faults().nack_next(5);
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_before_its_last_event_has_a_queue() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(short_nap));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    let queue = world.names.events_queue.clone();
    counterfoil_toolbox::transport::Transport::delete_queue(&world.broker, &queue)
        .await
        .expect("reachable");
    tokio::time::sleep(Duration::from_secs(60)).await;
    // It has long been over, but whoever stops the worker now gets it back.
    in_time("stopping", worker.drain()).await;
    assert_eq!(world.waiting_in("demo").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_confirm_tells_twice_what_counts_once() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(short_nap));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.broker.faults().lose_confirms(1);
    let twice = |events: &[counterfoil_toolbox::event::Event]| {
        let success = EventKind::State(TaskState::Success);
        let ids: Vec<_> = events
            .iter()
            .filter(|e| e.kind == success)
            .map(|e| e.event_id)
            .collect();
        (ids.len() == 2).then(|| ids[0] == ids[1])
    };
    assert!(world.until(twice).await, "the same event keeps its id");
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_confirm_is_lost_is_sent_again() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(short_nap));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.broker.faults().lose_confirms(1);
    world.told_of(&id, TaskState::Success).await;
    let again = |events: &[counterfoil_toolbox::event::Event]| (events.len() == 3).then_some(());
    world.until(again).await;
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn of_many_steps_of_progress_the_latest_is_told_and_log_lines_all() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        for step in 1..=1000 {
            cx.progress(step, 1000, "counting");
        }
        for line in 0..20 {
            cx.log(Level::INFO, format!("line {line}"), json!({"n": line}));
        }
        Ok(Value::Null)
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    let states = world.states_of(&id);
    assert_eq!(
        states.iter().filter(|state| **state == "PROGRESS").count(),
        1
    );
    assert_eq!(states.iter().filter(|state| **state == "LOG").count(), 20);
    assert_eq!((states[0], states[22]), ("STARTED", "SUCCESS"));
    let progress = world.told_of(&id, TaskState::Progress).await.progress;
    let progress = progress.expect("how far");
    assert_eq!((progress.current, progress.total), (1000, Some(1000)));
    let last = world.until(|events| {
        events
            .iter()
            .rfind(|event| event.kind == EventKind::Log)
            .cloned()
    });
    let line = last.await.log.expect("a line");
    assert_eq!((&*line.level, line.message.as_str()), ("info", "line 19"));
    assert_eq!(line.fields["n"], 19);
}

#[tokio::test(start_paused = true)]
async fn the_last_step_of_progress_is_told_even_when_the_task_ends_right_after_it() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        cx.progress(7, 7, "");
        Ok(Value::Null)
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.states_of(&id), ["STARTED", "PROGRESS", "SUCCESS"]);
    let progress = world.told_of(&id, TaskState::Progress).await.progress;
    assert_eq!(progress.expect("how far").message, None);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_log_lines_is_cut_and_the_number_of_lost_lines_told() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        let line = "x".repeat(16 * 1024);
        for _ in 0..2000 {
            cx.log(Level::WARN, &line, Value::Null);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        cx.log(Level::WARN, "the end", Value::Null);
        Ok(Value::Null)
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    let lines = world
        .states_of(&id)
        .into_iter()
        .filter(|kind| *kind == "LOG")
        .count();
    let end = world.until(|events| {
        let line = events.iter().filter_map(|event| event.log.clone());
        line.into_iter().find(|line| line.message == "the end")
    });
    let lost = end.await.fields["lines_lost_before"]
        .as_u64()
        .expect("a number");
    assert_eq!(lost + lines as u64, 2001);
    assert!(
        (400..600).contains(&lines),
        "{lines} lines of 16 KiB in 8 MiB"
    );
}

#[tokio::test(start_paused = true)]
async fn a_context_that_outlives_its_task_tells_nothing_of_another() {
    let world = World::new().await;
    let (to_test, mut contexts) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |task: Act, cx: Context| {
        let kept = to_test.send(cx.clone());
        async move {
            kept.map_err(|_| TaskError::fail("the test is gone"))?;
            match task.what.as_str() {
                "long" => short_nap(task, cx).await,
                _ => nothing(task, cx).await,
            }
        }
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let first = world.send(act("short")).await;
    world.told_of(&first, TaskState::Success).await;
    let late = contexts.recv().await.expect("the first task's context");
    late.progress(1, None, "too late");
    let second = world.send(act("long")).await;
    world.told_of(&second, TaskState::Started).await;
    late.progress(2, None, "too late");
    late.log(Level::INFO, "too late", Value::Null);
    world.told_of(&second, TaskState::Success).await;
    assert_eq!(world.states_of(&first), ["SUCCESS"]);
    assert_eq!(world.states_of(&second), ["STARTED", "SUCCESS"]);
}
