//! Classes of tasks: each in a queue of its own, and turns among them when places are short.

use crate::control::{pause, resume};
use crate::control_on_rabbitmq::as_service;
use crate::on_rabbitmq::rabbitmq;
use crate::running::add;
use crate::tasks::{Act, Add, Patient, act, patient};
use crate::world::{Started, World, in_time};
use counterfoil_toolbox::config::{BrokerSettings, Declaring, QueueOverride, WorkerSettings};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::topology::{apply, delay_levels, service};
use counterfoil_toolbox::{Priority, ServiceName, TaskId, TaskState};
use counterfoil_worker::{Context, TaskError};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

on_both_transports!(
    a_saturated_worker_gives_the_classes_their_shares_and_starves_none,
    a_worker_with_one_place_keeps_the_shares_without_being_told_how,
    a_class_alone_gets_all_places,
    whatever_comes_again_comes_again_in_its_class,
    a_queue_of_a_class_that_is_deleted_is_declared_again_and_consumed,
    a_paused_service_is_paused_in_all_its_classes,
);

fn demo() -> ServiceName {
    ServiceName::new("demo").expect("valid")
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("valid")
}

fn special(change: impl FnOnce(&mut QueueOverride)) -> BrokerSettings {
    let mut special = QueueOverride {
        priorities: true,
        ..QueueOverride::default()
    };
    change(&mut special);
    let mut settings = BrokerSettings::default();
    settings.queues.insert(demo(), special);
    settings
}

/// Gives the service `demo` its classes.
async fn with_classes(world: &World) -> BrokerSettings {
    let settings = special(|_| {});
    let items = service(&world.names, &demo(), &settings.service(&demo()));
    let transport = world.transport();
    apply(&*transport, items).await.expect("declared");
    settings
}

fn of(class: Priority) -> SendOptions {
    SendOptions::new().priority(class)
}

/// A worker with one place, which the first task of each test keeps until the gate is open, and what
/// begins behind it. Meanwhile its consumers fill up, cautious as they begin.
struct Saturated {
    _worker: Started,
    gate: Arc<Semaphore>,
    begun: Arc<Mutex<Vec<String>>>,
}

impl Saturated {
    async fn start(world: &World, settings: &BrokerSettings) -> Self {
        Self::start_with(World::one_at_a_time(), world, settings).await
    }

    async fn start_with(worker: WorkerSettings, world: &World, settings: &BrokerSettings) -> Self {
        let (gate, begun) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (closed, seen) = (gate.clone(), begun.clone());
        let handler = move |task: Act, _: Context| {
            let (closed, seen) = (closed.clone(), seen.clone());
            async move {
                if task.what == "first" {
                    let _open = closed.acquire().await;
                    return Ok(Value::Null);
                }
                seen.lock().expect("nothing panics").push(task.what);
                // Time for the next message of its class to come.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Value::Null)
            }
        };
        let add =
            |builder: counterfoil_worker::WorkerBuilder| builder.broker(settings).handle(handler);
        let worker = world.start_with(worker, add);
        let first = world.send(act("first")).await;
        world.told_of(&first, TaskState::Started).await;
        Self {
            _worker: worker,
            gate,
            begun,
        }
    }

    /// Sends so many tasks of a class.
    async fn send(&self, world: &World, class: Priority, count: usize) -> Vec<TaskId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(world.send_with(act(class.as_str()), of(class)).await);
        }
        ids
    }

    /// Lets them run, and tells in which order they began.
    async fn run(&self, world: &World, ids: Vec<TaskId>) -> Vec<String> {
        world.warm_up().await;
        self.gate.add_permits(1);
        for id in ids {
            world.told_of(&id, TaskState::Success).await;
        }
        self.begun.lock().expect("nothing panics").clone()
    }
}

async fn a_saturated_worker_gives_the_classes_their_shares_and_starves_none(world: World) {
    keeps_the_shares(World::one_at_a_time(), world).await;
}

async fn a_worker_with_one_place_keeps_the_shares_without_being_told_how(world: World) {
    let settings = WorkerSettings {
        concurrency: 1,
        ..WorkerSettings::default()
    };
    keeps_the_shares(settings, world).await;
}

async fn keeps_the_shares(worker: WorkerSettings, world: World) {
    let settings = with_classes(&world).await;
    let worker = Saturated::start_with(worker, &world, &settings).await;
    let mut ids = Vec::new();
    // The least urgent first, so that whoever only looks at who came first gets it wrong.
    for (class, count) in [
        (Priority::Low, 20),
        (Priority::Normal, 40),
        (Priority::High, 60),
    ] {
        ids.extend(worker.send(&world, class, count).await);
    }
    let begun = worker.run(&world, ids).await;
    let share = |class: &str| begun[..60].iter().filter(|what| *what == class).count();
    let shares = ["high", "normal", "low"].map(share);
    for (got, wanted) in shares.into_iter().zip([36_usize, 18, 6]) {
        assert!(got.abs_diff(wanted) <= 3, "{shares:?}: {begun:?}");
    }
    let longest = begun[..60].split(|what| what == "low").map(<[_]>::len);
    assert!(longest.max() <= Some(14), "low waited: {begun:?}");
}

async fn a_class_alone_gets_all_places(world: World) {
    let settings = with_classes(&world).await;
    let worker = Saturated::start(&world, &settings).await;
    let low = worker.send(&world, Priority::Low, 30).await;
    assert_eq!(worker.run(&world, low).await, ["low"; 30]);
}

/// A worker for one class gets nothing that leaves it.
async fn whatever_comes_again_comes_again_in_its_class(world: World) {
    let settings = with_classes(&world).await;
    let of_high = WorkerSettings {
        queues: vec![queue("demo~high")],
        ..WorkerSettings::default()
    };
    let handler = async |task: Patient, cx: Context| match (task.what.as_str(), cx.attempt()) {
        ("bad", _) => Err(TaskError::reject("not like this")),
        (_, 1) => Err(TaskError::retry_after("later", Duration::from_secs(1))),
        _ => Ok(Value::Null),
    };
    let worker = world.start_with(of_high, |builder| builder.broker(&settings).handle(handler));
    let other = world.send(patient("")).await;
    let by_key = world.send_with(patient(""), of(Priority::High)).await;
    let delayed = of(Priority::High).countdown(Duration::from_secs(1));
    let delayed = world.send_with(patient(""), delayed).await;
    let direct = world.message("demo.patient", "direct", "[[], {}, {}]");
    world.publish_to_queue("demo~high", direct).await;
    let direct = TaskId::new("direct").expect("valid");
    for id in [by_key, delayed, direct] {
        let done = world.told_of(&id, TaskState::Success).await;
        assert_eq!((done.lineage.retries(), &*done.service), (1, "demo"));
    }
    let bad = world.send_with(patient("bad"), of(Priority::High)).await;
    world.told_of(&bad, TaskState::Failure).await;
    // The dead of all classes are kept in one place, and all are told under one key.
    assert_eq!(world.waiting_in("demo.dead").await, 1);
    assert_eq!(world.keys(), ["event.demo.batch"]);
    assert_eq!(world.waiting_in("demo").await, 1);
    assert!(world.states_of(&other).is_empty());
    assert!(world.is_empty_after(worker, "demo~high").await);
}

async fn a_queue_of_a_class_that_is_deleted_is_declared_again_and_consumed(world: World) {
    let settings = with_classes(&world).await;
    let _worker = world.start(|builder| builder.broker(&settings).handle(add));
    let high = || world.send_with(Add { x: 1, y: 1 }, of(Priority::High));
    let id = high().await;
    world.told_of(&id, TaskState::Success).await;
    let transport = world.transport();
    let deleted = transport.delete_queue(&queue("demo~high")).await;
    deleted.expect("reachable");
    in_time("consuming it again", async {
        loop {
            let depth = transport.depth(&queue("demo~high")).await;
            if depth
                .expect("reachable")
                .is_some_and(|depth| depth.consumers > 0)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let id = high().await;
    world.told_of(&id, TaskState::Success).await;
}

async fn a_paused_service_is_paused_in_all_its_classes(world: World) {
    let settings = with_classes(&world).await;
    world.ask([pause("demo")]).await;
    let _worker = world.start(|builder| builder.broker(&settings).handle(add));
    let mut ids = Vec::new();
    for class in Priority::ALL {
        ids.push(world.send_with(Add { x: 1, y: 1 }, of(class)).await);
    }
    world.warm_up().await;
    for class in Priority::ALL {
        let queue = world.names.class_queue(&demo(), class);
        assert_eq!(world.waiting_in(queue.as_str()).await, 1, "{class}");
    }
    world.ask([resume("demo")]).await;
    for id in ids {
        world.told_of(&id, TaskState::Success).await;
    }
}

#[tokio::test]
async fn the_user_of_a_service_may_do_all_that_its_classes_need() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    let transport = world.transport();
    apply(&*transport, delay_levels(&world.names)).await?;
    let settings = with_classes(&world).await;
    let read = r"^(demo(~(high|low))?(\.late)?|platform\.control)$";
    let builder = as_service(&vhost, &world, read).await?;
    let handler = async |_: Patient, cx: Context| match cx.attempt() {
        1 => Err(TaskError::retry_after("later", Duration::from_secs(1))),
        _ => Ok(Value::Null),
    };
    let _worker = Started::run(builder.broker(&settings).handle(handler));
    for class in Priority::ALL {
        let id = world.send_with(patient(""), of(class)).await;
        let done = world.told_of(&id, TaskState::Success).await;
        assert_eq!(done.lineage.retries(), 1);
    }
    vhost.close().await
}

#[tokio::test]
async fn the_classes_of_a_service_are_consumed_where_it_has_priorities_and_nowhere_else() {
    let world = World::new().await;
    let queues = |settings: &BrokerSettings, listed: &[&str]| {
        let worker_settings = WorkerSettings {
            queues: listed.iter().map(|name| queue(name)).collect(),
            ..WorkerSettings::default()
        };
        let builder = world.builder(worker_settings).broker(settings).handle(add);
        let worker = builder.build().expect("builds");
        let queues = worker.queues().iter().map(ToString::to_string);
        queues.collect::<Vec<_>>()
    };
    let classes = ["demo", "demo~high", "demo~low"];
    assert_eq!(queues(&BrokerSettings::default(), &[]), ["demo"]);
    assert_eq!(queues(&special(|_| {}), &[]), classes);
    assert_eq!(queues(&special(|_| {}), &["demo"]), classes);
    assert_eq!(queues(&special(|_| {}), &["demo~low"]), ["demo~low"]);
    assert_eq!(queues(&special(|_| {}), &["celery"]), ["celery"]);
    let limited = special(|special| special.max_length = Some(10));
    assert_eq!(
        queues(&limited, &["demo~high"]),
        ["demo~high", "demo~high.late"]
    );
    assert_eq!(queues(&limited, &[]).len(), 6);
    let of_others = special(|special| {
        (special.declare, special.max_length) = (Declaring::Off, Some(10));
    });
    assert_eq!(queues(&of_others, &[]), classes);
}
