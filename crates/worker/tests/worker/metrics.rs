//! What a worker counts, as whoever records it sees it.

use crate::tasks::{Act, act};
use crate::world::World;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_worker::{Context, TaskError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use std::time::Duration;

/// The value of one line; `line` is all of it but the value.
fn value(recorded: &PrometheusHandle, line: &str) -> Option<f64> {
    let text = recorded.render();
    let found = text
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
    found.map(|value| value.parse().expect("a number"))
}

async fn handler(task: Act, cx: Context) -> Result<Value, TaskError> {
    match (task.what.as_str(), cx.attempt()) {
        ("retried", 1) => Err(TaskError::retry("counted")),
        ("retried", 2) => Err(TaskError::retry_uncounted("not counted", Duration::ZERO)),
        ("skipped", _) => Err(TaskError::skip("nothing to do")),
        ("failed", _) => Err(TaskError::fail("for good")),
        ("rejected", _) => Err(TaskError::reject("to the dead queue")),
        _ => Ok(json!(null)),
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_task_is_counted_under_its_type_and_no_message_makes_a_label() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    let worker = world.start(|builder| builder.handle(handler));
    for (what, ends) in [
        ("", TaskState::Success),
        ("retried", TaskState::Success),
        ("skipped", TaskState::Success),
        ("failed", TaskState::Failure),
        ("rejected", TaskState::Failure),
    ] {
        let id = world.send(act(what)).await;
        world.told_of(&id, ends).await;
    }
    let expired = SendOptions::new().expires(chrono::Utc::now() - Duration::from_secs(9));
    let id = world.send_with(act(""), expired).await;
    world.told_of(&id, TaskState::Revoked).await;
    let mut unknown = Content::json("[[], {}, {}]");
    unknown.headers.push("task", "demo.strange");
    unknown.headers.push("id", "strange");
    world
        .publish(&world.names.tasks, "demo.strange", unknown)
        .await;
    world
        .told_of(&"strange".parse().expect("an id"), TaskState::Failure)
        .await;

    let tasks = |outcome: &str| {
        let line =
            format!("counterfoil_worker_tasks_total{{task=\"demo.act\",outcome=\"{outcome}\"}}");
        value(&recorded, &line)
    };
    for (outcome, count) in [
        ("success", 2.0),
        ("skipped", 1.0),
        ("failure", 1.0),
        ("dead", 1.0),
        ("revoked", 1.0),
    ] {
        assert_eq!(
            tasks(outcome),
            Some(count),
            "{outcome}: {}",
            recorded.render()
        );
    }
    for counted in [true, false] {
        let line =
            format!("counterfoil_worker_retries_total{{task=\"demo.act\",counted=\"{counted}\"}}");
        assert_eq!(value(&recorded, &line), Some(1.0), "{counted}");
    }
    let line = "counterfoil_worker_tasks_total{task=\"not registered\",outcome=\"dead\"}";
    assert_eq!(value(&recorded, line), Some(1.0));
    assert!(
        !recorded.render().contains("strange"),
        "{}",
        recorded.render()
    );
    // Seven executions; of the six tasks that were started, five for the first time.
    let count = |name: &str| value(&recorded, &format!("{name}_count{{task=\"demo.act\"}}"));
    assert_eq!(count("counterfoil_worker_run_seconds"), Some(7.0));
    assert_eq!(count("counterfoil_worker_queue_seconds"), Some(5.0));
    worker.drain().await;
    for gauge in ["in_hand", "running", "reports_unsent"] {
        let name = format!("counterfoil_worker_{gauge}");
        assert_eq!(value(&recorded, &name), Some(0.0), "{gauge}");
    }
    assert_eq!(value(&recorded, "counterfoil_worker_slots"), Some(64.0));
}

#[tokio::test(start_paused = true)]
async fn what_runs_and_what_waits_shows_while_it_does() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    let goes_on = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = goes_on.clone();
    let handler = move |_: Act, _: Context| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(json!(null))
        }
    };
    let settings = counterfoil_toolbox::config::WorkerSettings {
        concurrency: 1,
        prefetch: Some(2),
        ..Default::default()
    };
    let _worker = world.start_with(settings, |builder| builder.handle(handler));
    let first = world.send(act("")).await;
    let second = world.send(act("")).await;
    world.told_of(&first, TaskState::Started).await;
    world.told_of(&second, TaskState::Received).await;
    let gauge = |name: &str| value(&recorded, &format!("counterfoil_worker_{name}"));
    assert_eq!((gauge("running"), gauge("in_hand")), (Some(1.0), Some(2.0)));
    goes_on.add_permits(2);
    world.told_of(&second, TaskState::Success).await;
    assert_eq!((gauge("running"), gauge("in_hand")), (Some(0.0), Some(0.0)));
}
