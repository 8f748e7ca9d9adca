//! A task that takes its process down, again and again.

use super::{PATIENCE, platform, send};
use crate::platform::{wait_for_count, wait_for_state};
use counterfoil_store::DeadFilter;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;

#[tokio::test]
async fn a_task_that_aborts_its_process_ends_dead_and_its_neighbours_succeed() -> anyhow::Result<()>
{
    const NEIGHBOURS: usize = 49;
    let (vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon()?;
    let (store, producer) = (platform.store().await?, platform.producer()?);
    let mut culprit = None;
    for n in 0..=NEIGHBOURS {
        if n == NEIGHBOURS / 2 {
            culprit = Some(send(&producer, "demo.abort", "{}").await?);
        } else {
            send(&producer, "demo.sleep", r#"{"seconds": 0.1}"#).await?;
        }
    }
    let culprit = culprit.expect("sent").to_string();

    // A supervisor: whatever its worker dies of, there is a new one.
    let mut worker = platform.worker()?;
    let mut crashes = 0;
    let over = async || {
        if worker.has_ended()? {
            crashes += 1;
            worker = platform.worker()?;
        }
        let row = store.task(&culprit).await?;
        Ok(row.filter(|row| row.state == TaskState::Failure))
    };
    let row = eventually("the culprit to be dead", PATIENCE, over).await?;
    assert_eq!(
        row.error_kind.as_deref(),
        Some(FaultKind::WorkerCrashed.as_str())
    );
    assert_eq!(crashes, 21, "one more than the limit of deliveries");

    let all = i64::try_from(NEIGHBOURS)?;
    wait_for_count(&*store, TaskState::Success, all, PATIENCE).await?;
    wait_for_state(&*store, &culprit, TaskState::Failure, PATIENCE).await?;
    let dead = store
        .dead(&DeadFilter {
            limit: 10,
            ..DeadFilter::default()
        })
        .await?;
    let reasons: Vec<_> = dead
        .iter()
        .map(|it| (it.task_id.as_deref(), &*it.reason))
        .collect();
    assert_eq!(reasons, [(Some(&*culprit), "delivery_limit")]);
    assert_eq!(vhost.depth("demo.dead").await?.ready, 1);
    Ok(())
}

#[tokio::test]
async fn a_task_over_which_its_worker_panics_goes_back_and_leaves_its_place() -> anyhow::Result<()>
{
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon()?;
    let (store, producer) = (platform.store().await?, platform.producer()?);
    let mut worker = platform.worker_with(&[
        (
            "COUNTERFOIL_FAILPOINT",
            "handler-done:panic@1,delivered:panic@3",
        ),
        ("COUNTERFOIL_WORKER__CONCURRENCY", "1"),
    ])?;
    // One panics when it has run, the other before it is read.
    for _ in 0..2 {
        let id = send(&producer, "demo.add", r#"{"x": 1, "y": 2}"#).await?;
        let row = wait_for_state(&*store, id.as_str(), TaskState::Success, PATIENCE).await?;
        assert_eq!(row.deliveries, 1, "the broker has counted it");
        let log = worker.log_tail();
        assert!(
            log.contains(id.as_str()) && log.contains("the broker gets it back"),
            "{log}"
        );
    }
    worker.assert_running()
}

#[tokio::test]
async fn a_task_over_which_its_worker_always_panics_ends_dead_and_the_worker_goes_on()
-> anyhow::Result<()> {
    panics_until_it_is_dead("quorum", "handler-done", 21).await
}

#[tokio::test]
async fn what_always_panics_ends_dead_in_a_queue_that_does_not_count_deliveries()
-> anyhow::Result<()> {
    panics_until_it_is_dead("classic", "handler-done", 21).await
}

#[tokio::test]
async fn what_panics_whenever_it_is_read_ends_dead_in_a_queue_that_does_not_count_deliveries()
-> anyhow::Result<()> {
    panics_until_it_is_dead("classic", "delivered", 22).await
}

/// A task over which its worker panics so many times, at `point`, before the worker says that it is dead.
async fn panics_until_it_is_dead(queue: &str, point: &str, times: u32) -> anyhow::Result<()> {
    let (vhost, _database, mut platform) = platform().await?;
    vhost.delete_queue("demo").await?;
    platform.set("COUNTERFOIL_BROKER__QUEUES__DEMO__TYPE", queue.into());
    let init = platform.cli(&["init"])?;
    assert!(init.status.success(), "{init:?}");
    let _daemon = platform.daemon()?;
    let (store, producer) = (platform.store().await?, platform.producer()?);
    let each: Vec<_> = (1..=times).map(|n| format!("{point}:panic@{n}")).collect();
    let mut worker = platform.worker_with(&[("COUNTERFOIL_FAILPOINT", &each.join(","))])?;
    let culprit = send(&producer, "demo.add", r#"{"x": 1, "y": 2}"#).await?;
    let row = wait_for_state(&*store, culprit.as_str(), TaskState::Failure, PATIENCE).await?;
    let crashed = FaultKind::WorkerCrashed.as_str();
    assert_eq!(row.error_kind.as_deref(), Some(crashed));
    assert_eq!(vhost.depth("demo.dead").await?.ready, 1);
    let next = send(&producer, "demo.add", r#"{"x": 1, "y": 2}"#).await?;
    wait_for_state(&*store, next.as_str(), TaskState::Success, PATIENCE).await?;
    worker.assert_running()
}
