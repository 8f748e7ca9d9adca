//! A task of nine minutes under a lease of 30 seconds. Started by `tests/scale/lease`.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use crate::platform::{Platform, wait_for_state};
use crate::running::send;
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Database, PostgresNode, eventually};
use counterfoil_toolbox::TaskState;
use std::time::{Duration, Instant};

/// Longer than the task takes, rescues included.
const PATIENCE: Duration = Duration::from_secs(1500);

/// How long the database is away in the middle.
const AWAY: Duration = Duration::from_secs(20);

const SETTINGS: [(&str, &str); 1] = [("COUNTERFOIL_WORKER__LEASE", "30s")];

#[tokio::test]
#[ignore = "takes ten minutes: tests/scale/lease"]
async fn a_task_of_nine_minutes_runs_once_under_a_lease_of_thirty_seconds() -> anyhow::Result<()> {
    let seconds: u64 = std::env::var("COUNTERFOIL_SCALE")?.parse()?;
    let vhost = Broker::shared().await?.vhost().await?;
    let mut postgres = PostgresNode::start().await?;
    let database = Database::of(&postgres).await?;
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let _daemon = platform.daemon()?;
    let _workers = [
        platform.worker_with(&SETTINGS)?,
        platform.worker_with(&SETTINGS)?,
    ];
    let kwargs = format!(r#"{{"seconds": {seconds}}}"#);
    let id = send(&platform.producer()?, "demo.long", &kwargs).await?;
    let store = platform.store().await?;
    wait_for_state(&*store, id.as_str(), TaskState::Started, PATIENCE).await?;
    let began = Instant::now();
    // The task is to be in its middle, and nothing tells of that.
    tokio::time::sleep(Duration::from_secs(seconds / 2)).await;
    postgres.stop_immediate().await?;
    tokio::time::sleep(AWAY).await;
    postgres.restart().await?;
    let row = eventually("the task to be over", PATIENCE, async || {
        // The database may still be coming back.
        let row = store.task(id.as_str()).await.unwrap_or_default();
        Ok(row.filter(|row| row.state.is_terminal()))
    })
    .await?;
    let steps = platform.steps()?;
    let starts = steps.iter().filter(|step| step.step == "start").count();
    println!(
        "{} after {:.0?}: {starts} starts, rescued {} times",
        row.state,
        began.elapsed(),
        row.rescue
    );
    anyhow::ensure!(
        row.state == TaskState::Success && row.rescue == 0,
        "{row:#?}"
    );
    anyhow::ensure!(starts == 1, "begun {starts} times");
    let history = store.history(&id).await.context("its history")?;
    let started = history.iter().filter(|it| it.kind == TaskState::Started);
    anyhow::ensure!(started.count() == 1, "{history:#?}");
    Ok(())
}
