//! Tasks that are acknowledged early: begun once while their worker lives, and once more when it does not.

use super::{PATIENCE, platform, send};
use crate::audit::assert_balanced;
use crate::platform::{Platform, Process, Step, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::record::{EventRow, TaskRow};
use counterfoil_testkit::{Vhost, eventually};
use counterfoil_toolbox::{TaskId, TaskState};
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(5);

const SETTINGS: [(&str, &str); 3] = [
    // A worker that is stopped is sent tasks until the broker notices.
    ("COUNTERFOIL_BROKER__HEARTBEAT", "1s"),
    ("COUNTERFOIL_WORKER__HEARTBEAT", "1s"),
    ("COUNTERFOIL_WORKER__LEASE", "5s"),
];

/// Two workers that promise a short lease.
fn workers(platform: &mut Platform) -> anyhow::Result<Vec<Process>> {
    (0..2).map(|_| platform.worker_with(&SETTINGS)).collect()
}

async fn send_long(platform: &Platform, seconds: u32) -> anyhow::Result<TaskId> {
    let kwargs = format!(r#"{{"seconds": {seconds}}}"#);
    send(&platform.producer()?, "demo.long", &kwargs).await
}

/// Its starts so far, once there are so many.
async fn started(platform: &Platform, id: &TaskId, times: usize) -> anyhow::Result<Vec<Step>> {
    let what = format!("{times} starts of {id}");
    eventually(&what, PATIENCE, async || {
        let mut steps = platform.steps()?;
        steps.retain(|it| it.step == "start" && it.task_id == id.as_str());
        Ok((steps.len() >= times).then_some(steps))
    })
    .await
}

async fn over(platform: &Platform, id: &TaskId) -> anyhow::Result<TaskRow> {
    let store = platform.store().await?;
    wait_for_state(&*store, id.as_str(), TaskState::Success, PATIENCE).await?;
    store.task(id.as_str()).await?.context("a row")
}

/// Waits until the broker has read the acknowledgement, and will not give the task to anybody by itself.
async fn taken_over(vhost: &Vhost) -> anyhow::Result<()> {
    eventually("the queue to hold nothing", PATIENCE, async || {
        let depth = vhost.depth("demo").await?;
        Ok((depth.ready + depth.unacked == 0).then_some(()))
    })
    .await
}

/// Takes the worker out of `workers` that began a task.
fn worker_of(workers: &mut Vec<Process>, start: &Step) -> anyhow::Result<Process> {
    let at = workers.iter().position(|worker| worker.pid() == start.pid);
    Ok(workers.remove(at.context("one of ours")?))
}

#[tokio::test]
async fn a_long_task_whose_worker_is_killed_or_stopped_runs_elsewhere_within_two_leases()
-> anyhow::Result<()> {
    let (vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon()?;
    let mut workers = workers(&mut platform)?;

    let killed = send_long(&platform, 5).await?;
    let start = started(&platform, &killed, 1).await?.remove(0);
    taken_over(&vhost).await?;
    worker_of(&mut workers, &start)?.kill9()?;
    let since = Instant::now();
    started(&platform, &killed, 2).await?;
    let after_kill = since.elapsed();
    let row = over(&platform, &killed).await?;
    assert_eq!(row.rescue, 1, "{row:#?}");

    workers.push(platform.worker_with(&SETTINGS)?);
    let stopped = send_long(&platform, 20).await?;
    let start = started(&platform, &stopped, 1).await?.remove(0);
    taken_over(&vhost).await?;
    let asleep = worker_of(&mut workers, &start)?;
    asleep.freeze()?;
    let since = Instant::now();
    started(&platform, &stopped, 2).await?;
    eprintln!("begun again after {after_kill:?} and {:?}", since.elapsed());
    // It goes on with what it had, and nobody asks it any more.
    asleep.thaw()?;

    let row = over(&platform, &stopped).await?;
    assert_eq!(row.rescue, 1, "{row:#?}");
    for id in [&killed, &stopped] {
        assert_eq!(started(&platform, id, 2).await?.len(), 2);
    }
    let store = platform.store().await?;
    let late = eventually("the one that woke up to be done", PATIENCE, async || {
        let history = store.history(&stopped).await?;
        let of_first = |it: &EventRow| it.kind == TaskState::Success && it.rescue == 0;
        Ok(history.into_iter().find(of_first))
    });
    late.await?;
    let row = over(&platform, &stopped).await?;
    assert_eq!((row.state, row.rescue), (TaskState::Success, 1));
    assert_balanced(&platform).await
}

#[tokio::test]
async fn a_short_task_whose_worker_is_killed_is_given_to_another_once_by_the_broker()
-> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _daemon = platform.daemon()?;
    let mut workers = workers(&mut platform)?;
    let id = send(&platform.producer()?, "demo.sleep", r#"{"seconds": 3}"#).await?;
    let start = started(&platform, &id, 1).await?.remove(0);
    worker_of(&mut workers, &start)?.kill9()?;
    let row = over(&platform, &id).await?;
    assert_eq!((row.rescue, row.deliveries), (0, 1), "{row:#?}");
    assert_eq!(started(&platform, &id, 2).await?.len(), 2);
    assert_balanced(&platform).await
}

mod own_nodes {
    use super::*;
    use counterfoil_testkit::{Broker, Database, PostgresNode};

    #[tokio::test]
    async fn a_long_task_runs_once_though_the_database_is_away_for_four_leases()
    -> anyhow::Result<()> {
        let (vhost, mut postgres) = (
            Broker::shared().await?.vhost().await?,
            PostgresNode::start().await?,
        );
        let database = Database::of(&postgres).await?;
        let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
        let _daemon = platform.daemon()?;
        let _workers = workers(&mut platform)?;
        let id = send_long(&platform, 60).await?;
        started(&platform, &id, 1).await?;
        wait_for_state(
            &*platform.store().await?,
            id.as_str(),
            TaskState::Started,
            PATIENCE,
        )
        .await?;
        postgres.stop_immediate().await?;
        // Nothing tells that no lease is taken for lost meanwhile: the time has to pass.
        tokio::time::sleep(LEASE * 4).await;
        postgres.restart().await?;
        let row = over(&platform, &id).await?;
        assert_eq!((row.rescue, row.lease_until), (0, None));
        assert_eq!(started(&platform, &id, 1).await?.len(), 1);
        assert_balanced(&platform).await
    }
}
