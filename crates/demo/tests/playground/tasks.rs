//! Every task but `demo.abort` does what the table of the README says.

use crate::stage::{Mirror, Stage};
use anyhow::Result;
use counterfoil_demo::tasks::{
    Abort, Add, Big, Block, Echo, ExportProject, Fail, FinalizeHarvest, Flaky, Hang,
    HarvestResource, HarvestSource, Limited, Long, Panic, Progress, Sleep, Throttled, Tree,
};
use counterfoil_toolbox::event::{EventKind, FaultKind};
use counterfoil_toolbox::session::{SessionStatus, SessionSummary};
use counterfoil_toolbox::{Task, TaskState};
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::Instant;

fn arguments<T: Task>() -> (&'static str, Vec<String>) {
    let schema = schemars::schema_for!(T);
    let properties = schema.get("properties").and_then(|all| all.as_object());
    let names = properties.into_iter().flat_map(|all| all.keys().cloned());
    (T::NAME, names.collect())
}

#[test]
fn arguments_by_position_come_in_the_documented_order() {
    let readme = include_str!("../../../../README.md");
    for ((name, found), documented) in [
        (arguments::<Add>(), "demo.add x y"),
        (arguments::<Echo>(), "demo.echo value"),
        (arguments::<Sleep>(), "demo.sleep seconds"),
        (arguments::<Limited>(), "demo.limited seconds"),
        (arguments::<Long>(), "demo.long seconds"),
        (arguments::<Block>(), "demo.block seconds"),
        (arguments::<Fail>(), "demo.fail message"),
        (arguments::<Flaky>(), "demo.flaky key failures"),
        (arguments::<Throttled>(), "demo.throttled times"),
        (arguments::<Panic>(), "demo.panic message"),
        (arguments::<Abort>(), "demo.abort"),
        (arguments::<Hang>(), "demo.hang"),
        (arguments::<Progress>(), "demo.progress steps seconds"),
        (arguments::<Tree>(), "demo.tree width depth"),
        (arguments::<Big>(), "demo.big bytes"),
        (
            arguments::<ExportProject>(),
            "export.project org_slug project_slug api_key output_type",
        ),
        (arguments::<HarvestResource>(), "harvest.resource resource"),
        (arguments::<HarvestSource>(), "harvest.source resources"),
        (arguments::<FinalizeHarvest>(), "harvest.finalize session"),
    ] {
        let words = [&[name.to_owned()], &found[..]].concat();
        assert_eq!(words.join(" "), documented);
        // A row of the README's table begins with the task and its arguments.
        let is_told = |line: &str| {
            let told: Vec<_> = line.split('`').skip(1).step_by(2).collect();
            told.starts_with(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let is_part = name.starts_with("harvest.") && name != "harvest.source";
        assert!(is_part || readme.lines().any(is_told), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn simple_tasks_return_what_they_are_asked_for() -> Result<()> {
    let stage = Stage::start().await?;
    assert_eq!(stage.run(Add { x: 2, y: 3 }).await?, 5);
    assert_eq!(stage.run(Sleep { seconds: 20.5 }).await?, 20.5);
    assert_eq!(stage.run(Block { seconds: 0.01 }).await?, 0.01);
    assert_eq!(stage.run(Big { bytes: 1000 }).await?, "x".repeat(1000));
    let text = r#"{"b": [1.50, 123456789012345678901234567890], "a": "é\u0041"}"#;
    let value = RawValue::from_string(text.to_owned())?;
    assert_eq!(stage.run(Echo { value }).await?.get(), text);
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn values_that_make_no_sense_fail_at_once_and_say_why() -> Result<()> {
    let stage = Stage::start().await?;
    let fault = stage.failure_of(Sleep { seconds: -1.0 }).await?;
    assert_eq!(fault.kind, FaultKind::Exception);
    assert!(
        fault.message.starts_with("-1 seconds cannot be waited"),
        "{fault:?}"
    );
    let fault = stage.failure_of(Block { seconds: 1e300 }).await?;
    assert!(fault.message.contains("cannot be waited"), "{fault:?}");
    let fault = stage.failure_of(Add { x: i64::MAX, y: 1 }).await?;
    assert!(fault.message.contains("more than 64 bits"), "{fault:?}");
    let fault = stage.failure_of(Big { bytes: usize::MAX }).await?;
    assert!(fault.message.contains("too many"), "{fault:?}");
    let (width, depth) = (1000, 1000);
    let fault = stage.failure_of(Tree { width, depth }).await?;
    assert_eq!(fault.message, "more than 100000 descendants");
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn a_flaky_task_succeeds_after_its_failures_and_tells_its_attempts() -> Result<()> {
    let stage = Stage::start().await?;
    let key = "k".to_owned();
    let started = Instant::now();
    assert_eq!(stage.run(Flaky { key, failures: 5 }).await?, 6);
    let took = started.elapsed();
    assert!(
        took >= 5 * Flaky::BACKOFF && took < Duration::from_secs(2),
        "{took:?}"
    );
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn a_throttled_task_uses_up_no_retry() -> Result<()> {
    let stage = Stage::start().await?;
    let mut mirror = Mirror::of(&stage);
    assert_eq!(Throttled::options().max_retries, 0);
    assert_eq!(stage.run(Throttled { times: 4 }).await?, 4);
    mirror.read_until_ended(1).await?;
    let retries = mirror
        .history
        .iter()
        .filter(|e| e.kind == EventKind::State(TaskState::Retry));
    let counted: Vec<_> = retries.map(|event| event.counted).collect();
    assert_eq!(counted, [Some(false); 4]);
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn failing_panicking_and_hanging_tasks_end_as_failures_and_the_worker_lives() -> Result<()> {
    let stage = Stage::start().await?;
    let message = || "no paper".to_owned();
    let fault = stage.failure_of(Fail { message: message() }).await?;
    assert_eq!(
        (fault.kind, fault.message),
        (FaultKind::Exception, message())
    );
    let fault = stage.failure_of(Panic { message: message() }).await?;
    assert!(fault.message.contains("faults.rs"), "{fault:?}");
    assert!(fault.message.ends_with("no paper"), "{fault:?}");
    let started = Instant::now();
    let fault = stage.failure_of(Hang {}).await?;
    assert!(fault.message.contains("time limit of 2s"), "{fault:?}");
    let took = started.elapsed();
    assert!(
        took >= Hang::TIME_LIMIT && took < 2 * Hang::TIME_LIMIT,
        "{took:?}"
    );
    assert_eq!(stage.run(Add { x: 1, y: 1 }).await?, 2);
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn progress_and_a_log_line_are_reported_after_every_step() -> Result<()> {
    let stage = Stage::start().await?;
    let mut mirror = Mirror::of(&stage);
    let (steps, seconds) = (3, 3.0);
    assert_eq!(stage.run(Progress { steps, seconds }).await?, 3);
    mirror.read_until_ended(1).await?;
    let progress: Vec<_> = mirror
        .history
        .iter()
        .filter_map(|e| e.progress.clone())
        .collect();
    let told = progress.iter().map(|p| (p.current, p.total));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(1, Some(3)), (2, Some(3)), (3, Some(3))]
    );
    let lines: Vec<_> = mirror
        .history
        .iter()
        .filter_map(|e| e.log.clone())
        .collect();
    let lines = lines.iter().map(|line| line.message.as_str());
    assert_eq!(
        lines.collect::<Vec<_>>(),
        ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    );
    stage.drain().await
}

#[tokio::test(start_paused = true)]
async fn a_harvest_finds_skips_and_misses_resources_and_sums_up() -> Result<()> {
    let stage = Stage::start().await?;
    let resource = |name: &str| HarvestResource {
        resource: name.to_owned(),
    };
    let found = stage.run(resource("acme/north")).await?;
    let found = found.expect("it is there");
    assert!(found.parcels > 20 && found.area_m2 > 10_000.0, "{found:?}");
    assert_eq!(stage.run(resource("unchanged/north")).await?, None);
    let fault = stage.failure_of(resource("missing/north")).await?;
    assert_eq!(fault.message, "missing/north is not there");
    let session = SessionSummary {
        status: SessionStatus::Aborted,
        total: 3,
        failed: 3,
        ..SessionSummary::default()
    };
    let report = stage.run(FinalizeHarvest { session }).await?.report;
    assert_eq!(
        report,
        "harvest ended as ABORTED: 3 resources, 0 succeeded (0 skipped), 3 failed"
    );
    stage.drain().await
}
