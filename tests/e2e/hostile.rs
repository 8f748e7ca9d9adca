//! Bodies that are not tasks: each is kept with a reason, and none blocks the queue.

use crate::platform::{PATIENCE, Platform, wait_for_state};
use anyhow::Context as _;
use counterfoil_store::{DeadFilter, ParkedFilter, Store};
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::message::{Content, Headers};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use counterfoil_toolbox::{TaskId, TaskState};
use std::collections::BTreeSet;
use std::path::Path;

/// The parsing cases of JSONTestSuite where they are, else cases of our own on the same ground.
fn bodies() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/datasets/json");
    if !folder.is_dir() {
        return Ok(own_bodies());
    }
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bodies.push((
            entry.file_name().to_string_lossy().into_owned(),
            std::fs::read(entry.path())?,
        ));
    }
    anyhow::ensure!(bodies.len() == 318, "{} files", bodies.len());
    Ok(bodies)
}

fn own_bodies() -> Vec<(String, Vec<u8>)> {
    let mut texts: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "7",
        "\"text\"",
        "{}",
        "[]",
        "[1,]",
        "[1 2]",
        "{\"a\":}",
        "[\"\\u0000\"]",
        "NaN",
        "[1e9999]",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    texts.push(vec![0xff, 0xfe]);
    texts.push(vec![0]);
    texts.push("[".repeat(100_000).into_bytes());
    texts.push(format!("{}{}", "[".repeat(500), "]".repeat(500)).into_bytes());
    texts.push("{\"\":".repeat(50_000).into_bytes());
    texts.extend(
        (1..=1000_usize)
            .step_by(97)
            .map(|n| b"[[],{},".iter().copied().cycle().take(n).collect()),
    );
    texts
        .into_iter()
        .enumerate()
        .map(|(i, body)| (format!("own case {i}"), body))
        .collect()
}

/// Sends every body twice: as the body of a well addressed task, and without any header.
async fn send(
    platform: &Platform,
    bodies: &[(String, Vec<u8>)],
) -> anyhow::Result<BTreeSet<String>> {
    let broker = platform.broker();
    let (transport, names) = (AmqpTransport::new(&broker)?, broker.names()?);
    let publisher = transport.publisher(PublisherOptions::default());
    let mut ids = BTreeSet::new();
    for (_, body) in bodies {
        let id = TaskId::random();
        let mut content = Content::json(body.clone());
        content.headers.push("task", "demo.echo");
        content.headers.push("id", id.as_str());
        let mut bare = Content {
            headers: Headers::new(),
            ..content.clone()
        };
        // Some bodies are equal, and equal messages are kept once: these are to be counted.
        bare.properties.message_id = Some(id.as_str().into());
        for content in [content, bare] {
            let routing_key = TaskName::new("demo.echo")?.routing_key();
            publisher
                .publish(Publication {
                    exchange: names.tasks.clone(),
                    routing_key,
                    content,
                })
                .await?;
        }
        ids.insert(id.to_string());
    }
    Ok(ids)
}

async fn set_aside(store: &dyn Store) -> anyhow::Result<(usize, usize)> {
    let dead = store
        .dead(&DeadFilter {
            limit: 10_000,
            ..DeadFilter::default()
        })
        .await?;
    let parked = store
        .parked(&ParkedFilter {
            limit: 10_000,
            ..ParkedFilter::default()
        })
        .await?;
    anyhow::ensure!(
        dead.iter()
            .all(|row| row.reason == "undecodable" && row.reason_text.is_some()),
        "a reason for each"
    );
    anyhow::ensure!(
        parked.iter().all(|row| !row.reason.is_empty()),
        "a reason for each"
    );
    Ok((dead.len(), parked.len()))
}

#[tokio::test]
async fn bodies_that_are_no_tasks_are_kept_with_a_reason_and_block_nothing() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let (mut daemon, mut worker) = (platform.daemon()?, platform.worker()?);
    let store = platform.store().await?;
    let bodies = bodies()?;
    let ids = send(&platform, &bodies).await?;

    let wanted = bodies.len() * 2;
    let mut seen = (0, 0);
    eventually("every body to be dead and parked", PATIENCE, async || {
        seen = set_aside(&*store).await?;
        Ok((seen == (wanted, wanted)).then_some(()))
    })
    .await
    .with_context(|| format!("dead and parked: {seen:?} of {wanted}"))?;
    for id in &ids {
        let row = wait_for_state(&*store, id, TaskState::Failure, PATIENCE).await?;
        assert_eq!(row.error_kind.as_deref(), Some("undecodable"));
    }

    // The queue is not blocked, and nobody crashed.
    let task = RawTask {
        name: TaskName::new("demo.echo")?,
        args: "[\"after\"]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    let id = platform
        .producer()?
        .send_raw(task, SendOptions::new())
        .await?;
    wait_for_state(&*store, id.as_str(), TaskState::Success, PATIENCE).await?;
    // A result is JSON that steers no terminal.
    let raw = "{\"value\": \"a\u{9b}b\u{202e}\"}";
    let echoed = platform.cli(&["send", "demo.echo", raw, "--wait"])?;
    assert_eq!(String::from_utf8(echoed.stdout)?, "\"a\\u009bb\\u202e\"\n");
    daemon.assert_running()?;
    worker.assert_running()?;
    assert_eq!(
        vhost.depth("demo").await?.ready + vhost.depth("platform.fifo").await?.ready,
        0
    );
    Ok(())
}
