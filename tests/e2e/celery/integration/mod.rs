//! Celery's own integration tests, unmodified, against a worker of ours with the tasks that they define.

mod call;
mod canvas;
mod echo;
mod names;
mod request;
mod tasks;

use super::python;
use crate::platform::{self, Platform};
use anyhow::{Context as _, ensure};
use counterfoil_celery::Celery;
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::config::{BrokerSettings, QueueOverride, WorkerSettings};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::QueueKind;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_worker::{Exit, Worker, WorkerBuilder};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Handlers that run at the same time: some tests fill the worker with sleeping ones.
const CONCURRENCY: u16 = 1;

/// With the name of the node that the tests expect: that of their own process.
fn worker(
    transport: Arc<dyn Transport>,
    broker: &BrokerSettings,
    tests: &str,
) -> anyhow::Result<Worker> {
    let (names, queue) = (broker.names()?, QueueName::new("celery")?);
    let settings = WorkerSettings {
        concurrency: CONCURRENCY,
        // What expires in a queue of Celery's is gone without a word; a worker has to have it.
        prefetch: Some(8),
        queues: vec![queue.clone()],
        ..WorkerSettings::default()
    };
    let celery = Celery::new(&names)
        .default_queue(queue)
        .node_name(&format!("gen{tests}@%h"));
    let worker = Worker::builder(transport, names, settings).broker(broker);
    let worker = worker.extension(celery);
    Ok(with_tasks(worker).build()?)
}

/// With all tasks that the tests define.
fn with_tasks(worker: WorkerBuilder) -> WorkerBuilder {
    request::join(echo::join(canvas::join(tasks::join(worker))))
}

/// The folder of Celery's tests.
fn sources() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("COUNTERFOIL_TEST_CELERY_SOURCES")
        .context("COUNTERFOIL_TEST_CELERY_SOURCES: run this through tests/run")?;
    Ok(PathBuf::from(folder))
}

/// Where callers look for results.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Backend {
    Rpc,
    /// That of a platform, whose daemon writes them.
    Database,
}

/// Their folder with settings of ours, by which tasks go over the exchange where the platform learns of them: it tells
/// nobody of others.
fn with_settings(folder: &Path) -> anyhow::Result<PathBuf> {
    let (theirs, ours) = (sources()?, folder.join("tests"));
    std::fs::create_dir(&ours)?;
    for name in ["t", "pyproject.toml"] {
        std::os::unix::fs::symlink(theirs.join(name), ours.join(name))?;
    }
    let settings = serde_json::json!({
        "task_default_exchange": "task_exchange",
        "task_default_exchange_type": "topic",
    });
    std::fs::write(
        ours.join("integration-tests-config.json"),
        settings.to_string(),
    )?;
    Ok(ours)
}

/// Runs tests, and returns what they print.
pub(crate) async fn run(arguments: &[&str], backend: Backend) -> anyhow::Result<String> {
    let vhost = Broker::shared().await?.vhost().await?;
    let folder = tempfile::tempdir()?;
    let (_platform, backend, current) = match backend {
        Backend::Rpc => (None, "rpc".to_owned(), sources()?),
        Backend::Database => {
            let database = Database::fresh().await?;
            let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
            let daemon = platform.daemon_with(&[("COUNTERFOIL_SYNC__CELERY_RESULTS", "json")])?;
            let backend = format!("db+{}", database.url());
            let current = with_settings(folder.path())?;
            (Some((platform, database, daemon)), backend, current)
        }
    };
    let celery = ServiceName::new("celery")?;
    let mut broker = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    // As Celery declares its default queue.
    let kind = Some(QueueKind::Classic);
    broker.queues.insert(
        celery.clone(),
        QueueOverride {
            kind,
            ..QueueOverride::default()
        },
    );
    platform::apply(&broker, &[celery]).await?;
    let [pid, ready] = ["pid", "ready"].map(|name| folder.path().join(name));
    let printed = folder.path().join("printed");
    let log = std::fs::File::create(&printed)?;
    let mut tests = python(&vhost.amqp_url())?;
    tests
        .current_dir(current)
        .args([
            "-m",
            "pytest",
            "-q",
            "-rfE",
            "--timeout",
            "120",
            "-p",
            "no:cacheprovider",
        ])
        .args([
            "-p",
            "no:rerunfailures",
            "-p",
            "celery.contrib.pytest",
            "-p",
            "plugin",
        ])
        .args(arguments)
        .env(
            "PYTHONPATH",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/celery/integration"),
        )
        .env("TEST_BROKER", vhost.amqp_url())
        .env("TEST_BACKEND", &backend)
        .env("TESTS_PID", &pid)
        .env("WORKER_IS_READY", &ready)
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut tests = tokio::process::Command::from(tests);
    let running = tokio::spawn(tests.kill_on_drop(true).status());
    let started = eventually("pytest to want a worker", platform::PATIENCE, async || {
        let tests = std::fs::read_to_string(&pid).unwrap_or_default();
        Ok((running.is_finished() || !tests.is_empty()).then_some(tests))
    });
    let tests = started.await?;
    ensure!(!tests.is_empty(), "{}", std::fs::read_to_string(&printed)?);
    let worker = worker(AmqpTransport::new(&broker)?, &broker, &tests)?;
    let stopper = worker.stopper();
    let working = tokio::spawn(worker.run_until(std::future::pending()));
    std::fs::write(&ready, "")?;
    let ended = tokio::time::timeout(PATIENCE, running).await???;
    let said = std::fs::read_to_string(&printed)?;
    stopper.drain();
    ensure!(working.await? == Exit::Drained, "{said}");
    ensure!(ended.success(), "{said}");
    vhost.close().await?;
    Ok(said)
}

/// What looks into the process of the worker, which is not that of the tests here: its signals, its log, its id, and the
/// stamps that it has as revoked, of which `revoked_by_headers` clears the list.
pub(crate) const OF_THEIR_PROCESS: &str = "not uses_task_ignore and not ignore_result_stores and not trace_log \
    and not signal_bound and not nesting_level_0 and not task_received_has_access and not linking_stamped_sig \
    and not record_backend and not hello_stamps and not revoked_by_headers and not test_stats";

/// What tells whether a running task is acknowledged: a worker of ours acknowledges it when it is over, as one of Celery's
/// does with `task_acks_late`, and theirs at its start.
pub(crate) const OF_EARLY_WORKERS: &str =
    "not (test_active and not queues) and not test_query_task";

/// How many tests passed, by the last line of what pytest prints.
fn passed(said: &str) -> usize {
    let (before, _) = said.rsplit_once(" passed").unwrap_or_default();
    let number = before.rsplit(|c: char| !c.is_ascii_digit()).next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn celerys_own_tests_find_a_worker_of_ours_to_be_one_of_theirs() -> anyhow::Result<()> {
    let canvas = "t/integration/test_canvas.py";
    let [queues, scheduled] = ["active_queues", "scheduled"]
        .map(|test| format!("t/integration/test_inspect.py::test_Inspect::test_{test}"));
    // All the others do not run where results come by rpc://.
    let chosen = format!("{OF_THEIR_PROCESS} and not test_chord and not test_stamping_mechanism");
    let said = run(&[canvas, &queues, &scheduled, "-k", &chosen], Backend::Rpc).await?;
    // Nor were they left out.
    assert!(passed(&said) >= 30, "{said}");
    Ok(())
}
