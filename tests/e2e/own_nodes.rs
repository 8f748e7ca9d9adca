//! Servers and workers that die while thousands of tasks flow, and servers that are set up anew. Each
//! test has servers of its own.

mod delays;
mod permissions;
mod policies;
mod scripts;

use crate::platform::{Platform, Process, wait_for_count};
use anyhow::Context as _;
use counterfoil_store::{DeadFilter, ParkedFilter, Store};
use counterfoil_testkit::{Database, PostgresNode, RabbitNode, eventually};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{Availability, RawTask, SendOptions};
use counterfoil_toolbox::{Producer, TaskId, TaskState};
use std::time::Duration;

const TASKS: usize = 5_000;
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Sends so many tasks; one that nobody confirmed is sent again, with the same id, once the broker is
/// there.
pub(crate) async fn send_all(producer: Producer, tasks: usize) -> anyhow::Result<()> {
    for n in 0..tasks {
        let id = TaskId::random();
        let task = RawTask {
            name: TaskName::new("demo.add")?,
            args: format!("[{n}, 1]"),
            kwargs: "{}".to_owned(),
        };
        let mut tries = 0;
        while let Err(error) = producer
            .send_raw(task.clone(), SendOptions::new().id(id.clone()))
            .await
        {
            tries += 1;
            anyhow::ensure!(tries < 30, "{error}");
            let mut availability = producer.availability();
            availability.wait_for(Availability::is_available).await?;
        }
    }
    Ok(())
}

pub(crate) async fn wait_for_successes(store: &dyn Store, at_least: i64) -> anyhow::Result<()> {
    let mut there = 0;
    let many = eventually("so many successes", PATIENCE, async || {
        there = successes(store).await?;
        Ok((there >= at_least).then_some(()))
    });
    many.await
        .map_err(|error| error.context(format!("{there} of {at_least}")))
}

/// How many tasks have succeeded.
pub(crate) async fn successes(store: &dyn Store) -> anyhow::Result<i64> {
    let counts = store.counts_by_state(None).await?;
    let mut counts = counts.iter();
    let there = counts.find(|count| count.state == TaskState::Success);
    Ok(there.map_or(0, |count| count.tasks))
}

/// Nothing is anywhere but in its row.
pub(crate) async fn assert_nothing_is_set_aside(store: &dyn Store) -> anyhow::Result<()> {
    let dead = store
        .dead(&DeadFilter {
            limit: 5,
            ..DeadFilter::default()
        })
        .await?;
    let parked = store
        .parked(&ParkedFilter {
            limit: 5,
            ..ParkedFilter::default()
        })
        .await?;
    anyhow::ensure!(
        dead.is_empty() && parked.is_empty(),
        "dead {dead:?}, parked {parked:?}"
    );
    Ok(())
}

#[tokio::test]
async fn restarts_of_broker_and_database_lose_none_of_5000_tasks() -> anyhow::Result<()> {
    let (mut rabbit, mut postgres) = (RabbitNode::start().await?, PostgresNode::start().await?);
    let database = Database::of(&postgres).await?;
    let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
    let mut processes = [platform.daemon()?, platform.worker()?, platform.worker()?];
    let store = platform.store().await?;
    let sending = tokio::spawn(send_all(platform.producer()?, TASKS));

    wait_for_successes(&*store, 500).await?;
    rabbit.kill9().await?;
    rabbit.restart().await?;
    wait_for_successes(&*store, 1_500).await?;
    postgres.stop_immediate().await?;
    // Long enough for tasks to pile up in front of the daemon.
    tokio::time::sleep(Duration::from_secs(3)).await;
    postgres.restart().await?;

    sending.await??;
    let all = i64::try_from(TASKS)?;
    let ended = wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
    processes.iter_mut().try_for_each(Process::assert_running)?;
    ended?;
    assert_nothing_is_set_aside(&*store).await
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_loses_none_of_5000_tasks() -> anyhow::Result<()> {
    let (rabbit, postgres) = (RabbitNode::start().await?, PostgresNode::start().await?);
    let database = Database::of(&postgres).await?;
    let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
    let (mut daemon, victim, mut survivor) =
        (platform.daemon()?, platform.worker()?, platform.worker()?);
    let store = platform.store().await?;
    let sending = tokio::spawn(send_all(platform.producer()?, TASKS));

    wait_for_successes(&*store, 1_000).await?;
    victim.kill9()?;
    sending.await??;
    let all = i64::try_from(TASKS)?;
    let ended = wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
    daemon.assert_running()?;
    survivor.assert_running()?;
    ended?;
    assert_nothing_is_set_aside(&*store).await?;
    let starts = platform.starts()?;
    let again = starts.values().filter(|n| **n > 1).count();
    anyhow::ensure!(starts.len() == TASKS, "{} tasks started", starts.len());
    // Only what the victim held, at most its prefetch per queue, ran twice.
    anyhow::ensure!(again <= 3 * 64, "{again} tasks ran more than once");
    let code = survivor.terminate().await.context("a clean stop")?;
    assert_eq!(code, 0);
    Ok(())
}
