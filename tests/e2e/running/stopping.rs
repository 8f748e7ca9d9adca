//! SIGTERM: what runs may finish, what waits goes back, and nothing runs twice.

use super::{PATIENCE, platform, send, until_started};
use crate::platform::wait_for_count;
use counterfoil_toolbox::TaskState;

/// Longer than any task of these tests takes.
const DRAIN: (&str, &str) = ("COUNTERFOIL_WORKER__DRAIN_TIMEOUT", "10s");

#[tokio::test]
async fn fifty_running_tasks_finish_once_when_their_worker_is_asked_to_stop() -> anyhow::Result<()>
{
    const TASKS: usize = 50;
    let (_vhost, _database, mut platform) = platform().await?;
    let (_daemon, worker) = (platform.daemon()?, platform.worker_with(&[DRAIN])?);
    let (store, producer) = (platform.store().await?, platform.producer()?);
    for _ in 0..TASKS {
        send(&producer, "demo.sleep", r#"{"seconds": 1}"#).await?;
    }
    until_started(&platform, TASKS).await?;
    assert_eq!(worker.terminate().await?, 0);
    let ends = platform.ends()?;
    assert_eq!(ends.len(), TASKS);
    assert!(ends.values().all(|n| *n == 1), "{ends:?}");
    assert_eq!(platform.starts()?, ends);
    wait_for_count(&*store, TaskState::Success, i64::try_from(TASKS)?, PATIENCE).await
}

#[tokio::test]
async fn over_twenty_rolling_restarts_every_task_runs_exactly_once() -> anyhow::Result<()> {
    const RESTARTS: usize = 20;
    const EACH: usize = 25;
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon()?;
    let mut worker = platform.worker_with(&[DRAIN])?;
    let (store, producer) = (platform.store().await?, platform.producer()?);
    for round in 1..=RESTARTS {
        for _ in 0..EACH {
            send(&producer, "demo.sleep", r#"{"seconds": 0.2}"#).await?;
        }
        // Some of them run, some wait.
        until_started(&platform, round * EACH - EACH / 2).await?;
        let next = platform.worker_with(&[DRAIN])?;
        assert_eq!(std::mem::replace(&mut worker, next).terminate().await?, 0);
    }
    let all = RESTARTS * EACH;
    wait_for_count(&*store, TaskState::Success, i64::try_from(all)?, PATIENCE).await?;
    let starts = platform.starts()?;
    assert_eq!(starts.len(), all);
    let again: Vec<_> = starts.iter().filter(|(_, n)| **n != 1).collect();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(platform.ends()?, starts);
    Ok(())
}
