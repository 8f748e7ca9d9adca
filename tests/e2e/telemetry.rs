//! Metrics: what processes expose, what the documentation says of it, and what is made of it.

mod rules;

use crate::platform::{PATIENCE, Platform, Process, wait_for_state};
use crate::running::{platform, send};
use anyhow::Context as _;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::telemetry::metrics::{METRICS, Metric, Process as Of};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a process answers at `/metrics`.
struct Exposed {
    text: String,
    kinds: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Exposed {
    fn read(text: String) -> anyhow::Result<Self> {
        let comments = |word: &str| -> BTreeMap<String, String> {
            let found = text.lines().filter_map(|line| line.strip_prefix(word));
            let pairs = found.filter_map(|line| line.split_once(' '));
            pairs
                .map(|(name, said)| (name.to_owned(), said.to_owned()))
                .collect()
        };
        let (kinds, helps) = (comments("# TYPE "), comments("# HELP "));
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            let (what, value) = line.rsplit_once(' ').context("a value")?;
            value.parse::<f64>().with_context(|| line.to_owned())?;
            let (name, of) = what.split_once('{').unwrap_or((what, "}"));
            let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| {
                let base = name.strip_suffix(end)?;
                (kinds.get(base)? == "histogram").then_some(base)
            });
            let seen = labels.entry(base.unwrap_or(name).to_owned()).or_default();
            let of = of.strip_suffix('}').with_context(|| line.to_owned())?;
            let names = of.split("\",").filter_map(|pair| pair.split_once('='));
            seen.extend(
                names
                    .map(|(name, _)| name.to_owned())
                    .filter(|name| name != "le"),
            );
        }
        Ok(Self {
            kinds,
            helps,
            labels,
            text,
        })
    }

    /// The value of a line: all of it but that.
    fn value(&self, line: &str) -> Option<f64> {
        let mut lines = self.text.lines();
        let value = lines.find_map(|l| l.strip_prefix(line)?.strip_prefix(' '))?;
        value.parse().ok()
    }

    /// Holds it against the list of those that `processes` have.
    fn is_as_listed(&self, processes: &[Of]) {
        let listed = METRICS
            .iter()
            .filter(|metric| processes.contains(&metric.of));
        let listed: BTreeMap<_, _> = listed.map(|metric| (metric.name, metric)).collect();
        let exposed: BTreeSet<_> = self.kinds.keys().map(String::as_str).collect();
        assert_eq!(exposed, listed.keys().copied().collect(), "{}", self.text);
        for (
            name,
            Metric {
                kind, labels, help, ..
            },
        ) in listed
        {
            assert_eq!(self.kinds[name], kind.as_str(), "{name}");
            assert_eq!(self.helps[name], *help, "{name}");
            let seen: BTreeSet<_> = self.labels[name].iter().map(String::as_str).collect();
            assert_eq!(seen, labels.iter().copied().collect(), "{name}");
        }
    }
}

/// Where a process listens that was told to take any port: its log says so.
async fn address(process: &mut Process, what: &str) -> anyhow::Result<String> {
    eventually(what, PATIENCE, async || {
        process.assert_running()?;
        let log = process.log_tail();
        let line = log.lines().find(|line| line.contains(what));
        let address = line
            .and_then(|line| line.split_once("address="))
            .map(|(_, address)| {
                address
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            });
        Ok(address)
    })
    .await
}

/// Head and body of what is answered.
async fn get(address: &str, path: &str) -> anyhow::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    anyhow::ensure!(head.contains(" 200 "), "{head}");
    Ok((head.to_owned(), body.to_owned()))
}

async fn scrape(address: &str) -> anyhow::Result<Exposed> {
    let (head, body) = get(address, "/metrics").await?;
    anyhow::ensure!(head.contains("text/plain; version=0.0.4"), "{head}");
    Exposed::read(body)
}

const ANY_PORT: &str = "127.0.0.1:0";

#[tokio::test]
async fn worker_and_daemon_expose_the_metrics_that_are_listed_and_no_others() -> anyhow::Result<()>
{
    let (vhost, database, mut platform) = platform().await?;
    let mut daemon = platform.daemon_with(&[("COUNTERFOIL_SYNC__HEALTH_BIND", ANY_PORT)])?;
    let mut worker = platform.worker_with(&[("COUNTERFOIL_WORKER__METRICS_BIND", ANY_PORT)])?;
    let of_worker = address(&mut worker, "metrics are served").await?;
    let of_daemon = address(&mut daemon, "health checks are answered").await?;
    run_some(&platform).await?;

    let exposed = scrape(&of_worker).await?;
    exposed.is_as_listed(&[Of::Producer, Of::Worker]);
    let success = "counterfoil_worker_tasks_total{task=\"demo.add\",outcome=\"success\"}";
    assert_eq!(exposed.value(success), Some(1.0), "{}", exposed.text);
    let queued = "counterfoil_worker_queue_seconds_count{task=\"demo.add\"}";
    assert_eq!(exposed.value(queued), Some(1.0));
    // A message of any name or with any secret in it makes no series.
    for text in ["strange", "canary"] {
        assert!(!exposed.text.contains(text), "{text}: {}", exposed.text);
    }

    let leads = eventually("the daemon to have looked", PATIENCE, async || {
        let exposed = scrape(&of_daemon).await?;
        let one = |name: &str| exposed.value(name) == Some(1.0);
        let done = one("counterfoil_sync_leader") && one("counterfoil_sync_ready");
        Ok(done.then_some(exposed))
    });
    let exposed = leads.await?;
    exposed.is_as_listed(&[Of::Daemon]);
    let tracked = exposed.value("counterfoil_sync_messages_total{queue=\"tracking\"}");
    assert!(tracked >= Some(2.0), "{}", exposed.text);
    assert!(exposed.value("counterfoil_sync_events_total") >= Some(2.0));
    assert_eq!(exposed.value("counterfoil_sync_deaths_total"), Some(1.0));
    assert!(exposed.value("counterfoil_sync_batch_seconds_count") >= Some(1.0));
    assert_eq!(worker.terminate().await?, 0);
    assert_eq!(daemon.terminate().await?, 0);
    drop(database);
    vhost.close().await
}

/// A task that succeeds, and one that no worker knows, until the database knows both.
async fn run_some(platform: &Platform) -> anyhow::Result<()> {
    let (producer, store) = (platform.producer()?, platform.store().await?);
    let added = send(&producer, "demo.add", r#"{"x": 1, "y": 2}"#).await?;
    let strange = RawTask {
        name: "demo.strange".parse()?,
        args: "[]".to_owned(),
        kwargs: r#"{"password": "canary"}"#.to_owned(),
    };
    let strange = producer.send_raw(strange, SendOptions::new()).await?;
    wait_for_state(&*store, added.as_str(), TaskState::Success, PATIENCE).await?;
    wait_for_state(&*store, strange.as_str(), TaskState::Failure, PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_answers_probes_of_liveness_while_its_handlers_block_every_thread()
-> anyhow::Result<()> {
    let (vhost, database, mut platform) = platform().await?;
    let mut worker = platform.worker_with(&[("COUNTERFOIL_WORKER__METRICS_BIND", ANY_PORT)])?;
    let of_worker = address(&mut worker, "metrics are served").await?;
    let producer = platform.producer()?;
    // More than there are threads.
    for _ in 0..16 {
        send(&producer, "demo.block", r#"{"seconds": 3}"#).await?;
    }
    let blocked = async || {
        let running = scrape(&of_worker)
            .await?
            .value("counterfoil_worker_running");
        Ok((running >= Some(2.0)).then_some(()))
    };
    eventually("handlers to block", PATIENCE, blocked).await?;
    let alive = tokio::time::timeout(Duration::from_secs(2), get(&of_worker, "/healthz"));
    assert_eq!(alive.await??.1, "alive\n");
    let running = scrape(&of_worker)
        .await?
        .value("counterfoil_worker_running");
    assert!(running >= Some(1.0), "they still block: {running:?}");
    drop((worker, database));
    vhost.close().await
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_worker_with_what_to_do() -> anyhow::Result<()> {
    let (vhost, database, mut platform) = platform().await?;
    let taken = tokio::net::TcpListener::bind(ANY_PORT).await?;
    let bind = taken.local_addr()?.to_string();
    let mut worker = platform.worker_with(&[("COUNTERFOIL_WORKER__METRICS_BIND", &bind)])?;
    let ended = async || Ok(worker.has_ended()?.then_some(()));
    eventually("the worker to end", PATIENCE, ended).await?;
    let said = worker.log_tail();
    assert_eq!(worker.end().await?, 78, "{said}");
    assert!(said.contains("worker.metrics_bind"), "{said}");
    assert!(said.contains(&bind), "{said}");
    drop(database);
    vhost.close().await
}

#[test]
fn the_table_in_the_documentation_is_the_list() -> anyhow::Result<()> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/telemetry.md");
    let page = std::fs::read_to_string(page)?;
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `counterfoil_"));
    let listed = METRICS.iter().map(|metric| {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (kind, of) = (metric.kind.as_str(), metric.of.as_str());
        format!(
            "| `{}` | {of} | {kind} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.help
        )
    });
    let (rows, listed): (Vec<_>, Vec<_>) = (rows.collect(), listed.collect());
    assert_eq!(rows, listed, "the table should be:\n{}", listed.join("\n"));
    Ok(())
}
