//! What is wrong with a worker is said before it starts, all of it.

use crate::running::add;
use crate::tasks::{Act, Add};
use crate::world::World;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::task::{Task, TaskOptions};
use counterfoil_worker::{BuildFault, Context, Exit};
use serde_json::Value;
use std::time::Duration;

async fn idle(_: Act, _: Context) -> Result<Value, counterfoil_worker::TaskError> {
    Ok(Value::Null)
}

#[tokio::test]
async fn every_fault_is_named_at_once() {
    let world = World::new().await;
    let settings = WorkerSettings {
        concurrency: 0,
        max_result_bytes: usize::MAX,
        ..WorkerSettings::default()
    };
    let built = world
        .builder(settings)
        .handle(add)
        .handle_as("demo.add", idle)
        .handle_as("no name", idle)
        .handle_as("Straße.bauen", idle)
        .state(1_u8)
        .state(2_u8)
        .build();
    let text = built.expect_err("wrong in many ways").to_string();
    for part in [
        "two handlers for task demo.add",
        "task name \"no name\" is not valid",
        "two values of type u8 as state",
        "setting concurrency must be at least 1",
        "setting max_result_bytes must be at most 15 MiB",
        "no queue for task Straße.bauen",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_worker_without_handlers_is_none() {
    let world = World::new().await;
    let built = world.builder(WorkerSettings::default()).build();
    let faults = built.expect_err("no handlers").faults;
    assert_eq!(faults, [BuildFault::NoHandlers]);
}

#[tokio::test]
async fn queues_are_those_of_the_services_unless_they_are_listed() {
    let world = World::new().await;
    let builder = world.builder(WorkerSettings::default());
    let worker = builder.handle(add).handle_as("export.add", add).build();
    let queue = |name| QueueName::new(name).expect("valid");
    assert_eq!(
        worker.expect("builds").queues(),
        [queue("demo"), queue("export")]
    );
    let settings = WorkerSettings {
        queues: vec![queue("celery")],
        ..WorkerSettings::default()
    };
    let worker = world
        .builder(settings)
        .handle_as("Straße.bauen", add)
        .build();
    assert_eq!(worker.expect("builds").queues(), [queue("celery")]);
}

#[tokio::test]
async fn a_time_limit_beyond_the_patience_of_the_broker_is_refused() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Slow {}
    impl Task for Slow {
        const NAME: &'static str = "demo.slow";
        type Output = ();
        fn options() -> TaskOptions {
            TaskOptions {
                time_limit: Some(Duration::from_secs(3600)),
                max_retries: 0,
                ..TaskOptions::default()
            }
        }
    }
    let world = World::new().await;
    let slow = async |_: Slow, _: Context| Ok(());
    let builder = || world.builder(WorkerSettings::default()).handle(slow);
    let text = builder().build().expect_err("too slow").to_string();
    assert!(
        text.contains(
            "the time limit of task demo.slow (in its options) is 3600s, and at most 1680s"
        ),
        "{text}"
    );
    let patient = |seconds| builder().consumer_timeout(Duration::from_secs(seconds));
    assert!(patient(3719).build().is_err(), "no margin is left");
    assert!(patient(3720).build().is_ok());
}

#[tokio::test]
async fn time_limits_of_nothing_are_refused_by_name() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Never {}
    impl Task for Never {
        const NAME: &'static str = "demo.never";
        type Output = ();
        fn options() -> TaskOptions {
            TaskOptions {
                time_limit: Some(Duration::ZERO),
                ..TaskOptions::default()
            }
        }
    }
    let world = World::new().await;
    let never = async |_: Never, _: Context| Ok(());
    let settings = WorkerSettings {
        time_limit: Some(Duration::ZERO),
        ..WorkerSettings::default()
    };
    let error = world.builder(settings).handle(never).build();
    let text = error.expect_err("never").to_string();
    for part in [
        "the time limit of task demo.never is 0s: give it more",
        "setting time_limit is 0s and must be longer than nothing",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn limits_under_which_a_task_could_not_run_or_clean_up_are_refused() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Odd {}
    impl Task for Odd {
        const NAME: &'static str = "demo.odd";
        type Output = ();
        fn options() -> TaskOptions {
            TaskOptions {
                time_limit: Some(Duration::from_secs(60)),
                soft_time_limit: Some(Duration::from_secs(60)),
                max_concurrency: Some(0),
                ..TaskOptions::default()
            }
        }
    }
    let world = World::new().await;
    let odd = async |_: Odd, _: Context| Ok(());
    let error = world.builder(WorkerSettings::default()).handle(odd).build();
    let text = error.expect_err("odd").to_string();
    for wanted in [
        "max_concurrency of task demo.odd is 0, so it could never run",
        "the soft time limit of task demo.odd is 60s, and its time limit is 60s",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_queue_does_not_exist_ends_and_says_so() {
    let world = World::new().await;
    let worker =
        world.start(|builder| builder.handle_as("missing.task", async |_: Add, _: Context| Ok(0)));
    let exit = worker.exit().await;
    assert_eq!(exit.code(), 78);
    let queue = QueueName::new("missing").expect("valid");
    assert_eq!(exit, Exit::NoQueue { queue });
}
