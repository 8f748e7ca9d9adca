//! Tasks that run by tokens: never more at once than there are, over all workers.

use crate::running::add;
use crate::tasks::{Add, Limited};
use crate::world::{Started, World, in_time};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::task::{Task, TaskOptions};
use counterfoil_toolbox::tokens::TokenId;
use counterfoil_toolbox::topology::{Item, QueueSettings, token_queue};
use counterfoil_toolbox::transport::Declare;
use counterfoil_toolbox::{TaskId, TaskName, TaskState};
use counterfoil_worker::{BuildFault, Context, TaskError};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

const QUEUE: &str = "platform.tokens.demo.limited";

/// What runs by tokens, and how much of it at once.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
    ran: Mutex<Vec<TaskId>>,
}

impl Gauge {
    fn enter(&self, cx: &Context) -> Running<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.ran.lock().expect("sound").push(cx.task_id().clone());
        Running(self)
    }

    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(crate) fn ran(&self) -> usize {
        self.ran.lock().expect("sound").len()
    }

    /// Waits until so many run.
    pub(crate) async fn until_running(&self, count: usize) {
        let running = async || Ok((self.now() == count).then_some(()));
        let what = format!("{count} to run at once");
        let waited = eventually(&what, Duration::from_secs(60), running).await;
        waited.unwrap_or_else(|error| panic!("{error:#}, but {} do", self.now()));
    }
}

struct Running<'a>(&'a Gauge);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Declares the queue of tokens and puts `count` in.
pub(crate) async fn seed(world: &World, count: u32) {
    let task = TaskName::new(Limited::NAME).expect("valid");
    let queue = token_queue(&world.names, &task, QueueSettings::default()).expect("fits");
    let (transport, queue) = (world.transport(), Item::Queue(queue));
    let declared = transport.declare(&queue, Declare::Active).await;
    declared.expect("declared");
    for slot in 1..=count {
        let token = TokenId::issued(slot, chrono::Utc::now(), 0);
        let message = token.message(&world.names, &task).expect("fits");
        let exchange = ExchangeName::default_exchange();
        let key = message.routing_key.to_string();
        world.publish(&exchange, &key, message.content).await;
    }
}

/// A worker whose handler notes in `gauge` that it runs, and sleeps.
pub(crate) fn sleeper(world: &World, gauge: &Arc<Gauge>, time: Duration) -> Started {
    let gauge = gauge.clone();
    let handler = move |_: Limited, cx: Context| {
        let gauge = gauge.clone();
        async move {
            let _running = gauge.enter(&cx);
            tokio::time::sleep(time).await;
            Ok(Value::Null)
        }
    };
    world.start(|builder| builder.handle(handler).handle(add))
}

/// A worker whose handler runs until `open` has a permit for it.
fn waiter(world: &World, gauge: &Arc<Gauge>, open: &Arc<Semaphore>) -> Started {
    let (gauge, open) = (gauge.clone(), open.clone());
    let handler = move |_: Limited, cx: Context| {
        let (gauge, open) = (gauge.clone(), open.clone());
        async move {
            let _running = gauge.enter(&cx);
            open.acquire().await.map_err(TaskError::fail)?.forget();
            Ok(Value::Null)
        }
    };
    world.start(|builder| builder.handle(handler).handle(add))
}

pub(crate) async fn send_limited(world: &World, count: usize) {
    let tasks = (0..count).map(|_| Limited::default());
    let sent = world.producer.send_all(tasks).await;
    assert!(sent.iter().all(Result::is_ok));
}

fn ids_of(events: &[Event], state: TaskState) -> HashSet<&TaskId> {
    let kind = EventKind::State(state);
    let of_it = events.iter().filter(|event| event.kind == kind);
    of_it.map(|event| &event.task_id).collect()
}

pub(crate) async fn all_succeed(world: &World, count: usize) {
    let all = |events: &[Event]| (ids_of(events, TaskState::Success).len() == count).then_some(());
    world.until(all).await;
}

/// Three workers, and tasks for all of them: never more at once than there are tokens, each runs
/// once, and those that wait are not reported.
pub(crate) async fn no_more_run_at_once_than_there_are_tokens(world: &World) {
    const TASKS: usize = 60;
    seed(world, Limited::LIMIT).await;
    let gauge = Arc::new(Gauge::default());
    let workers = [(); 3].map(|()| sleeper(world, &gauge, Duration::from_millis(50)));
    world.warm_up().await;
    send_limited(world, TASKS).await;
    all_succeed(world, TASKS).await;
    assert_eq!((gauge.most(), gauge.ran()), (3, TASKS));
    for id in gauge.ran.lock().expect("sound").iter() {
        let told = world.states_of(id);
        assert!(
            told.iter()
                .all(|state| ["STARTED", "SUCCESS"].contains(state)),
            "{told:?}"
        );
    }
    for worker in workers {
        worker.drain().await;
    }
    assert_eq!(world.waiting_in(QUEUE).await, Limited::LIMIT);
}

#[tokio::test(start_paused = true)]
async fn in_memory_no_more_run_at_once_than_there_are_tokens() {
    no_more_run_at_once_than_there_are_tokens(&World::new().await).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_finds_no_token_lets_others_pass_and_runs_when_one_is_free() {
    let world = World::new().await;
    seed(&world, 1).await;
    let (gauge, open) = (Arc::new(Gauge::default()), Arc::new(Semaphore::new(0)));
    // One slot: whoever kept it while waiting would hold up everything.
    let settings = WorkerSettings {
        concurrency: 2,
        prefetch: Some(3),
        ..WorkerSettings::default()
    };
    let (noted, opened) = (gauge.clone(), open.clone());
    let _worker = world.start_with(settings, |builder| {
        let handler = move |_: Limited, cx: Context| {
            let (gauge, open) = (noted.clone(), opened.clone());
            async move {
                let _running = gauge.enter(&cx);
                open.acquire().await.map_err(TaskError::fail)?.forget();
                Ok(Value::Null)
            }
        };
        builder.handle(handler).handle(add)
    });
    send_limited(&world, 20).await;
    gauge.until_running(1).await;
    world.warm_up().await;
    for _ in 0..5 {
        let began = Instant::now();
        let other = world.send(Add { x: 1, y: 1 }).await;
        world.told_of(&other, TaskState::Success).await;
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(gauge.now(), 1);
    }
    open.add_permits(20);
    all_succeed(&world, 5 + 20).await;
    assert_eq!((gauge.most(), gauge.ran()), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn tasks_wait_for_tokens_that_are_not_there_yet() {
    let world = World::new().await;
    let gauge = Arc::new(Gauge::default());
    let _worker = sleeper(&world, &gauge, Duration::from_millis(10));
    send_limited(&world, 3).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(gauge.ran(), 0);
    // A queue alone lets nothing run.
    seed(&world, 0).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(gauge.ran(), 0);
    seed(&world, 1).await;
    all_succeed(&world, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_given_back_however_a_handler_ends() {
    let world = World::new().await;
    seed(&world, 1).await;
    let handler = async |task: Limited, cx: Context| match (task.what.as_str(), cx.attempt()) {
        ("panic", 1) => panic!("once"),
        ("retry", 1) => Err(TaskError::retry_after("once", Duration::from_millis(10))),
        ("fail", _) => Err(TaskError::fail("always")),
        _ => Ok(Value::Null),
    };
    let worker = world.start(|builder| builder.handle(handler));
    let mut ids = Vec::new();
    for what in ["panic", "retry", "fail", ""] {
        let what = what.to_owned();
        ids.push(world.send(Limited { what }).await);
    }
    let ends = [
        TaskState::Success,
        TaskState::Success,
        TaskState::Failure,
        TaskState::Success,
    ];
    for (id, end) in ids.iter().zip(ends) {
        world.told_of(id, end).await;
    }
    worker.drain().await;
    assert_eq!(world.waiting_in(QUEUE).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_gives_its_tokens_to_others() {
    let world = World::new().await;
    seed(&world, Limited::LIMIT).await;
    let (gauge, open) = (Arc::new(Gauge::default()), Arc::new(Semaphore::new(0)));
    let first = waiter(&world, &gauge, &open);
    send_limited(&world, 10).await;
    gauge.until_running(3).await;
    let second = waiter(&world, &gauge, &open);
    first.stopper.drain();
    open.add_permits(10);
    all_succeed(&world, 10).await;
    assert_eq!(gauge.most(), 3);
    first.drain().await;
    second.drain().await;
    assert_eq!(world.waiting_in(QUEUE).await, 3);
}

#[tokio::test(start_paused = true)]
async fn who_loses_a_token_takes_it_again_and_goes_on() {
    let world = World::new().await;
    seed(&world, Limited::LIMIT).await;
    let (gauge, open) = (Arc::new(Gauge::default()), Arc::new(Semaphore::new(0)));
    let _workers = [waiter(&world, &gauge, &open), waiter(&world, &gauge, &open)];
    send_limited(&world, 10).await;
    gauge.until_running(3).await;
    world.broker.faults().close_consumers();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((gauge.now(), gauge.ran(), gauge.most()), (3, 3, 3));
    // The broker gave the tasks themselves to either worker, too: some run twice.
    open.add_permits(20);
    all_succeed(&world, 10).await;
    assert_eq!(gauge.most(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_get_a_token_again_is_ended_and_runs_later() {
    let world = World::new().await;
    seed(&world, 1).await;
    let (asked, gauge) = (Arc::new(Notify::new()), Arc::new(Gauge::default()));
    let (to_asked, noted) = (asked.clone(), gauge.clone());
    let handler = move |_: Limited, cx: Context| {
        let (asked, gauge) = (to_asked.clone(), noted.clone());
        async move {
            let _running = gauge.enter(&cx);
            if cx.attempt() > 1 {
                return Ok(Value::Null);
            }
            cx.cancelled().cancelled().await;
            asked.notify_one();
            std::future::pending::<()>().await;
            Ok(Value::Null)
        }
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(Limited::default()).await;
    gauge.until_running(1).await;
    let began = Instant::now();
    // Its tokens are gone, and with them those that were in hand.
    let queue = QueueName::new(QUEUE).expect("valid");
    world
        .transport()
        .delete_queue(&queue)
        .await
        .expect("deleted");
    in_time("being asked to leave", asked.notified()).await;
    gauge.until_running(0).await;
    assert!(
        began.elapsed() <= Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert_eq!(retry.counted, Some(false));
    assert_eq!(retry.error.expect("a reason").kind, FaultKind::WorkerLost);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(gauge.ran(), 1);
    seed(&world, 1).await;
    world.told_of(&id, TaskState::Success).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_is_thrown_out_and_nothing_runs_by_it() {
    let world = World::new().await;
    seed(&world, 0).await;
    let gauge = Arc::new(Gauge::default());
    let worker = sleeper(&world, &gauge, Duration::from_millis(10));
    world.publish_to_queue(QUEUE, Content::json("{}")).await;
    send_limited(&world, 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((gauge.ran(), world.waiting_in(QUEUE).await), (0, 0));
    seed(&world, 1).await;
    all_succeed(&world, 1).await;
    worker.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_started_before_its_worker_was_lost_outranks_that_after_waiting() {
    let world = World::new().await;
    seed(&world, 0).await;
    let gauge = Arc::new(Gauge::default());
    let worker = sleeper(&world, &gauge, Duration::from_millis(10));
    world.warm_up().await;
    send_limited(&world, 1).await;
    // It waits for a token. Given back by its worker now, it counts as delivered before.
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.broker.faults().close_consumers();
    tokio::time::sleep(Duration::from_secs(20)).await;
    seed(&world, 1).await;
    all_succeed(&world, 1).await;
    let last = |events: &[Event]| events.last().map(|event| event.lineage);
    let lineage = world.until(last).await;
    assert_eq!(
        (lineage.executions, lineage.deliveries),
        (0, 1),
        "{lineage:?}"
    );
    worker.drain().await;
}

#[test]
fn limits_that_cannot_be_kept_are_refused_when_the_worker_is_built() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Never {}
    impl Task for Never {
        const NAME: &'static str = "demo.never";
        type Output = ();
        fn options() -> TaskOptions {
            TaskOptions {
                max_concurrency_global: Some(0),
                ..TaskOptions::default()
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let faults = runtime.expect("a runtime").block_on(async {
        let world = World::new().await;
        let never = async |_: Never, _: Context| Ok(());
        let built = world
            .builder(WorkerSettings::default())
            .handle(never)
            .build();
        built.expect_err("refused").faults
    });
    let name = "demo.never".to_owned();
    assert_eq!(faults, [BuildFault::GlobalLimit { name, limit: 0 }]);
}
