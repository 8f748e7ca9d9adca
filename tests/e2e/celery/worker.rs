//! A real Celery worker, which runs what our producers encode.

use super::celery_worker;
use crate::platform::{self, PATIENCE};
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Depth, eventually};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::message::{Envelope, TaskMessage, encode, encode_again};
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use counterfoil_toolbox::{Producer, ServiceName, TaskId, TaskName};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What the worker notes of each task, by id.
type Notes = BTreeMap<String, Value>;

/// Arguments by position and by keyword, whether the task expires, and what it makes of them.
type Case = (&'static str, &'static str, bool, Value);

/// Sends tasks as any producer does, and returns what the worker is to note of them.
async fn send(broker: &BrokerSettings) -> anyhow::Result<Notes> {
    let producer = Producer::new(AmqpTransport::new(broker)?, broker.names()?);
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    let cases: [Case; 7] = [
        ("[2, 3]", "{}", false, json!(5)),
        ("[]", r#"{"x": 4, "y": 5}"#, false, json!(9)),
        ("[6]", r#"{"y": 7}"#, false, json!(13)),
        ("[8, 9]", "{}", true, json!(17)),
        (
            r#"["Grüße, "]"#,
            r#"{"y": "Łódź 🚂"}"#,
            false,
            json!("Grüße, Łódź 🚂"),
        ),
        // Nothing to add up: noted as it came.
        ("[]", "{}", false, Value::Null),
        (
            r#"[null, "it's"]"#,
            r#"{"größe": {"list": [1, 2.5, null, true, "ü\n"]}}"#,
            true,
            Value::Null,
        ),
    ];
    let mut notes = Notes::new();
    for (args, kwargs, expires, result) in cases {
        let name = if result.is_null() {
            "pyadd.record"
        } else {
            "pyadd.add"
        };
        let task = RawTask {
            name: TaskName::new(name)?,
            args: args.to_owned(),
            kwargs: kwargs.to_owned(),
        };
        let mut options = SendOptions::new();
        if expires {
            options = options.expires(in_an_hour.into());
        }
        let id = producer.send_raw(task, options).await?.to_string();
        let args: Value = serde_json::from_str(args)?;
        let kwargs: Value = serde_json::from_str(kwargs)?;
        let note = json!({
            "id": id, "task": name, "args": args, "kwargs": kwargs,
            "retries": 0, "expires": expires, "result": result,
        });
        notes.insert(id, note);
    }
    Ok(notes)
}

/// Sends one task as a worker sends it that tries it again: what came by a message, encoded anew.
async fn send_retry(broker: &BrokerSettings) -> anyhow::Result<Notes> {
    let (transport, names) = (AmqpTransport::new(broker)?, broker.names()?);
    let first = Envelope::new(TaskId::random(), TaskName::new("pyadd.add")?);
    let content = encode(&first, "[10]", r#"{"y": 11}"#);
    let came = TaskMessage::decode(&content)?;
    let mut envelope = came.envelope;
    envelope.retries = 1;
    envelope.lineage.executions = 2;
    envelope.eta = Some(SystemTime::now().into());
    let publication = Publication {
        exchange: names.tasks.clone(),
        routing_key: envelope.name.routing_key(),
        content: encode_again(&content, &envelope, &came.payload),
    };
    let publisher = transport.publisher(PublisherOptions::default());
    publisher.publish(publication).await?;
    let id = envelope.id.to_string();
    let note = json!({
        "id": id, "task": "pyadd.add", "args": [10], "kwargs": {"y": 11},
        "retries": 1, "expires": false, "result": 21,
    });
    Ok(Notes::from([(id, note)]))
}

/// What the worker has noted so far.
fn noted(results: &Path) -> anyhow::Result<Notes> {
    // There is no file before the first task.
    let text = std::fs::read_to_string(results).unwrap_or_default();
    let mut notes = Notes::new();
    for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
        let note: Value = serde_json::from_str(line)?;
        let id = note["id"].as_str().context("an id")?.to_owned();
        let before = notes.insert(id, note);
        anyhow::ensure!(before.is_none(), "it ran twice: {line}");
    }
    Ok(notes)
}

#[tokio::test]
async fn what_our_producers_and_retries_encode_is_what_a_celery_worker_runs() -> anyhow::Result<()>
{
    let vhost = Broker::shared().await?.vhost().await?;
    let broker = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    platform::apply(&broker, &[ServiceName::new("pyadd")?]).await?;
    let mut wanted = send(&broker).await?;
    wanted.append(&mut send_retry(&broker).await?);

    let folder = tempfile::tempdir()?;
    let results = folder.path().join("results");
    let mut worker = celery_worker("worker", &vhost.amqp_url(), folder.path(), &results)?;
    let ran = eventually("Celery to run every task", PATIENCE, async || {
        worker.assert_running()?;
        Ok(Some(noted(&results)?).filter(|ran| ran.len() >= wanted.len()))
    });
    let ran = ran.await;
    assert_eq!(ran.with_context(|| worker.log_tail())?, wanted);

    // It acknowledged all of them, and refused none.
    assert_eq!(worker.terminate().await?, 0);
    for queue in ["pyadd", "pyadd.dead"] {
        assert_eq!(vhost.depth(queue).await?, Depth::default(), "{queue}");
    }
    assert_eq!(noted(&results)?, wanted);
    Ok(())
}
