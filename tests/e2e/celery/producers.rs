//! Producers and handlers in Rust call tasks of both workers in every way that Celery knows.

use super::callers::Both;
use crate::platform::{self, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_celery::{Canvas, Celery, Signature, chain, replace};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{Producer, ServiceName, TaskOptions, TaskState};
use counterfoil_worker::{Exit, Worker};
use serde_json::json;
use std::path::Path;

/// The lines of a file, once there are so many.
async fn noted(file: &Path, count: usize) -> anyhow::Result<Vec<String>> {
    let lines = eventually("what was noted", platform::PATIENCE, async || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Ok((lines.len() >= count).then_some(lines))
    });
    let mut lines = lines.await?;
    lines.sort();
    Ok(lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_and_groups_from_rust_run_over_workers_of_both_languages() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let broker = both.broker();
    let producer = Producer::new(AmqpTransport::new(&broker)?, broker.names()?);
    let canvas = Canvas::new(producer);
    let file = both.folder().join("noted");
    let add = |service: &str, n: i64| Signature::task(format!("{service}.add")).arg(n);
    let note = |service: &str| {
        Signature::task(format!("{service}.note")).kwarg("file", file.to_string_lossy())
    };

    let sum = chain![
        add("calc", 1).arg(1),
        add("pycalc", 10),
        add("calc", 100),
        note("pycalc")
    ];
    canvas.send(&sum).await?;
    let members = ["calc", "pycalc"].map(|it| chain![add(it, 1).arg(2), note(it)]);
    canvas.send(&Signature::group(members)).await?;
    // What is called after another: a callback, a group at the end of a chain, and an errback.
    canvas
        .send(&add("pycalc", 20).arg(20).link(note("calc")))
        .await?;
    let ends = Signature::group([note("calc"), note("pycalc")]);
    canvas.send(&chain![add("calc", 30).arg(30), ends]).await?;
    let failing = Signature::task("calc.fail").arg("ValueError").arg("nope");
    let failed = canvas.send(&failing.link_error(note("pycalc"))).await?;

    let mut wanted = ["112", "3", "3", "40", "60", "60"]
        .map(str::to_owned)
        .to_vec();
    wanted.push(failed.id().to_string());
    wanted.sort();
    assert_eq!(noted(&file, wanted.len()).await?, wanted);
    both.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_replaced_by_a_chain_ends_with_what_that_returns() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let (store, broker) = (platform.store().await?, platform.broker());
    let _daemon = platform.daemon()?;
    platform::apply(&broker, &[ServiceName::new("sums")?]).await?;
    let (transport, names) = (AmqpTransport::new(&broker)?, broker.names()?);
    let builder = Worker::builder(transport.clone(), names.clone(), WorkerSettings::default());
    let options = TaskOptions::default;
    let worker = builder
        .broker(&broker)
        .extension(Celery::new(&names))
        .handle_raw("sums.add", options(), async |payload, _| {
            let numbers: Vec<i64> = serde_json::from_str(payload.args())?;
            Ok(numbers.iter().sum::<i64>())
        })
        .handle_raw("sums.twice", options(), async |payload, cx| {
            let numbers: Vec<i64> = serde_json::from_str(payload.args())?;
            let add = |n: i64| Signature::task("sums.add").arg(n);
            let sum: i64 = numbers.iter().sum();
            Err::<i64, _>(replace(&cx, &chain![add(sum), add(sum)]))
        })
        .build()?;
    let stopper = worker.stopper();
    let working = tokio::spawn(worker.run_until(std::future::pending()));

    let task = RawTask {
        name: "sums.twice".parse()?,
        args: "[20, 1]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    let producer = Producer::new(transport, names);
    let options = SendOptions::new().creator("anna");
    let id = producer.send_raw(task, options).await?;
    let row = wait_for_state(&*store, id.as_str(), TaskState::Success, platform::PATIENCE).await?;
    let result = store.result(&id, 0).await?.context("a result")?;
    assert_eq!(serde_json::to_value(result.result)?, json!(42));
    assert_eq!(row.creator_id.as_deref(), Some("anna"), "{row:?}");
    assert_eq!(row.executions, 1, "{row:?}");
    let history = store.history(&id).await?;
    let replaced = history
        .iter()
        .any(|event| format!("{event:?}").contains("a chain of 2 tasks"));
    assert!(replaced, "{history:#?}");

    stopper.drain();
    anyhow::ensure!(working.await? == Exit::Drained);
    vhost.close().await
}
