//! What people ask of services and workers: paused services rest, and a worker that was asked to be quiet
//! takes nothing.

use crate::control::{counting, id, nap, pause, resume, revoke};
use crate::running::add;
use crate::tasks::{Act, Add, Export, act};
use crate::world::{World, in_time};
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::control::{Instruction, Order};
use counterfoil_toolbox::heartbeat::{Heartbeat, Phase};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::transport::Subscription;
use counterfoil_worker::{Context, Exit};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Pauses `demo` while one task runs and others wait; none of them starts until it is resumed, by this
/// worker or another.
pub(crate) async fn a_paused_service_rests(world: &World) {
    let start = || {
        let settings = WorkerSettings {
            concurrency: 1,
            prefetch: Some(4),
            ..WorkerSettings::default()
        };
        world.start_with(settings, |builder| {
            builder
                .handle(nap)
                .handle(async |_: Export, _: Context| Ok(()))
        })
    };
    let worker = start();
    world.warm_up().await;
    let running = world.send(act("3")).await;
    world.told_of(&running, TaskState::Started).await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(world.send(act("0")).await);
    }
    world.told_of(&waiting[2], TaskState::Received).await;
    world.ask([pause("demo")]).await;
    // What runs may finish, what was taken goes back, other services go on.
    world.told_of(&running, TaskState::Success).await;
    world.until_waiting("demo", 6).await;
    let other = world.send(Export {}).await;
    world.told_of(&other, TaskState::Success).await;
    assert_eq!(worker.drain().await, Exit::Drained);

    let _worker = start();
    let other = world.send(Export {}).await;
    world.told_of(&other, TaskState::Success).await;
    world.warm_up().await;
    assert_eq!(world.waiting_in("demo").await, 6);
    world.ask([resume("demo")]).await;
    for id in &waiting {
        let done = world.told_of(id, TaskState::Success).await;
        // Taken and given back once, at most twice when it came back before the consumer paused.
        assert!(done.lineage.deliveries <= 2, "{:?}", done.lineage);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_paused_service_starts_until_it_is_resumed() {
    a_paused_service_rests(&World::new().await).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_can_be_paused_and_resumed_many_times() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    for _ in 0..5 {
        world.ask([pause("demo")]).await;
        world.warm_up().await;
        let id = world.send(Add { x: 1, y: 1 }).await;
        world.warm_up().await;
        assert!(world.states_of(&id).is_empty());
        world.ask([resume("demo")]).await;
        let done = world.told_of(&id, TaskState::Success).await;
        assert_eq!(done.lineage.deliveries, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_worker_takes_nothing_and_says_so_and_one_that_is_told_to_stop_drains() {
    let world = World::new().await;
    let mut heartbeats = world.heartbeats();
    let builder = world.builder(WorkerSettings::default()).handle(nap);
    let worker = builder.build().expect("builds");
    let me: WorkerId = worker.id().clone();
    let ended = tokio::spawn(worker.run_until(std::future::pending()));
    let running = world.send(act("30")).await;
    world.told_of(&running, TaskState::Started).await;
    // What is said to others is not meant.
    let other = WorkerId::new("demo@elsewhere.1.00000000").expect("valid");
    world
        .ask([
            Order::Stop { worker: other },
            Order::Quiet { worker: me.clone() },
        ])
        .await;
    let quiet = until_phase(&mut heartbeats, Phase::Quiet).await;
    assert_eq!((quiet.worker, quiet.running), (me.clone(), 1));
    let waiting = world.send(act("0")).await;
    world.told_of(&running, TaskState::Success).await;
    world.warm_up().await;
    assert!(world.states_of(&waiting).is_empty() && !ended.is_finished());
    assert_eq!(world.waiting_in("demo").await, 1);
    world.ask([Order::Stop { worker: me }]).await;
    let exit = in_time("draining", ended).await.expect("it does not panic");
    assert_eq!((exit.code(), exit), (0, Exit::Drained));
    let _next = world.start(|builder| builder.handle(nap));
    world.told_of(&waiting, TaskState::Success).await;
}

pub(crate) async fn until_phase(heartbeats: &mut Subscription, phase: Phase) -> Heartbeat {
    until_heard(heartbeats, |heartbeat| heartbeat.phase == phase).await
}

pub(crate) async fn until_heard(
    heartbeats: &mut Subscription,
    wanted: impl Fn(&Heartbeat) -> bool,
) -> Heartbeat {
    let heard = async {
        loop {
            let delivery = heartbeats.next().await.expect("the transport lives");
            let heartbeat = serde_json::from_slice(&delivery.content.body).expect("a sign of life");
            let _ = delivery.ack();
            if wanted(&heartbeat) {
                return heartbeat;
            }
        }
    };
    in_time("a sign of life", heard).await
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_which_of_its_services_are_paused() {
    let world = World::new().await;
    let mut heartbeats = world.heartbeats();
    let _worker = world.start(|builder| builder.handle(add));
    let first = until_phase(&mut heartbeats, Phase::Running).await;
    assert!(first.paused.is_empty() && first.follows_control);
    let began = Instant::now();
    world.ask([pause("demo"), pause("export")]).await;
    let paused = until_heard(&mut heartbeats, |heartbeat| !heartbeat.paused.is_empty()).await;
    assert_eq!(paused.paused, ["demo"]);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_left_out_and_what_comes_with_it_is_done() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let cancelled = id("cancelled");
    for body in ["", "no JSON", "{}", "[[[[", r#"[{"kind": "sing"}]"#] {
        world.write_control(body).await;
    }
    let now = Utc::now();
    let instruction = Instruction {
        id: Uuid::now_v7(),
        at: now,
        sent_at: now,
        by: None,
        order: revoke(&cancelled),
    };
    let mut both = vec![serde_json::json!({"kind": "dance", "at": 1})];
    both.push(serde_json::to_value(instruction).expect("writes"));
    world
        .write_control(serde_json::to_vec(&both).expect("writes"))
        .await;
    let _worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    world
        .send_with(act(""), SendOptions::new().id(cancelled.clone()))
        .await;
    world.told_of(&cancelled, TaskState::Revoked).await;
}

/// A platform whose stream of what is asked is gone.
async fn without_stream() -> World {
    let world = World::new().await;
    let stream = &world.names.control_queue;
    let deleted = world.transport().delete_queue(stream).await;
    deleted.expect("deleted");
    world
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_stream_a_worker_works_without_and_says_so() {
    let world = without_stream().await;
    let mut heartbeats = world.heartbeats();
    let began = Instant::now();
    let _worker = world.start(|builder| builder.handle(add));
    let id = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&id, TaskState::Success).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    until_heard(&mut heartbeats, |heartbeat| !heartbeat.follows_control).await;
    // Once it is there, what is asked is done.
    world.mend().await;
    world.ask([pause("demo")]).await;
    until_heard(&mut heartbeats, |heartbeat| {
        heartbeat.follows_control && heartbeat.paused == ["demo"]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_before_it_has_begun_ends() {
    let world = without_stream().await;
    let worker = world.start(|builder| builder.handle(add));
    assert_eq!(worker.drain().await, Exit::Drained);
}
