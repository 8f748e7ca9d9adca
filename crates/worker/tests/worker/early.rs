//! Tasks that are acknowledged before their handler begins.

use crate::control::revoke;
use crate::control_of_workers::until_heard;
use crate::tasks::{Act, Export, Long, act, long};
use crate::world::{World, in_time};
use chrono::Utc;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::names::{REASON, RESTARTS};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use counterfoil_toolbox::{Task, TaskId, TaskState};
use counterfoil_worker::{BuildFault, Context, Exit, TaskError};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

on_both_transports!(
    the_broker_is_done_with_a_task_before_its_handler_begins,
    a_retry_goes_through_the_broker_and_the_last_one_leaves_the_message_dead,
    a_worker_that_stops_sends_what_it_could_not_finish,
    a_task_with_which_too_many_workers_vanished_is_dead,
    a_running_one_is_cancelled_like_any_other,
    one_that_the_platform_has_no_copy_of_stays_the_brokers_until_it_is_over,
);

/// Runs until it is let go, and does not listen.
fn deaf(
    open: &Arc<Semaphore>,
) -> impl Fn(Long, Context) -> BoxFuture<'static, Result<Value, TaskError>> + use<> {
    let open = open.clone();
    move |_, _| {
        let open = open.clone();
        Box::pin(async move {
            open.acquire().await?.forget();
            Ok(json!("done"))
        })
    }
}

/// One message in hand, two handlers: the second begins only when the broker has the first's answer.
fn one_in_hand() -> WorkerSettings {
    WorkerSettings {
        concurrency: 2,
        prefetch: Some(1),
        ..WorkerSettings::default()
    }
}

async fn the_broker_is_done_with_a_task_before_its_handler_begins(world: World) {
    let open = Arc::new(Semaphore::new(0));
    let worker = world.start_with(one_in_hand(), |builder| builder.handle(deaf(&open)));
    let ids = [world.send(long()).await, world.send(long()).await];
    for id in &ids {
        let started = world.told_of(id, TaskState::Started).await;
        let lease = started.lease.expect("the worker's promise");
        assert_eq!((lease.ms, lease.restarts), (60_000, 0));
    }
    open.add_permits(2);
    for id in &ids {
        let done = world.told_of(id, TaskState::Success).await;
        assert_eq!(done.lease, None);
        assert_eq!(world.states_of(id), ["STARTED", "SUCCESS"]);
    }
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn a_retry_goes_through_the_broker_and_the_last_one_leaves_the_message_dead(world: World) {
    let fails = async |_: Long, _: Context| Err::<Value, _>(TaskError::retry("no luck"));
    let _worker = world.start(|builder| builder.handle(fails));
    let id = world.send(long()).await;
    let failed = world.told_of(&id, TaskState::Failure).await;
    assert_eq!(failed.error.expect("a fault").kind, FaultKind::Exhausted);
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert_eq!((retry.counted, retry.lease), (Some(true), None));
    assert_eq!(failed.lineage.executions, 1, "a message of its own");
    let states = ["STARTED", "RETRY", "STARTED", "FAILURE"];
    assert_eq!(world.states_of(&id), states);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text("id"), Some(id.as_str()));
    assert!(dead.body.starts_with(b"[[],{"), "{:?}", dead.body);
}

async fn a_worker_that_stops_sends_what_it_could_not_finish(world: World) {
    let settings = WorkerSettings {
        drain_timeout: Duration::from_millis(100),
        ..one_in_hand()
    };
    let begun = Arc::new(Semaphore::new(0));
    let begins = begun.clone();
    let handler = move |_: Long, _: Context| {
        begins.add_permits(1);
        std::future::pending::<Result<Value, TaskError>>()
    };
    let first = world.start_with(settings, |builder| builder.handle(handler));
    let id = world.send(long()).await;
    // STARTED is told before: a handler begins once the broker is done with its message.
    let _begun = begun.acquire().await.expect("it stays open");
    let left = vec![id.clone()];
    assert_eq!(first.drain().await, Exit::Stopped { left });
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert_eq!((retry.counted, retry.lease), (Some(false), None));
    let _second = world.start(|builder| builder.handle(deaf(&Arc::new(Semaphore::new(1)))));
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!((done.lineage.executions, done.lineage.deliveries), (1, 0));
}

async fn a_task_with_which_too_many_workers_vanished_is_dead(world: World) {
    let _worker = world.start(|builder| builder.handle(async |_: Long, _| Ok(json!("done"))));
    let most = i64::from(Long::options().max_restarts);
    for (id, restarts) in [("t1", most), ("t2", most + 1)] {
        let mut message = world.message(Long::NAME, id, "[[], {}, {}]");
        message.headers.push(RESTARTS, restarts);
        world.publish(&world.names.tasks, Long::NAME, message).await;
    }
    let id = |id| TaskId::new(id).expect("valid");
    world.told_of(&id("t1"), TaskState::Success).await;
    let failed = world.told_of(&id("t2"), TaskState::Failure).await;
    assert_eq!(failed.error.expect("a fault").kind, FaultKind::WorkerLost);
    assert_eq!(world.states_of(&id("t2")), ["FAILURE"]);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(REASON), Some("worker_lost"));
}

async fn a_running_one_is_cancelled_like_any_other(world: World) {
    let handler = async |_: Long, cx: Context| {
        cx.cancelled().cancelled().await;
        Err::<Value, _>(TaskError::retry("asked to end"))
    };
    let worker = world.start(|builder| builder.handle(handler));
    let id = world.send(long()).await;
    world.told_of(&id, TaskState::Started).await;
    world.ask([revoke(&id)]).await;
    let revoked = world.told_of(&id, TaskState::Revoked).await;
    assert_eq!(revoked.lease, None);
    assert!(world.is_empty_after(worker, "demo").await);
}

async fn one_that_the_platform_has_no_copy_of_stays_the_brokers_until_it_is_over(world: World) {
    let open = Arc::new(Semaphore::new(0));
    let worker = world.start_with(one_in_hand(), |builder| builder.handle(deaf(&open)));
    for id in ["t1", "t2"] {
        let message = world.message(Long::NAME, id, "[[], {}, {}]");
        world.publish_to_queue("demo", message).await;
    }
    let ids = ["t1", "t2"].map(|id| TaskId::new(id).expect("valid"));
    let started = world.told_of(&ids[0], TaskState::Started).await;
    assert_eq!(started.lease, None);
    world.until_waiting("demo", 1).await;
    open.add_permits(2);
    for id in &ids {
        world.told_of(id, TaskState::Success).await;
    }
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test]
async fn one_whose_time_is_over_before_its_start_was_told_is_not_begun() {
    let world = World::new().await;
    let expires = Utc::now() + Duration::from_millis(500);
    let options = SendOptions::new().expires(expires);
    let id = world.send_with(long(), options).await;
    world
        .broker
        .faults()
        .block_publishers(Duration::from_secs(2));
    let _worker = world.start(|builder| builder.handle(async |_: Long, _| Ok(json!("done"))));
    let revoked = world.told_of(&id, TaskState::Revoked).await;
    assert_eq!(revoked.error.expect("a fault").kind, FaultKind::Expired);
    assert!(!world.states_of(&id).contains(&"SUCCESS"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_before_its_start_was_told_gives_it_back() {
    let world = World::new().await;
    let id = world.send(long()).await;
    world
        .broker
        .faults()
        .block_publishers(Duration::from_secs(5));
    let never = Arc::new(Semaphore::new(0));
    let first = world.start(|builder| builder.handle(deaf(&never)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(first.drain().await, Exit::Drained);
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert_eq!((retry.counted, retry.lease), (Some(false), None));
    let _second = world.start(|builder| builder.handle(async |_: Long, _| Ok(json!("done"))));
    let done = world.told_of(&id, TaskState::Success).await;
    assert!(done.lineage > retry.lineage, "{retry:?}: {done:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_heard_of_for_a_lease_is_not_sent_on() {
    let world = World::new().await;
    let handler = async |_: Long, _: Context| {
        tokio::time::sleep(Duration::from_secs(90)).await;
        Err::<Value, _>(TaskError::retry("no luck"))
    };
    let worker = world.start(|builder| builder.handle(handler));
    let id = world.send(long()).await;
    world.told_of(&id, TaskState::Started).await;
    world
        .broker
        .faults()
        .block_publishers(Duration::from_secs(100));
    // By then another worker may have it, so it is neither retried nor told to be.
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(worker.drain().await, Exit::Drained);
    assert_eq!(world.states_of(&id), ["STARTED"]);
    assert_eq!(world.waiting_in("demo").await, 0);
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_name_it_until_it_is_over() {
    let world = World::new().await;
    let mut beats = world.heartbeats();
    let open = Arc::new(Semaphore::new(0));
    let settings = WorkerSettings::default();
    let _worker = world.start_with(settings, |builder| builder.handle(deaf(&open)));
    let id = world.send(long()).await;
    let named = std::slice::from_ref(&id);
    until_heard(&mut beats, |beat| beat.leases == named).await;
    open.add_permits(1);
    world.told_of(&id, TaskState::Success).await;
    until_heard(&mut beats, |beat| beat.leases.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn it_may_run_for_as_long_as_it_likes_and_with_a_broken_connection() {
    let world = World::new().await;
    let handler = async |_: Long, _: Context| {
        tokio::time::sleep(Duration::from_secs(10 * 60 * 60)).await;
        Ok(json!("done"))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(long()).await;
    world.told_of(&id, TaskState::Started).await;
    world.broker.faults().close_consumers();
    // Longer than tests wait for anything else.
    tokio::time::sleep(Duration::from_secs(10 * 60 * 60)).await;
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn time_limits_that_no_clock_can_add_are_as_good_as_none() {
    let world = World::new().await;
    let handler = async |_: Long, _: Context| Ok(json!("done"));
    let _worker = world.start(|builder| builder.handle(handler));
    let longest = Duration::from_secs_f64(1.8e19);
    for options in [
        SendOptions::new().soft_time_limit(longest),
        SendOptions::new().time_limit(longest),
    ] {
        let id = world.send_with(long(), options).await;
        world.told_of(&id, TaskState::Success).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_place_for_too_long_goes_back_to_the_broker() {
    let world = World::new().await;
    let (began, begins) = (Arc::new(Notify::new()), Instant::now());
    let told = began.clone();
    let handler = move |_: Act, _: Context| {
        let told = told.clone();
        async move {
            told.notify_one();
            tokio::time::sleep(Duration::from_secs(20 * 60)).await;
            Ok(Value::Null)
        }
    };
    let _worker = world.start_with(World::one_at_a_time(), |builder| builder.handle(handler));
    world.warm_up().await;
    world.send(act("")).await;
    in_time("beginning", began.notified()).await;
    let second = world.send(act("")).await;
    world.told_of(&second, TaskState::Received).await;
    // 28 minutes that a task may be here, less 25 that it may run.
    // Longer than tests wait for anything else.
    tokio::time::sleep(Duration::from_secs(150)).await;
    let level = QueueName::new(&world.names.delay_level(2)).expect("valid");
    in_time("going back", async {
        // Nobody has declared the levels before.
        while world
            .transport()
            .depth(&level)
            .await
            .expect("reachable")
            .is_none_or(|it| it.ready == 0)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let waited = begins.elapsed().as_secs();
    assert!((180..190).contains(&waited), "{waited}");
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    let done = world.told_of(&second, TaskState::Success).await;
    assert_eq!((done.lineage.retries(), done.lineage.deliveries), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_kept_is_said_before_the_worker_starts() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Both {}
    impl Task for Both {
        const NAME: &'static str = "demo.both";
        type Output = ();
        fn options() -> TaskOptions {
            TaskOptions {
                ack: Ack::Early,
                max_concurrency_global: Some(3),
                ..TaskOptions::default()
            }
        }
    }
    let world = World::new().await;
    let settings = WorkerSettings {
        heartbeat: Duration::from_secs(21),
        ..WorkerSettings::default()
    };
    let late = world.builder(settings.clone());
    let late = late.handle(async |_: Export, _: Context| Ok(()));
    assert!(late.build().is_ok(), "the lease means nothing to it");
    let early = world.builder(settings);
    let early = early.handle(async |_: Both, _: Context| Ok(()));
    let faults = early.build().expect_err("two faults").faults;
    assert!(
        matches!(
            &faults[..],
            [
                BuildFault::Setting { setting: "lease", .. },
                BuildFault::LongToken { name, .. },
            ] if name == Both::NAME
        ),
        "{faults:?}"
    );
}
