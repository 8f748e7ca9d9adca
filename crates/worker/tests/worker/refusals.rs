//! Events that the broker refuses: they are kept for a while, and what is kept stays small.

use crate::tasks::{Act, act};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_worker::{Context, Level, TaskError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

async fn nothing(_: Act, _: Context) -> Result<Value, TaskError> {
    Ok(Value::Null)
}

async fn refuse_events(world: &World) {
    let deleted = world.transport().delete_exchange(&world.names.events).await;
    deleted.expect("the broker is reachable");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_events_are_refused_ends_and_its_tasks_come_back() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(nothing));
    refuse_events(&world).await;
    world.send(act("")).await;
    let began = Instant::now();
    let exit = worker.exit().await;
    assert_eq!(exit.code(), 69);
    let text = "events are refused: NOT_FOUND - no exchange 'task_events' in vhost '/'";
    assert_eq!(exit.to_string(), text);
    assert!(began.elapsed() < Duration::from_secs(40));
    assert_eq!(world.waiting_in("demo").await, 1);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_refused_for_a_while_are_told_later() {
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(nothing));
    refuse_events(&world).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.send(act("")).await);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    world.mend().await;
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_log_lines_is_cut_while_events_are_refused() {
    const LINES: u64 = 2000;
    let world = World::new().await;
    let flooded = Arc::new(Notify::new());
    let done = flooded.clone();
    let handler = move |_: Act, cx: Context| {
        let done = done.clone();
        async move {
            let line = "x".repeat(16 * 1024);
            for _ in 0..LINES {
                cx.log(Level::WARN, &line, Value::Null);
                // Whoever sends could take each line alone.
                tokio::task::yield_now().await;
            }
            done.notify_one();
            tokio::time::sleep(Duration::from_secs(5)).await;
            cx.log(Level::WARN, "the end", Value::Null);
            Ok(Value::Null)
        }
    };
    let worker = world.start(|builder| builder.handle(handler));
    refuse_events(&world).await;
    let id = world.send(act("")).await;
    in_time("the flood", flooded.notified()).await;
    world.mend().await;
    let end = world.until(|events| {
        let line = events.iter().filter_map(|event| event.log.clone());
        line.into_iter().find(|line| line.message == "the end")
    });
    let end = end.await;
    let told = world.states_of(&id);
    let lines = told.iter().filter(|kind| **kind == "LOG").count() as u64;
    assert!(
        (400..600).contains(&lines),
        "{lines} lines of 16 KiB in 8 MiB"
    );
    let lost = end.fields.get("lines_lost_before");
    assert_eq!(lost, Some(&json!(LINES + 1 - lines)));
    let batches = world.batches();
    assert!(batches < 20, "{batches} messages of at most 1 MiB");
    world.told_of(&id, TaskState::Success).await;
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn of_many_steps_of_progress_few_are_kept_while_events_are_refused() {
    let world = World::new().await;
    let counted = Arc::new(Notify::new());
    let done = counted.clone();
    let handler = move |_: Act, cx: Context| {
        let done = done.clone();
        async move {
            for step in 1..=1000 {
                cx.progress(step, 1000, "counting");
                tokio::task::yield_now().await;
            }
            done.notify_one();
            Ok(Value::Null)
        }
    };
    let worker = world.start(|builder| builder.handle(handler));
    refuse_events(&world).await;
    let id = world.send(act("")).await;
    in_time("counting", counted.notified()).await;
    world.mend().await;
    world.told_of(&id, TaskState::Success).await;
    let steps = world.all_told_of(&id, TaskState::Progress);
    assert!(steps.len() < 10, "{} steps", steps.len());
    let last = steps.last().and_then(|event| event.progress.clone());
    assert_eq!(last.map(|progress| progress.current), Some(1000));
    assert!(world.is_empty_after(worker, "demo").await);
}
