//! Processes that end at their worst moments: whatever they had in hand is done, and counted once.

use crate::platform::{PATIENCE, Platform, Process, all_rows, wait_for_count};
use anyhow::Context as _;
use counterfoil_store::Store;
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::failpoint::Point;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{Producer, TaskId, TaskState};
use std::collections::BTreeSet;

/// Sends tasks until the process has ended at `point`, which its log says.
async fn send_until_it_ends(
    producer: &Producer,
    process: &mut Process,
    point: Point,
) -> anyhow::Result<Vec<TaskId>> {
    let mut sent = Vec::new();
    let what = format!("the end at {}", point.as_str());
    eventually(&what, PATIENCE, async || {
        let task = RawTask {
            name: TaskName::new("demo.add")?,
            args: "[1, 2]".to_owned(),
            kwargs: "{}".to_owned(),
        };
        sent.push(producer.send_raw(task, SendOptions::new()).await?);
        Ok(process.has_ended()?.then_some(()))
    })
    .await?;
    let log = process.log_tail();
    let told = format!("Abort at {}", point.as_str());
    anyhow::ensure!(log.contains(&told), "{log}");
    Ok(sent)
}

/// Each was executed once, and nothing is told of it twice.
async fn assert_counted_once(store: &dyn Store, platform: &Platform) -> anyhow::Result<()> {
    let starts = platform.starts()?;
    for row in all_rows(store).await? {
        anyhow::ensure!(starts.get(row.task_id.as_str()) == Some(&1), "{row:#?}");
        anyhow::ensure!((row.run, row.rescue) == (0, 0), "{row:#?}");
        let history = store.history(&row.task_id).await?;
        let steps: Vec<_> = history
            .iter()
            .map(|line| (line.rescue, line.executions, line.deliveries, line.kind))
            .collect();
        let distinct: BTreeSet<_> = steps.iter().map(|step| format!("{step:?}")).collect();
        anyhow::ensure!(distinct.len() == steps.len(), "{history:#?}");
        for kind in [TaskState::Pending, TaskState::Success] {
            anyhow::ensure!(steps.iter().any(|step| step.3 == kind), "{history:#?}");
        }
        let result = store.result(&row.task_id, 0).await?.context("a result")?;
        anyhow::ensure!(result.status == TaskState::Success, "{result:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_ends_at_any_point_writes_every_task_once() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let (store, producer) = (platform.store().await?, platform.producer()?);
    let mut worker = platform.worker()?;
    let mut sent = 0;
    for point in [
        Point::Buffered,
        Point::TxOpen,
        Point::Committed,
        Point::Acked,
    ] {
        for hit in [1, 3] {
            let armed = format!("{}:abort@{hit}", point.as_str());
            let mut daemon = platform.daemon_with(&[("COUNTERFOIL_FAILPOINT", &armed)])?;
            let ids = send_until_it_ends(&producer, &mut daemon, point).await?;
            sent += i64::try_from(ids.len())?;
            let _daemon = platform.daemon()?;
            let all = wait_for_count(&*store, TaskState::Success, sent, PATIENCE).await;
            all.with_context(|| armed)?;
        }
    }
    worker.assert_running()?;
    assert_counted_once(&*store, &platform).await
}
