//! What people ask of tasks: cancelled ones do not start and stop where they run, held ones wait.

use crate::running::add;
use crate::tasks::{Act, Add, Patient, act, patient};
use crate::world::{World, in_time};
use chrono::Utc;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::control::{Instruction, Order, write};
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use counterfoil_toolbox::{ServiceName, TaskId, TaskState};
use counterfoil_worker::{Context, TaskError, WhyCancelled};
use serde_json::Value;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) fn revoke(task_id: &TaskId) -> Order {
    let task_id = task_id.clone();
    Order::Revoke { task_id, run: 0 }
}

pub(crate) fn hold(task_id: &TaskId) -> Order {
    let task_id = task_id.clone();
    Order::Hold { task_id }
}

pub(crate) fn release(task_id: &TaskId) -> Order {
    let task_id = task_id.clone();
    Order::Release { task_id }
}

pub(crate) fn pause(service: &str) -> Order {
    let service = ServiceName::new(service).expect("valid");
    Order::PauseService { service }
}

pub(crate) fn resume(service: &str) -> Order {
    let service = ServiceName::new(service).expect("valid");
    Order::ResumeService { service }
}

impl World {
    /// Asks all workers for something, as the platform does.
    pub(crate) async fn ask(&self, orders: impl IntoIterator<Item = Order>) {
        let now = Utc::now();
        let instructions: Vec<_> = orders
            .into_iter()
            .map(|order| Instruction {
                id: Uuid::now_v7(),
                at: now,
                sent_at: now,
                by: Some("ana".into()),
                order,
            })
            .collect();
        self.write_control(write(&instructions)).await;
    }

    pub(crate) async fn write_control(&self, body: impl Into<bytes::Bytes>) {
        let mut content = Content::json(body.into());
        content.properties.timestamp = u64::try_from(Utc::now().timestamp()).ok();
        self.publish(&self.names.control, "", content).await;
    }

    pub(crate) fn heartbeats(&self) -> Subscription {
        let queue = self.names.heartbeats_queue.clone();
        Subscription::open(self.transport(), SubscribeOptions::new(queue, 100))
    }
}

/// A handler that counts how often it runs.
pub(crate) fn counting<T>(
    runs: &Arc<AtomicUsize>,
) -> impl Fn(T, Context) -> Ready<Result<Value, TaskError>> + Send + Sync + 'static {
    let runs = runs.clone();
    move |_, _| {
        runs.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Value::Null))
    }
}

pub(crate) async fn nap(task: Act, _: Context) -> Result<Value, TaskError> {
    tokio::time::sleep(Duration::from_secs(task.what.parse()?)).await;
    Ok(Value::Null)
}

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::new(text).expect("valid")
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_before_a_worker_started_never_runs_there() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    // More than is read at a time, and the one that counts in the middle.
    let cancelled = id("cancelled");
    for n in 0..200 {
        let others = (0..10).map(|m| revoke(&id(&format!("other {n}.{m}"))));
        let it = (n == 100).then(|| revoke(&cancelled));
        world.ask(others.chain(it)).await;
    }
    world
        .send_with(act(""), SendOptions::new().id(cancelled.clone()))
        .await;
    let run = world.send(act("")).await;
    let worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    let told = world.told_of(&cancelled, TaskState::Revoked).await;
    let fault = told.error.expect("a reason");
    assert_eq!(fault.kind, FaultKind::Cancelled);
    assert_eq!(
        fault.message,
        "it was cancelled by ana before it was started"
    );
    world.told_of(&run, TaskState::Success).await;
    assert_eq!(world.states_of(&cancelled), ["REVOKED"]);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(world.is_empty_after(worker, "demo").await);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_place_is_revoked_without_getting_one() {
    let world = World::new().await;
    let _worker = world.start_with(World::one_at_a_time(), |builder| builder.handle(nap));
    world.warm_up().await;
    let running = world.send(act("60")).await;
    world.told_of(&running, TaskState::Started).await;
    let waiting = world.send(act("0")).await;
    world.told_of(&waiting, TaskState::Received).await;
    let began = Instant::now();
    world.ask([revoke(&waiting)]).await;
    world.told_of(&waiting, TaskState::Revoked).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.states_of(&waiting), ["RECEIVED", "REVOKED"]);
    world.told_of(&running, TaskState::Success).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_task_that_was_cancelled_is_revoked_when_it_is_due() {
    let world = World::new().await;
    let _worker = world.start(|builder| builder.handle(add));
    let options = SendOptions::new().countdown(Duration::from_secs(30));
    let delayed = world.send_with(Add { x: 1, y: 1 }, options).await;
    world.ask([revoke(&delayed)]).await;
    world.told_of(&delayed, TaskState::Revoked).await;
    assert_eq!(world.states_of(&delayed), ["REVOKED"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_here_or_at_the_broker_is_revoked_instead() {
    let world = World::new().await;
    let fail_here = async |_: Act, _: Context| Err::<Value, _>(TaskError::retry("no luck"));
    let fail_there = async |_: Patient, _: Context| Err::<Value, _>(TaskError::retry("no luck"));
    let _worker = world.start(|builder| builder.handle(fail_here).handle(fail_there));
    let here = world.send(act("")).await;
    let there = world.send(patient("")).await;
    for id in [&here, &there] {
        world.told_of(id, TaskState::Retry).await;
        world.ask([revoke(id)]).await;
    }
    for id in [&here, &there] {
        let told = world.told_of(id, TaskState::Revoked).await;
        assert!(told.lineage.retries() > 0, "{told:?}");
        assert_eq!(told.error.expect("a reason").kind, FaultKind::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_handler_learns_that_its_task_was_cancelled_and_its_success_stands() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        assert_eq!(cx.why_cancelled(), None);
        cx.cancelled().cancelled().await;
        assert_eq!(cx.why_cancelled(), Some(WhyCancelled::Revoked));
        Ok(Value::from("tidied up"))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.ask([revoke(&id)]).await;
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_handler_fails_with_is_no_failure_and_no_retry() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        cx.cancelled().cancelled().await;
        Err::<Value, _>(TaskError::retry("interrupted"))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Started).await;
    world.ask([revoke(&id)]).await;
    let told = world.told_of(&id, TaskState::Revoked).await;
    let fault = told.error.expect("a reason");
    assert_eq!(fault.message, "it was cancelled by ana while it ran");
    assert!(told.runtime_ms.is_some());
    assert_eq!(world.states_of(&id), ["STARTED", "REVOKED"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_leave_in_time_is_dropped_and_the_worker_goes_on() {
    let world = World::new().await;
    let dropped = Arc::new(Notify::new());
    let told_dropped = dropped.clone();
    let handler = move |_: Act, _: Context| {
        let on_drop = scopeguard(told_dropped.clone());
        async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
            Ok(Value::Null)
        }
    };
    let _worker = world.start(|builder| builder.handle(handler).handle(add));
    let stuck = world.send(act("")).await;
    world.told_of(&stuck, TaskState::Started).await;
    let began = Instant::now();
    world.ask([revoke(&stuck)]).await;
    in_time("dropping it", dropped.notified()).await;
    world.told_of(&stuck, TaskState::Revoked).await;
    let took = began.elapsed();
    assert!((5..7).contains(&took.as_secs()), "{took:?}");
    let next = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&next, TaskState::Success).await;
}

/// Tells when it is dropped.
fn scopeguard(told: Arc<Notify>) -> impl Drop + Send + 'static {
    struct Guard(Arc<Notify>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    Guard(told)
}

#[tokio::test]
async fn a_blocking_handler_that_does_not_leave_is_not_listened_to_and_keeps_its_place() {
    let world = World::new().await;
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let left = std::sync::Mutex::new(left);
    let block = move |_: Act, _: Context| {
        // An error: the test is over.
        let _ = left.lock().expect("one at a time").recv();
        Ok(Value::Null)
    };
    let settings = WorkerSettings {
        cancel_grace: Duration::from_millis(50),
        ..World::one_at_a_time()
    };
    let _worker = world.start_with(settings, |builder| {
        builder.handle_blocking(block).handle(add)
    });
    let stuck = world.send(act("")).await;
    world.told_of(&stuck, TaskState::Started).await;
    world.ask([revoke(&stuck)]).await;
    world.told_of(&stuck, TaskState::Revoked).await;
    let next = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&next, TaskState::Received).await;
    leave.send(()).expect("it waits");
    world.told_of(&next, TaskState::Success).await;
    assert_eq!(world.states_of(&stuck), ["STARTED", "REVOKED"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_family_covers_what_its_members_send_later() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let parent = async |_: Act, cx: Context| {
        cx.cancelled().cancelled().await;
        let child = cx.send(patient("")).await?;
        Ok(Value::from(child.as_str()))
    };
    let child = counting::<Patient>(&runs);
    let _worker = world.start(|builder| builder.handle(parent).handle(child));
    let root = world.send(act("")).await;
    world.told_of(&root, TaskState::Started).await;
    world
        .ask([Order::RevokeFamily {
            root_id: root.clone(),
            run: 0,
        }])
        .await;
    let told = world.told_of(&root, TaskState::Success).await;
    let child: String = serde_json::from_str(told.result.expect("an id").get()).expect("text");
    world.told_of(&id(&child), TaskState::Revoked).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_held_task_waits_for_its_release_without_a_place_a_retry_or_a_delivery() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let held = id("held");
    world.ask([hold(&held)]).await;
    let options = || SendOptions::new().id(held.clone());
    world.send_with(act(""), options()).await;
    let start = || {
        world.start_with(World::one_at_a_time(), |builder| {
            builder.handle(add).handle(counting::<Act>(&runs))
        })
    };
    // It starts with no worker, for as long as anybody looks, and holds up no other task.
    for _ in 0..2 {
        let worker = start();
        let other = world.send(Add { x: 1, y: 1 }).await;
        world.told_of(&other, TaskState::Success).await;
        tokio::time::sleep(Duration::from_millis(97_700)).await;
        assert!(world.states_of(&held).is_empty());
        worker.drain().await;
    }
    let _worker = start();
    world.ask([release(&held)]).await;
    let began = Instant::now();
    let done = world.told_of(&held, TaskState::Success).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let lineage = done.lineage;
    assert_eq!((lineage.executions, lineage.deliveries), (0, 0));
    assert_eq!(
        (world.states_of(&held), runs.load(Ordering::SeqCst)),
        (vec!["SUCCESS"], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_held_for_a_moment_starts_soon_after_its_release() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let _worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    let held = id("held");
    world.ask([hold(&held)]).await;
    world.warm_up().await;
    world
        .send_with(act(""), SendOptions::new().id(held.clone()))
        .await;
    world.warm_up().await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    // What the platform sees of its waiting: the task as it was sent, due when it was.
    for _ in 0..2 {
        let copy = world.take_from("platform.fifo").await;
        assert_eq!(copy.headers.text("eta"), None);
        assert_eq!(copy.headers.int("retries"), Some(0));
    }
    let began = Instant::now();
    world.ask([release(&held)]).await;
    world.told_of(&held, TaskState::Success).await;
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_task_can_be_cancelled_and_one_that_expires_meanwhile_does() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let _worker = world.start(|builder| builder.handle(counting::<Act>(&runs)));
    let (cancelled, expiring) = (id("cancelled"), id("expiring"));
    world.ask([hold(&cancelled), hold(&expiring)]).await;
    world.warm_up().await;
    world
        .send_with(act(""), SendOptions::new().id(cancelled.clone()))
        .await;
    let expires = SendOptions::new().expires(Utc::now() - chrono::TimeDelta::seconds(1));
    world.send_with(act(""), expires.id(expiring.clone())).await;
    let told = world.told_of(&expiring, TaskState::Revoked).await;
    assert_eq!(told.error.expect("a reason").kind, FaultKind::Expired);
    world.ask([revoke(&cancelled)]).await;
    let told = world.told_of(&cancelled, TaskState::Revoked).await;
    assert_eq!(told.error.expect("a reason").kind, FaultKind::Cancelled);
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}
