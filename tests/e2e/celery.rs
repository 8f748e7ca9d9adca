//! A real Celery producer and a real Celery worker, unmodified but for their settings.

mod callers;
mod database;
mod events;
mod forms;
mod guide;
pub(crate) mod integration;
mod mixed;
mod names;
mod producers;
mod relayed;
mod remote;
mod told;
mod traces;
mod wide;
mod worker;

use crate::platform::{self, PATIENCE, Platform, Process, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::{ParkedFilter, Store};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::{ServiceName, TaskState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Python with Celery, in the folder of its programs.
fn python(amqp_url: &str) -> anyhow::Result<Command> {
    let python = std::env::var("COUNTERFOIL_TEST_PYTHON")
        .context("COUNTERFOIL_TEST_PYTHON: run this through tests/run")?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command
        .current_dir(here.join("e2e/celery"))
        .env("AMQP_URL", amqp_url)
        // The settings module, as an application has it beside itself.
        .env("PYTHONPATH", here.join("../deploy/python"))
        // Nothing is to appear beside the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// A Celery worker of this app, which notes in the file `results` what it ran. Its log goes to `folder`.
fn celery_worker(
    app: &str,
    amqp_url: &str,
    folder: &Path,
    results: &Path,
) -> anyhow::Result<Process> {
    let mut command = celery_command(app, amqp_url)?;
    command.env("RESULTS", results);
    Process::start(command, folder.join("celery.log"))
}

fn celery_command(app: &str, amqp_url: &str) -> anyhow::Result<Command> {
    let mut command = python(amqp_url)?;
    command
        .args(["-m", "celery", "-A", app, "worker"])
        // Alone in its process (`--pool solo`), Celery acknowledges a task up to seconds after it is done.
        .args(["--concurrency", "1"])
        .args(["--without-gossip", "--without-mingle"])
        .args(["--without-heartbeat", "--loglevel", "info"])
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs `celery/send.py` and returns the ids that it sent, by kind.
fn send(amqp_url: &str, which: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let output = python(amqp_url)?.arg("send.py").arg(which).output()?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

async fn input_of(store: &dyn Store, id: &str) -> anyhow::Result<Value> {
    let row = eventually("a row with its input", PATIENCE, async || {
        Ok(store.task(id).await?.filter(|row| row.input.is_some()))
    });
    Ok(serde_json::to_value(row.await?.input)?)
}

async fn result_of(store: &dyn Store, id: &str) -> anyhow::Result<Value> {
    let result = store.result(&id.parse()?, 0).await?.context("a result")?;
    Ok(serde_json::to_value(result.result)?)
}

#[tokio::test]
async fn whatever_celery_sends_is_mirrored_as_sent_and_ends_as_it_should() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let store = platform.store().await?;

    // Nobody reads yet: both copies of this one expire at the broker.
    let early = send(&vhost.amqp_url(), "early")?;
    eventually("the tracking copy to expire", PATIENCE, async || {
        Ok((vhost.depth("platform.expired").await?.ready == 1).then_some(()))
    })
    .await?;
    let late = send(&vhost.amqp_url(), "late")?;
    let mut daemon = platform.daemon()?;
    let mut worker = platform.worker()?;

    for (kind, sum) in [
        ("by_position", 5),
        ("by_keyword", 9),
        ("mixed", 13),
        ("with_expires", 17),
    ] {
        let ended = wait_for_state(&*store, &late[kind], TaskState::Success, PATIENCE).await;
        if let Err(error) = ended {
            let parked = store.parked(&ParkedFilter::default()).await?;
            let (left, dead) = (
                vhost.depth("platform.fifo").await?,
                vhost.depth("demo.dead").await?,
            );
            let (daemon, worker) = (daemon.log_tail(), worker.log_tail());
            return Err(error.context(format!(
                "{kind}: {late:?}, parked {parked:?}, tracking {left:?}, dead {dead:?}\n{daemon}\n{worker}"
            )));
        }
        assert_eq!(result_of(&*store, &late[kind]).await?, json!(sum), "{kind}");
    }
    for (kind, input) in [
        ("by_position", json!({"args": [2, 3], "kwargs": {}})),
        (
            "by_keyword",
            json!({"args": [], "kwargs": {"x": 4, "y": 5}}),
        ),
        ("mixed", json!({"args": [6], "kwargs": {"y": 7}})),
        ("with_expires", json!({"args": [8, 9], "kwargs": {}})),
        (
            "wrong_argument",
            json!({"args": [], "kwargs": {"x": 1, "colour": "red"}}),
        ),
        ("unknown", json!({"args": ["a"], "kwargs": {"b": 1}})),
        (
            "no_service",
            json!({"args": [1], "kwargs": {"deep": {"list": [1, 2.5, null, "ü"]}}}),
        ),
    ] {
        assert_eq!(input_of(&*store, &late[kind]).await?, input, "{kind}");
    }
    for (kind, error, says) in [
        ("unknown", "unknown_task", "demo.no_such_task"),
        (
            "wrong_argument",
            "bad_arguments",
            "got an unexpected argument `colour`",
        ),
    ] {
        let row = wait_for_state(&*store, &late[kind], TaskState::Failure, PATIENCE)
            .await
            .context(kind)?;
        assert_eq!(row.error_kind.as_deref(), Some(error), "{kind}");
        assert!(
            row.error_message
                .as_deref()
                .is_some_and(|text| text.contains(says)),
            "{kind}: {:?}",
            row.error_message
        );
    }
    let expired =
        wait_for_state(&*store, &early["short_lived"], TaskState::Revoked, PATIENCE).await?;
    assert_eq!(expired.error_kind.as_deref(), Some("expired"));
    assert_eq!(
        input_of(&*store, &early["short_lived"]).await?,
        json!({"args": [1, 1], "kwargs": {}})
    );
    daemon.assert_running()?;
    worker.assert_running()
}

#[tokio::test]
async fn a_task_that_no_service_owns_waits_and_runs_once_when_its_service_appears()
-> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let store = platform.store().await?;
    let mut daemon = platform.daemon()?;
    let id = send(&vhost.amqp_url(), "late")?["no_service"].clone();
    let seen = wait_for_state(&*store, &id, TaskState::Unroutable, PATIENCE).await;
    daemon.assert_running()?;
    seen.with_context(|| daemon.log_tail())?;

    // The service appears: its queue, and a worker that knows the task.
    platform::apply(&platform.broker(), &[ServiceName::new("nobody")?]).await?;
    let ran = crate::listener::serve(&platform.broker(), "nobody.listens", 1).await?;
    assert_eq!(ran, [id.as_str()]);
    let row = wait_for_state(&*store, &id, TaskState::Success, PATIENCE).await?;
    assert_eq!(
        (row.rescue, row.executions),
        (1, 0),
        "sent again once by the platform"
    );
    assert_eq!(vhost.depth("nobody").await?.ready, 0);
    Ok(())
}
