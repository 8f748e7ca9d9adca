//! Cancelling, pausing and stopping from the command line, with real processes that come and go.

use crate::platform::{PATIENCE, Platform, Process, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::Store;
use counterfoil_testkit::{Broker, Database, Vhost, eventually};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{TaskId, TaskState};
use serde_json::Value;
use std::time::Duration;

/// One handler at a time, so that others wait.
const ONE_AT_A_TIME: [(&str, &str); 2] = [
    ("COUNTERFOIL_WORKER__CONCURRENCY", "1"),
    ("COUNTERFOIL_WORKER__HEARTBEAT", "1s"),
];

/// Time in which something would have happened that must not.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

struct Site {
    platform: Platform,
    /// Goes last.
    _servers: (Vhost, Database),
}

impl Site {
    async fn new() -> anyhow::Result<Self> {
        let vhost = Broker::shared().await?.vhost().await?;
        let database = Database::fresh().await?;
        Ok(Self {
            platform: Platform::init(&vhost.amqp_url(), database.url())?,
            _servers: (vhost, database),
        })
    }

    /// The documents that the command prints.
    fn json(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let text = self.platform.said(&[arguments, &["--json"]].concat())?;
        text.lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    fn worker(&mut self) -> anyhow::Result<Process> {
        self.platform.worker_with(&ONE_AT_A_TIME)
    }

    /// How often the task was started.
    fn starts(&self, id: &str) -> anyhow::Result<usize> {
        Ok(self.platform.starts()?.get(id).copied().unwrap_or(0))
    }
}

async fn until(store: &dyn Store, id: &str, state: TaskState) -> anyhow::Result<()> {
    wait_for_state(store, id, state, PATIENCE).await.map(drop)
}

#[tokio::test]
async fn a_cancelled_task_never_starts_though_all_processes_are_started_anew() -> anyhow::Result<()>
{
    let mut site = Site::new().await?;
    let (daemon, worker) = (site.platform.daemon()?, site.worker()?);
    let store = site.platform.store().await?;
    let running = site
        .platform
        .said(&["send", "demo.sleep", r#"{"seconds": 600}"#])?;
    until(&*store, &running, TaskState::Started).await?;
    // They wait behind it, taken by the worker or not.
    let waiting = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 1, "y": 1}"#])?;
    let delayed = site.platform.said(&[
        "send",
        "demo.add",
        r#"{"x": 1, "y": 1}"#,
        "--countdown",
        "15s",
    ])?;
    let held = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 1, "y": 1}"#])?;
    for id in [&waiting, &delayed, &held] {
        let known = async || Ok(store.task(id).await?);
        eventually("the task to be mirrored", PATIENCE, known).await?;
    }
    site.platform.said(&["task", "pause", &held])?;
    site.platform
        .said(&["task", "cancel", &waiting, &delayed])?;
    for id in [&waiting, &delayed] {
        let row = store.task(id).await?.context("the row")?;
        assert_eq!(row.state, TaskState::Revoked, "at once");
    }
    // The worker dies with what it had; nobody is left who has heard of it.
    worker.kill9()?;
    daemon.terminate().await?;
    let (_daemon, mut worker) = (site.platform.daemon()?, site.worker()?);

    // The running one comes back, and is cancelled while it runs.
    eventually("it to start again", PATIENCE, async || {
        Ok((site.starts(&running)? == 2).then_some(()))
    })
    .await?;
    site.platform.said(&["task", "cancel", &running])?;
    until(&*store, &running, TaskState::Revoked).await?;
    // A worker has met the others by now, or when they were due.
    for id in [&waiting, &delayed] {
        eventually("a worker to refuse it", PATIENCE, async || {
            let row = store.task(id).await?;
            Ok(row.filter(|row| row.worker.is_some()))
        })
        .await?;
        until(&*store, id, TaskState::Revoked).await?;
        assert_eq!(site.starts(id)?, 0);
    }
    let after = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 2, "y": 2}"#])?;
    until(&*store, &after, TaskState::Success).await?;
    worker.assert_running()?;
    assert_eq!(site.starts(&held)?, 0);
    assert!(store.task(&held).await?.context("the row")?.held);
    site.platform.said(&["task", "resume", &held])?;
    until(&*store, &held, TaskState::Success).await?;
    let row = store.task(&held).await?.context("the row")?;
    assert_eq!((row.executions, site.starts(&held)?), (0, 1));
    Ok(())
}

/// By filter and by family, while no worker is there to hear of it.
#[tokio::test]
async fn what_is_cancelled_while_no_worker_runs_never_starts() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let _daemon = site.platform.daemon()?;
    let store = site.platform.store().await?;
    let parent = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 1, "y": 1}"#])?;
    let child = {
        let id = TaskId::new(&parent)?;
        let task = RawTask {
            name: TaskName::new("demo.add")?,
            args: "[1, 1]".to_owned(),
            kwargs: "{}".to_owned(),
        };
        let options = SendOptions::new().child_of(id.clone(), id);
        let sent = site.platform.producer()?.send_raw(task, options).await;
        sent?.to_string()
    };
    let send = |creator: &str| {
        site.platform.said(&[
            "send",
            "demo.add",
            r#"{"x": 1, "y": 1}"#,
            "--creator",
            creator,
        ])
    };
    let (of_ana, of_eve) = ([send("ana")?, send("ana")?], send("eve")?);
    let all = [&parent, &child, &of_ana[0], &of_ana[1], &of_eve];
    for id in all {
        let known = async || Ok(store.task(id).await?);
        eventually("the task to be mirrored", PATIENCE, known).await?;
    }
    site.platform
        .said(&["task", "cancel", &parent, "--family"])?;
    site.platform
        .said(&["task", "cancel", "--creator", "ana"])?;
    let _worker = site.worker()?;
    until(&*store, &of_eve, TaskState::Success).await?;
    for id in [&parent, &child, &of_ana[0], &of_ana[1]] {
        eventually("the worker to refuse it", PATIENCE, async || {
            let row = store.task(id).await?;
            Ok(row.filter(|row| row.worker.is_some()))
        })
        .await?;
        until(&*store, id, TaskState::Revoked).await?;
        assert_eq!(site.starts(id)?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_paused_service_starts_until_it_is_resumed() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let (_daemon, worker) = (site.platform.daemon()?, site.worker()?);
    let store = site.platform.store().await?;
    let first = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 1, "y": 1}"#])?;
    until(&*store, &first, TaskState::Success).await?;
    site.platform.said(&["pause", "demo"])?;
    eventually("the worker to say so", PATIENCE, async || {
        let workers = site.json(&["workers"])?;
        let paused = |worker: &Value| worker["paused"] == serde_json::json!(["demo"]);
        Ok(workers.iter().any(paused).then_some(()))
    })
    .await?;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(
            site.platform
                .said(&["send", "demo.add", r#"{"x": 1, "y": 1}"#])?,
        );
    }
    assert_eq!(worker.terminate().await?, 0);
    let _worker = site.worker()?;
    // Its other services go on.
    let other = site.platform.said(&[
        "send",
        "harvest.resource",
        r#"{"resource": "r"}"#,
        "--unvalidated",
    ])?;
    let is_over = async || {
        let row = store.task(&other).await?;
        Ok(row.filter(|row| row.state.is_terminal()))
    };
    eventually("a task of another service to be over", PATIENCE, is_over).await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    for id in &waiting {
        assert_eq!(site.starts(id)?, 0);
    }
    let queues = site.json(&["queues"])?;
    let demo = queues.iter().find(|line| line["queue"] == "demo");
    let demo = demo.context("the queue")?;
    assert_eq!((&demo["ready"], &demo["paused"]), (&5.into(), &true.into()));
    site.platform.said(&["resume", "demo"])?;
    for id in &waiting {
        until(&*store, id, TaskState::Success).await?;
        assert_eq!(site.starts(id)?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_is_quiet_and_then_ends_because_somebody_asked_it_to() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let (_daemon, mut worker) = (site.platform.daemon()?, site.worker()?);
    let store = site.platform.store().await?;
    let running = site
        .platform
        .said(&["send", "demo.sleep", r#"{"seconds": 6}"#])?;
    until(&*store, &running, TaskState::Started).await?;
    let known = async || {
        let workers = site.json(&["workers"])?;
        Ok(workers.into_iter().next())
    };
    let line = eventually("the worker to be heard of", PATIENCE, known).await?;
    let id = line["id"].as_str().context("an id")?.to_owned();
    site.platform.said(&["workers", "quiet", &id])?;
    let phase = async |phase: &str| {
        eventually(phase, PATIENCE, async || {
            let workers = site.json(&["workers"])?;
            Ok((workers[0]["phase"] == phase).then_some(()))
        })
        .await
    };
    phase("quiet").await?;
    let waiting = site
        .platform
        .said(&["send", "demo.add", r#"{"x": 1, "y": 1}"#])?;
    until(&*store, &running, TaskState::Success).await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    worker.assert_running()?;
    assert_eq!(site.starts(&waiting)?, 0);
    site.platform.said(&["workers", "stop", &id])?;
    assert_eq!(worker.end().await?, 0);
    phase("stopped").await?;
    assert!(
        !site
            .platform
            .cli(&["workers", "stop", &id])?
            .status
            .success()
    );
    let _next = site.worker()?;
    until(&*store, &waiting, TaskState::Success).await
}
