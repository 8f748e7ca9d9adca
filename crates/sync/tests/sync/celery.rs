//! What Celery's workers say of the tasks that they run.

use crate::support::{SOON, World, id, on_both_pairs, scheduled, task};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::{Content, Envelope};
use serde_json::{Value, json};

on_both_pairs!(
    what_a_python_worker_says_leads_a_task_to_its_result_and_counts_once,
    what_is_said_before_the_tracking_copy_comes_is_kept_until_then,
    each_attempt_of_a_python_worker_has_its_own_events,
    a_failure_of_a_python_worker_is_told_with_its_traceback,
    of_services_that_celery_does_not_run_nothing_is_believed,
);

/// An event of a worker of Celery's, at this second.
fn said(kind: &str, second: u32, more: Value) -> Value {
    let mut event = json!({
        "type": kind, "uuid": "t1", "hostname": "celery@host", "clock": second, "pid": 7, "utcoffset": 0,
        "timestamp": 1_795_288_126.25 + f64::from(second),
    });
    let fields = event.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("fields").clone());
    event
}

fn received(second: u32, retries: u32) -> Value {
    said(
        "task-received",
        second,
        json!({"name": "demo.add", "retries": retries}),
    )
}

impl World {
    /// As an event loop sends them: several in one message.
    async fn say(&self, events: &[Value]) -> anyhow::Result<()> {
        let content = Content::json(serde_json::to_vec(events)?);
        self.publish(&self.names.celeryev, "task.multi", content)
            .await
    }

    async fn states(&self) -> anyhow::Result<Vec<(TaskState, i32)>> {
        let history = self.store.history(&id("t1")).await?;
        Ok(history
            .iter()
            .map(|line| (line.kind, line.lineage().executions))
            .collect())
    }
}

async fn what_a_python_worker_says_leads_a_task_to_its_result_and_counts_once(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let beat = json!({"type": "worker-heartbeat", "hostname": "celery@host", "timestamp": 1.0});
    let begun = [beat, received(1, 0), said("task-started", 2, json!({}))];
    world.say(&begun).await?;
    let row = world.row_in("t1", TaskState::Started).await?;
    assert_eq!(row.worker.as_deref(), Some("celery@host"));
    let done = json!({"result": "{'sum': [5, None]}", "runtime": 0.25});
    let done = said("task-succeeded", 3, done);
    // Two daemons may get it, or one twice.
    for _ in 0..2 {
        world.say(&begun).await?;
        world.say(std::slice::from_ref(&done)).await?;
    }
    world.row_in("t1", TaskState::Success).await?;
    world.emptied(&world.names.celeryev_queue).await?;
    let result = world.store.result(&id("t1"), 0).await?.expect("a result");
    let value: Value = serde_json::from_str(result.result.expect("a value").get())?;
    assert_eq!(
        (value, result.runtime_ms),
        (json!({"sum": [5, null]}), Some(250))
    );
    daemon.stop().await?;
    let states: Vec<_> = world
        .states()
        .await?
        .into_iter()
        .map(|(state, _)| state)
        .collect();
    let all = [
        TaskState::Pending,
        TaskState::Received,
        TaskState::Started,
        TaskState::Success,
    ];
    assert_eq!(states, all);
    assert!(world.parked(0).await?.is_empty());
    Ok(())
}

async fn what_is_said_before_the_tracking_copy_comes_is_kept_until_then(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let done = said("task-succeeded", 3, json!({"result": "5", "runtime": 0.1}));
    world
        .say(&[said("task-started", 2, json!({})), done])
        .await?;
    world.parked(2).await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    world.parked(0).await?;
    Ok(daemon.stop().await?)
}

async fn each_attempt_of_a_python_worker_has_its_own_events(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let first = Envelope::new(id("t1"), "demo.add".parse()?);
    let mut second = first.clone();
    (second.retries, second.lineage.executions) = (1, 1);
    world
        .publish(&world.names.tasks, "demo.add", scheduled(&first))
        .await?;
    world.say(&[received(1, 0)]).await?;
    world.row_in("t1", TaskState::Received).await?;
    // The message of the retry comes before the worker tells how the first attempt went.
    let mut retry = scheduled(&second);
    retry.headers.set("lang", "py");
    world.publish(&world.names.tasks, "demo.add", retry).await?;
    eventually("the second attempt", SOON, async || {
        let row = world.store.task("t1").await?;
        Ok(row.filter(|row| row.executions == 1))
    })
    .await?;
    let again = json!({"exception": "ValueError('again')", "traceback": "at line 1"});
    world
        .say(&[
            said("task-started", 2, json!({})),
            said("task-retried", 3, again),
        ])
        .await?;
    let done = said("task-succeeded", 6, json!({"result": "1", "runtime": 0.1}));
    world
        .say(&[received(4, 1), said("task-started", 5, json!({})), done])
        .await?;
    let row = world.row_in("t1", TaskState::Success).await?;
    assert_eq!(row.executions, 1);
    daemon.stop().await?;
    let told = world.states().await?;
    let of = |executions: i32| {
        let lines = told.iter().filter(move |line| line.1 == executions);
        let mut states: Vec<_> = lines.map(|line| line.0.as_str()).collect();
        states.sort_unstable();
        states
    };
    // That it is retried its copy tells, too: once is enough, and the worker knows why.
    assert_eq!(of(0), ["PENDING", "RECEIVED", "RETRY", "STARTED"]);
    assert_eq!(of(1), ["PENDING", "RECEIVED", "STARTED", "SUCCESS"]);
    let history = world.store.history(&id("t1")).await?;
    let retry = history.iter().find(|line| line.kind == TaskState::Retry);
    let detail = retry
        .and_then(|line| line.detail.as_ref())
        .expect("a detail");
    assert!(
        detail.to_value().to_string().contains("again"),
        "{detail:?}"
    );
    Ok(())
}

async fn a_failure_of_a_python_worker_is_told_with_its_traceback(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let failed = json!({"exception": "ValueError('boom', 1)", "traceback": "at line 1"});
    world
        .say(&[received(1, 0), said("task-failed", 2, failed)])
        .await?;
    let row = world.row_in("t1", TaskState::Failure).await?;
    assert_eq!(row.error_message.as_deref(), Some("ValueError('boom', 1)"));
    assert_eq!(
        row.error_kind.as_deref(),
        Some(FaultKind::Exception.as_str())
    );
    let result = world.store.result(&id("t1"), 0).await?.expect("an outcome");
    assert_eq!(result.traceback.as_deref(), Some("at line 1"));
    Ok(daemon.stop().await?)
}

async fn of_services_that_celery_does_not_run_nothing_is_believed(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world.serve("export").await?;
    world
        .publish(&world.names.tasks, "export.all", task("t1", "export.all"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let forged = said("task-succeeded", 1, json!({"result": "1"}));
    let mut invented = received(2, 0);
    (invented["uuid"], invented["name"]) = (json!("t2"), json!("export.all"));
    world.say(&[forged, invented]).await?;
    world.emptied(&world.names.celeryev_queue).await?;
    daemon.stop().await?;
    world.row_in("t1", TaskState::Pending).await?;
    assert!(world.store.task("t2").await?.is_none());
    assert!(world.parked(0).await?.is_empty());
    Ok(())
}
