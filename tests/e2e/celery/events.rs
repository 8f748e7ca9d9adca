//! What a worker of ours tells Celery's monitors, heard by Celery's own.

mod flower;
mod sent;

use super::callers::{Both, worker};
use super::{python, result_of};
use crate::platform::{self, PATIENCE, Platform, Process, wait_for_state};
use anyhow::{Context as _, ensure};
use counterfoil_celery::Celery;
use counterfoil_testkit::{Broker, Database, Depth, Permissions, Vhost, eventually};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, ServiceName, TaskState};
use counterfoil_worker::{Exit, Stopper};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::task::JoinHandle;

/// Ids of the tasks of `lives.py`, by what becomes of them.
type Lives = BTreeMap<String, String>;

fn send_lives(amqp_url: &str, service: &str) -> anyhow::Result<Lives> {
    let sent = python(amqp_url)?.args(["lives.py", service]).output()?;
    let said = String::from_utf8_lossy(&sent.stderr);
    ensure!(sent.status.success(), "{said}");
    Ok(serde_json::from_slice(&sent.stdout)?)
}

/// A program that hears events, and what it prints of them.
struct Monitor {
    process: Process,
    log: std::path::PathBuf,
}

impl Monitor {
    fn start(mut command: Command, folder: &Path, name: &str) -> anyhow::Result<Self> {
        let log = folder.join(name);
        command.stdin(Stdio::null());
        let process = Process::start(command, log.clone())?;
        Ok(Self { process, log })
    }

    /// `monitor.py`, far away from here.
    async fn of_lines(amqp_url: &str, folder: &Path) -> anyhow::Result<Self> {
        let mut command = python(amqp_url)?;
        command.arg("monitor.py").env("TZ", "Asia/Tokyo");
        let mut monitor = Self::start(command, folder, "monitor.log")?;
        monitor.hears("worker-heartbeat").await?;
        Ok(monitor)
    }

    /// `celery events --dump`.
    async fn of_celery(amqp_url: &str, folder: &Path) -> anyhow::Result<Self> {
        let mut command = python(amqp_url)?;
        command.args(["-m", "celery", "-A", "calc", "events", "--dump"]);
        let mut monitor = Self::start(command, folder, "dump.log")?;
        monitor.hears(" heartbeat: ").await?;
        Ok(monitor)
    }

    fn text(&self) -> anyhow::Result<String> {
        let text = std::fs::read_to_string(&self.log)?;
        // A line that is being written is for the next look.
        Ok(text[..text.rfind('\n').unwrap_or(0)].to_owned())
    }

    /// Waits until it has printed this.
    async fn hears(&mut self, text: &str) -> anyhow::Result<()> {
        let heard = eventually(text, PATIENCE, async || {
            self.process.assert_running()?;
            Ok(self.text()?.contains(text).then_some(()))
        });
        heard.await.with_context(|| self.process.log_tail())
    }

    fn lines(&self) -> anyhow::Result<Vec<Value>> {
        let read = |line: &str| serde_json::from_str(line).context(line.to_owned());
        self.text()?.lines().map(read).collect()
    }

    /// Events of one task, in their order.
    fn of_task(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        let mut lines = self.lines()?;
        lines.retain(|line| line["event"]["uuid"] == id);
        Ok(lines)
    }

    /// Waits until every one of these tasks is over.
    async fn hears_ends(&mut self, lives: &Lives) -> anyhow::Result<()> {
        let heard = eventually("the ends of all tasks", PATIENCE, async || {
            self.process.assert_running()?;
            for (case, id) in lives {
                let last = match case.as_str() {
                    "fails" => "task-failed",
                    "is rejected" => "task-rejected",
                    "is revoked" => "task-revoked",
                    _ => "task-succeeded",
                };
                let events = self.of_task(id)?;
                if !events.iter().any(|line| line["event"]["type"] == last) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        });
        heard.await.with_context(|| self.process.log_tail())
    }
}

/// A broker with a worker of ours on it.
struct Ours {
    vhost: Vhost,
    broker: BrokerSettings,
    folder: tempfile::TempDir,
    ended: JoinHandle<Exit>,
    stopper: Stopper,
}

impl Ours {
    async fn start() -> anyhow::Result<Self> {
        Self::start_on(Broker::shared().await?.vhost().await?, Permissions::ALL).await
    }

    /// As a user with these permissions.
    async fn start_on(vhost: Vhost, permissions: Permissions<'_>) -> anyhow::Result<Self> {
        let user = vhost.user(permissions).await?;
        let of = |url: String| BrokerSettings {
            urls: vec![url.into()],
            ..BrokerSettings::default()
        };
        let broker = of(vhost.amqp_url());
        platform::apply(&broker, &[ServiceName::new("calc")?]).await?;
        let celery = Celery::new(&broker.names()?).task_events().sent_events();
        let worker = worker(&of(user.amqp_url), celery)?;
        Ok(Self {
            stopper: worker.stopper(),
            ended: tokio::spawn(worker.run_until(std::future::pending())),
            folder: tempfile::tempdir()?,
            vhost,
            broker,
        })
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.stopper.drain();
        ensure!((&mut self.ended).await? == Exit::Drained);
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.vhost.close().await
    }
}

/// An event without what differs between workers and times. Celery calls a task that it retries a child of itself, and
/// its errors have tracebacks of Python.
fn comparable(line: &Value, service: &str) -> Value {
    let mut event = line["event"].clone();
    let id = event["uuid"].clone();
    let fields = event.as_object_mut().expect("fields");
    for own in [
        "hostname",
        "utcoffset",
        "pid",
        "clock",
        "timestamp",
        "local_received",
    ] {
        fields.remove(own);
    }
    for (name, value) in fields {
        let text = value.as_str().map(str::to_owned);
        match name.as_str() {
            "uuid" | "root_id" | "parent_id" if *value == id => *value = "itself".into(),
            "runtime" => *value = value.is_f64().into(),
            "eta" | "expires" => *value = value.is_string().into(),
            "traceback" => *value = "a traceback".into(),
            "name" => {
                let name = text.unwrap_or_default();
                *value = name.replace(&format!("{service}."), "").into();
            }
            _ => {}
        }
        if name == "parent_id" {
            *value = Value::Null;
        }
    }
    event
}

fn life_of(monitor: &Monitor, id: &str, service: &str) -> anyhow::Result<Vec<Value>> {
    let lines = monitor.of_task(id)?;
    Ok(lines.iter().map(|line| comparable(line, service)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn celery_events_shows_the_lives_of_our_tasks_as_it_shows_those_of_a_python_worker()
-> anyhow::Result<()> {
    let both = Both::start_with(&["--task-events", "--pool=prefork"], Celery::task_events).await?;
    let (amqp_url, folder) = (both.vhost.amqp_url(), both.folder.path());
    let mut monitor = Monitor::of_lines(&amqp_url, folder).await?;
    let mut dump = Monitor::of_celery(&amqp_url, folder).await?;
    let theirs = send_lives(&amqp_url, "pycalc")?;
    let ours = send_lives(&amqp_url, "calc")?;
    for lives in [&theirs, &ours] {
        monitor.hears_ends(lives).await?;
    }
    for case in theirs.keys() {
        let mut wanted = life_of(&monitor, &theirs[case], "pycalc")?;
        let found = life_of(&monitor, &ours[case], "calc")?;
        if case == "is revoked" {
            // That they got it, too, ours tell of such a task: nobody knows its name otherwise.
            ensure!(found[0]["type"] == "task-received", "{found:#?}");
            wanted.insert(0, found[0].clone());
        }
        if case == "is retried" {
            // Celery prints the arguments anew, whatever the sender said; ours keep that.
            assert_eq!(wanted[3]["args"], "(1,)");
            wanted[3]["args"] = wanted[0]["args"].clone();
        }
        assert_eq!(json!(found), json!(wanted), "{case}");
    }
    // The same in words.
    let added = &ours["succeeds"];
    let succeeded = format!("task succeeded: calc.add({added}) args=[2, 3] kwargs={{}} ");
    dump.hears(&succeeded).await?;
    let text = dump.text()?;
    for what in ["received", "started", "succeeded"] {
        let line = format!("task {what}: calc.add({added})");
        ensure!(text.contains(&line), "{line}: {text}");
    }
    both.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn celery_knows_from_our_events_that_a_worker_lives_and_how_its_tasks_are()
-> anyhow::Result<()> {
    let mut ours = Ours::start().await?;
    let (amqp_url, folder) = (ours.vhost.amqp_url(), ours.folder.path());
    let mut monitor = Monitor::of_lines(&amqp_url, folder).await?;
    let lives = send_lives(&amqp_url, "calc")?;
    monitor.hears_ends(&lives).await?;
    let mut ends = BTreeMap::new();
    for (case, id) in &lives {
        let last = monitor.of_task(id)?.pop().context("its last event")?;
        ensure!(last["worker"]["alive"] == true, "{last:#}");
        let age = chrono::Utc::now().timestamp() as f64
            - last["event"]["timestamp"].as_f64().context("a time")?;
        ensure!(
            age.abs() < 600.0,
            "its time is off by {age} s, as those of other zones are"
        );
        ends.insert(case.as_str(), last["task"].clone());
    }
    let states = ends
        .iter()
        .map(|(case, task)| (*case, task["state"].clone()));
    assert_eq!(
        json!(states.collect::<BTreeMap<_, _>>()),
        json!({
            "fails": "FAILURE", "has secrets": "SUCCESS", "is rejected": "FAILURE", "is retried": "SUCCESS",
            "is revoked": "REVOKED", "prints much": "SUCCESS", "succeeds": "SUCCESS",
        })
    );
    let added = &ends["succeeds"];
    assert_eq!(
        (&added["name"], &added["args"], &added["result"]),
        (&json!("calc.add"), &json!("[2, 3]"), &json!("5"))
    );
    ensure!(
        added["runtime"]
            .as_f64()
            .is_some_and(|runtime| runtime < 60.0),
        "{added:#}"
    );
    ensure!(
        added["worker"]
            .as_str()
            .is_some_and(|worker| worker.starts_with("calc@")),
        "{added:#}"
    );
    ours.stop().await?;
    monitor.hears("worker-offline").await?;
    let lines = monitor.lines()?;
    let last = lines.last().context("a line")?;
    assert_eq!(
        (&last["event"]["type"], &last["worker"]["alive"]),
        (&json!("worker-offline"), &json!(false))
    );
    // Seven tasks, of which one was begun twice and one never.
    assert_eq!(last["worker"]["processed"], 7, "{last:#}");
    ours.vhost.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_our_workers_tell_monitors_is_not_told_to_the_platform_once_more() -> anyhow::Result<()>
{
    let ours = Ours::start().await?;
    let (amqp_url, database) = (ours.vhost.amqp_url(), Database::fresh().await?);
    let mut platform = Platform::init(&amqp_url, database.url())?;
    let store = platform.store().await?;
    let lives = send_lives(&amqp_url, "calc")?;
    // All of it waits for the daemon by then.
    let ended = eventually(
        "the worker to tell monitors of the last end",
        PATIENCE,
        async || {
            let depth = ours.vhost.depth("platform.celeryev").await?;
            Ok(
                (ours.vhost.depth("calc").await? == Depth::default() && depth.ready > 20)
                    .then_some(()),
            )
        },
    );
    ended.await?;
    let heeds = [("COUNTERFOIL_SYNC__CELERY_SERVICES", "calc")];
    let mut daemon = platform.daemon_with(&heeds)?;
    for (case, id) in &lives {
        let state = match case.as_str() {
            "fails" | "is rejected" => TaskState::Failure,
            "is revoked" => TaskState::Revoked,
            _ => TaskState::Success,
        };
        let row = wait_for_state(&*store, id, state, PATIENCE).await;
        row.with_context(|| format!("{case}\n{}", daemon.log_tail()))?;
    }
    eventually("the daemon to read what is left", PATIENCE, async || {
        // One sign of life more is on its way at any time.
        Ok((ours.vhost.depth("platform.celeryev").await?.ready <= 1).then_some(()))
    })
    .await?;
    assert_eq!(result_of(&*store, &lives["succeeds"]).await?, json!(5));
    for (case, id) in &lives {
        let history = store.history(&id.parse()?).await?;
        let mut lines: Vec<_> = history
            .iter()
            .map(|line| (line.lineage(), line.kind))
            .collect();
        let all = lines.len();
        lines.sort_by_key(|(lineage, kind)| format!("{lineage:?} {kind}"));
        lines.dedup();
        assert_eq!(lines.len(), all, "{case}: {history:#?}");
    }
    ensure!(store.parked(&Default::default()).await?.is_empty());
    daemon.assert_running()?;
    daemon.terminate().await?;
    store.close().await;
    database.close().await?;
    ours.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_tell_monitors_works_all_the_same() -> anyhow::Result<()> {
    let without = Permissions {
        configure: "^$",
        write: "^(task_exchange|task_events|task_heartbeats|celery_delayed_27)$",
        read: ".*",
    };
    let vhost = Broker::shared().await?.vhost().await?;
    let ours = Ours::start_on(vhost, without).await?;
    let transport = AmqpTransport::new(&ours.broker)?;
    let producer = Producer::listening(transport, ours.broker.names()?, "shop").await?;
    for _ in 0..3 {
        let task = RawTask {
            name: "calc.add".parse()?,
            args: "[20, 22]".to_owned(),
            kwargs: "{}".to_owned(),
        };
        let mut sent = producer.send_raw_awaited(task, SendOptions::new()).await?;
        assert_eq!(sent.result(PATIENCE).await?.get(), "42");
    }
    assert_eq!(ours.vhost.depth("platform.celeryev").await?.ready, 0);
    ours.end().await
}
