//! A worker of Celery and one of ours on one queue: each task runs once, by whichever of them.

use super::{celery_command, python, result_of};
use crate::platform::{self, PATIENCE, Platform, Process};
use anyhow::{Context as _, ensure};
use counterfoil_store::{ParkedFilter, Store};
use counterfoil_testkit::{Broker, Database, Depth, Vhost, eventually};
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::transport::Transport as _;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{ServiceName, Task, TaskState};
use counterfoil_worker::{Context, Exit, TaskError, Worker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A task of `mixed.py`, and its handler.
macro_rules! tasks {
    ($($name:literal $type:ident $handler:ident)+) => {
        $(
            #[derive(Debug, Serialize, Deserialize, JsonSchema)]
            struct $type { ledger: String }

            impl Task for $type {
                const NAME: &'static str = concat!("mixed.", $name);
                type Output = String;
            }
        )+

        /// A worker of the same tasks, which takes as few at once as that of Celery.
        fn worker(broker: &BrokerSettings) -> anyhow::Result<Worker> {
            let settings = WorkerSettings { concurrency: 1, prefetch: Some(1), ..WorkerSettings::default() };
            let builder = Worker::builder(AmqpTransport::new(broker)?, broker.names()?, settings);
            let builder = builder.broker(broker);
            $(let builder = builder.handle($handler);)+
            Ok(builder.build()?)
        }
    };
}

tasks! {
    "plain" Plain plain
    "flaky" Flaky flaky
    "parent" Parent parent
}

async fn plain(task: Plain, cx: Context) -> Result<String, TaskError> {
    note(&cx, &task.ledger).await?;
    Ok("done".to_owned())
}

async fn flaky(task: Flaky, cx: Context) -> Result<String, TaskError> {
    note(&cx, &task.ledger).await?;
    match cx.attempt() {
        1 => Err(TaskError::retry_after("again", Duration::from_secs(1))),
        _ => Ok("done".to_owned()),
    }
}

async fn parent(task: Parent, cx: Context) -> Result<String, TaskError> {
    note(&cx, &task.ledger).await?;
    let child = Plain {
        ledger: task.ledger,
    };
    let options = SendOptions::new().countdown(Duration::from_secs(1));
    Ok(cx.send_with(child, options).await?.to_string())
}

/// Appends which task runs, as `mixed.py` does.
async fn note(cx: &Context, ledger: &str) -> Result<(), TaskError> {
    let line = json!({
        "id": cx.task_id(), "retries": cx.attempt() - 1, "by": "rust", "at": seconds_since_1970(),
    });
    let mut file = std::fs::OpenOptions::new().append(true).open(ledger)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}

fn seconds_since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

/// A task that was sent, and when it may begin.
#[derive(Debug, Deserialize)]
struct Sent {
    id: String,
    task: String,
    at: f64,
}

/// An execution.
#[derive(Debug, Deserialize)]
struct Ran {
    id: String,
    retries: u32,
    by: String,
    at: f64,
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> anyhow::Result<Vec<T>> {
    let read = |line| serde_json::from_str(line).with_context(|| format!("the line {line}"));
    text.lines().map(read).collect()
}

fn send(amqp_url: &str, ledger: &Path) -> anyhow::Result<Vec<Sent>> {
    let sent = python(amqp_url)?.arg("mixed.py").arg(ledger).output()?;
    ensure!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    lines(std::str::from_utf8(&sent.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_and_one_of_ours_share_a_queue_and_run_each_task_once() -> anyhow::Result<()>
{
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    platform::apply(&platform.broker(), &[ServiceName::new("mixed")?]).await?;
    let before = routes(&vhost).await?;
    let celery = [("COUNTERFOIL_SYNC__CELERY_SERVICES", "mixed")];
    let (store, daemon) = (platform.store().await?, platform.daemon_with(&celery)?);
    let ledger = platform.folder().join("mixed");
    std::fs::File::create(&ledger)?;

    let command = celery_command("mixed", &vhost.amqp_url())?;
    let python = Process::start(command, platform.folder().join("celery.log"))?;
    let ours = worker(&platform.broker())?;
    let stopper = ours.stopper();
    let ours = tokio::spawn(ours.run_until(std::future::pending()));
    wait_for_both(&platform.broker(), &python).await?;
    let sent = send(&vhost.amqp_url(), &ledger)?;
    assert_eq!(sent.len(), 200);
    let children = sent
        .iter()
        .filter(|sent| sent.task == "mixed.parent")
        .count();

    let all = i64::try_from(sent.len() + children)?;
    let ended = platform::wait_for_count(&*store, TaskState::Success, all, PATIENCE).await;
    ended.with_context(|| format!("{}\n{}", python.log_tail(), daemon.log_tail()))?;
    let ran: Vec<Ran> = lines(&std::fs::read_to_string(&ledger)?)?;
    each_ran_once(&sent, &ran, children).with_context(|| python.log_tail())?;
    told(&*store, &sent, &ran).await?;

    assert_eq!(python.terminate().await?, 0);
    stopper.drain();
    let exit = ours.await?;
    ensure!(exit == Exit::Drained, "{exit:?}");
    assert_eq!(daemon.terminate().await?, 0);
    for queue in [
        "mixed",
        "mixed.dead",
        "platform.unroutable",
        "platform.fifo",
        "platform.dead",
    ] {
        assert_eq!(vhost.depth(queue).await?, Depth::default(), "{queue}");
    }
    let parked = store.parked(&ParkedFilter::default()).await?;
    assert!(parked.is_empty(), "{parked:?}");
    assert_eq!(
        routes(&vhost).await?,
        before,
        "nobody else binds or declares"
    );
    store.close().await;
    database.close().await?;
    vhost.close().await
}

/// Waits until both workers consume the queue.
async fn wait_for_both(broker: &BrokerSettings, python: &Process) -> anyhow::Result<()> {
    let transport = AmqpTransport::new(broker)?;
    let queue = "mixed".parse()?;
    let both = eventually("both to consume", PATIENCE, async || {
        // One of ours may have two consumers, so they do not tell whether both workers are there.
        let is_ready = python.log_tail().contains(" ready.");
        let depth = transport.depth(&queue).await?;
        let is_consumed = depth.is_some_and(|depth| depth.consumers >= 2);
        Ok((is_ready && is_consumed).then_some(()))
    });
    both.await.with_context(|| python.log_tail())?;
    transport.close().await;
    Ok(())
}

/// Every queue and binding but the delay levels and those by which Celery's workers are controlled.
async fn routes(vhost: &Vhost) -> anyhow::Result<BTreeSet<String>> {
    let bindings = vhost.bindings().await?.into_iter();
    let bindings =
        bindings.map(|b| format!("{} to {} by {}", b.source, b.destination, b.routing_key));
    let mut all: BTreeSet<_> = bindings.chain(vhost.queues().await?).collect();
    let of_level = |line: &str| {
        let level = line.strip_prefix("celery_delayed_");
        level.is_some_and(|level| level.starts_with(|c: char| c.is_ascii_digit()))
    };
    // The way in is bound before the levels are declared.
    all.retain(|line| !line.contains("pidbox") && !of_level(line));
    Ok(all)
}

/// How often and when each task ran, and that both workers took their share.
fn each_ran_once(sent: &[Sent], ran: &[Ran], children: usize) -> anyhow::Result<()> {
    let mut times = BTreeMap::<(&str, u32), usize>::new();
    for ran in ran {
        *times.entry((&ran.id, ran.retries)).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "{twice:?}");
    let mut wanted = children;
    for sent in sent {
        let executions = if sent.task == "mixed.flaky" { 2 } else { 1 };
        for retry in 0..executions {
            let what = format!("{sent:?}, execution {retry}");
            ensure!(
                times.contains_key(&(sent.id.as_str(), retry)),
                "never: {what}"
            );
        }
        wanted += executions as usize;
        let first = ran.iter().find(|ran| ran.id == sent.id).context("it ran")?;
        // Their clock is ours, and `at` was looked up after the task was sent.
        ensure!(first.at > sent.at - 0.5, "{first:?} is early: {sent:?}");
    }
    ensure!(ran.len() == wanted, "{} executions of {wanted}", ran.len());
    for worker in ["python", "rust"] {
        let share = ran.iter().filter(|ran| ran.by == worker).count();
        ensure!(
            share * 10 > ran.len(),
            "{worker} ran {share} of {}",
            ran.len()
        );
    }
    Ok(())
}

/// What the platform knows of each, whoever ran it.
async fn told(store: &dyn Store, sent: &[Sent], ran: &[Ran]) -> anyhow::Result<()> {
    let last: BTreeMap<_, _> = ran.iter().map(|ran| (ran.id.as_str(), ran)).collect();
    for sent in sent {
        let row = store.task(&sent.id).await?.context("a row")?;
        let what = || format!("{row:#?}");
        let retries = i32::from(sent.task == "mixed.flaky");
        ensure!(row.executions == retries, "{}", what());
        let by_python = last[sent.id.as_str()].by == "python";
        let worker = row.worker.as_deref().unwrap_or_default();
        ensure!(worker.starts_with("celery@") == by_python, "{}", what());
        let result = result_of(store, &sent.id).await?;
        if sent.task != "mixed.parent" {
            ensure!(result == json!("done"), "{result}: {}", what());
            continue;
        }
        let child = result.as_str().context("the id of the child")?;
        let child = store.task(child).await?.context("a row of the child")?;
        ensure!(child.parent_id.as_deref() == Some(&*sent.id), "{child:#?}");
        ensure!(child.root_id.as_deref() == Some(&*sent.id), "{child:#?}");
    }
    Ok(())
}
