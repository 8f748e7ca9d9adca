//! Tasks of a limited rate that are acknowledged before their handlers begin.

use crate::control::revoke;
use crate::world::World;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::rate::Rate;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use counterfoil_toolbox::{Task, TaskState};
use counterfoil_worker::Context;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// At most five in a second.
#[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Paced {}

impl Task for Paced {
    const NAME: &'static str = "demo.paced";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions {
            ack: Ack::Early,
            rate_limit: Some(Rate::per_second(5)),
            ..TaskOptions::default()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_limited_rate_begin_evenly_after_the_broker_kept_all_of_them_waiting() {
    const TASKS: usize = 12;
    let world = World::new().await;
    let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let begins = begun.clone();
    let paced = move |_: Paced, _: Context| {
        begins.lock().expect("nothing panics").push(Instant::now());
        ready(Ok(()))
    };
    let mut ids = Vec::new();
    for _ in 0..TASKS {
        ids.push(world.send(Paced {}).await);
    }
    // Nobody can be told that a task begins.
    let away = Duration::from_secs(10);
    world.broker.faults().block_publishers(away);
    let back = Instant::now() + away;
    let worker = world.start(|builder| builder.handle(paced));
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    let begun = begun.lock().expect("nothing panics").clone();
    assert!(begun[0] >= back, "it had to be told first");
    let spans: Vec<_> = begun.windows(2).map(|two| two[1] - two[0]).collect();
    let short = |span: &&Duration| **span < Duration::from_millis(180);
    assert_eq!(spans.iter().filter(short).count(), 0, "{spans:?}");
    assert!(
        spans.iter().sum::<Duration>() < Duration::from_secs(10),
        "{spans:?}"
    );
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_limited_rate_that_is_cancelled_before_its_turn_does_not_wait_for_that() {
    const TASKS: usize = 6;
    let world = World::new().await;
    let begun = Arc::new(AtomicUsize::new(0));
    let begins = begun.clone();
    let paced = move |_: Paced, _: Context| {
        begins.fetch_add(1, Ordering::SeqCst);
        ready(Ok(()))
    };
    for _ in 0..TASKS {
        world.send(Paced {}).await;
    }
    let faults = world.broker.faults();
    faults.block_publishers(Duration::from_secs(10));
    let worker = world.start(|builder| builder.handle(paced));
    let started = EventKind::State(TaskState::Started);
    let last = |events: &[Event]| {
        let mut started = events.iter().filter(|event| event.kind == started);
        started.nth(TASKS - 1).map(|event| event.task_id.clone())
    };
    let last = world.until(last).await;
    world.ask([revoke(&last)]).await;
    world.told_of(&last, TaskState::Revoked).await;
    let begun = begun.load(Ordering::SeqCst);
    assert!(begun < TASKS - 1, "{begun} began before");
    assert!(world.is_empty_after(worker, "demo").await);
}
