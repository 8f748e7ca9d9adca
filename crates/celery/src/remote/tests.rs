//! What Celery's own programs asked and its workers answered, held against what a worker of ours answers.

mod flower;
mod refused;
mod scheduled;

use crate::Celery;
use anyhow::{Context as _, ensure};
use counterfoil_testkit::{MemoryPlatform, TestWorker};
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::message::{Content, HeaderValue, Headers};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::{
    Binding, Destination, Exchange, ExchangeKind, Item, Queue, QueueKind,
};
use counterfoil_toolbox::transport::{
    Declare, Delivery, Publication, Publisher, PublisherOptions, SubscribeOptions, Subscription,
};
use counterfoil_toolbox::{Task, TaskOptions};
use counterfoil_worker::{Context, TaskError};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Add {
    x: i64,
    y: i64,
}

impl Task for Add {
    const NAME: &'static str = "tasks.add";
    type Output = i64;
}

async fn add(task: Add, _: Context) -> Result<i64, TaskError> {
    Ok(task.x + task.y)
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Sleep {
    seconds: u64,
}

impl Task for Sleep {
    const NAME: &'static str = "tasks.sleep";
    type Output = ();
    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 0,
            ..TaskOptions::default()
        }
    }
}

async fn sleep(task: Sleep, _: Context) -> Result<(), TaskError> {
    tokio::time::sleep(Duration::from_secs(task.seconds)).await;
    Ok(())
}

/// A worker, and somebody who asks it.
struct Asker {
    platform: MemoryPlatform,
    worker: TestWorker,
    publisher: Publisher,
    answers: Subscription,
}

impl Asker {
    async fn start(node: &str) -> anyhow::Result<Self> {
        Self::start_with(node, WorkerSettings::default()).await
    }

    async fn start_with(node: &str, settings: WorkerSettings) -> anyhow::Result<Self> {
        let platform = MemoryPlatform::new().await?;
        let transport = platform.transport();
        let queue = QueueName::new("asker")?;
        let exchange = ExchangeName::new(super::ANSWERED)?;
        let items = [
            Item::Exchange(Exchange {
                name: exchange.clone(),
                kind: ExchangeKind::Direct,
                internal: false,
                alternate: None,
            }),
            Item::Queue(Queue {
                name: queue.clone(),
                kind: QueueKind::Classic,
                arguments: Headers::new(),
            }),
            Item::Binding(Binding {
                source: exchange,
                destination: Destination::Queue(queue.clone()),
                key: RoutingKey::new("asker")?,
                arguments: Headers::new(),
            }),
        ];
        for item in items {
            transport.declare(&item, Declare::Active).await?;
        }
        let celery = Celery::new(platform.names()).node_name(node);
        let worker = platform
            .worker_with(settings)
            .handle(add)
            .handle(sleep)
            .extension(celery);
        let worker = platform.start(worker).await?;
        let mailbox = QueueName::new(&format!("{node}.{}", super::ASKED))?;
        counterfoil_testkit::eventually("its mailbox", Duration::from_secs(60), async || {
            Ok(transport.depth(&mailbox).await?.map(|_| ()))
        })
        .await?;
        Ok(Self {
            publisher: transport.publisher(PublisherOptions::default()),
            answers: Subscription::open(transport, SubscribeOptions::new(queue, 10)),
            platform,
            worker,
        })
    }

    async fn say(&self, content: Content) -> anyhow::Result<()> {
        let publication = Publication {
            exchange: ExchangeName::new(super::ASKED)?,
            routing_key: RoutingKey::new("")?,
            content,
        };
        Ok(self.publisher.publish(publication).await?)
    }

    /// Asks what is in `body`, and returns the next answer.
    async fn ask(&mut self, mut body: Value) -> anyhow::Result<(Value, Delivery)> {
        body["reply_to"] = json!({"exchange": super::ANSWERED, "routing_key": "asker"});
        body["ticket"] = "t1".into();
        let mut content = Content::json(body.to_string());
        content.headers.push("clock", HeaderValue::Int(700));
        self.say(content).await?;
        let answer = timeout(Duration::from_secs(60), self.answers.next()).await?;
        let answer = answer.context("the broker is open")?;
        Ok((serde_json::from_slice(&answer.content.body)?, answer))
    }

    /// What the node answers to a command.
    async fn answer(&mut self, method: &str, arguments: Value) -> anyhow::Result<Value> {
        let (answer, delivery) = self
            .ask(json!({"method": method, "arguments": arguments}))
            .await?;
        let _ = delivery.ack();
        Ok(answer["w1@vm"].clone())
    }

    async fn end(self) -> anyhow::Result<()> {
        self.answers.close().await;
        self.worker.drain().await?;
        drop(self.platform);
        Ok(())
    }
}

/// Every captured command with its answer, by its name.
fn captured() -> anyhow::Result<Vec<(String, Value)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().replace(".json", "");
        if let Some(name) = name.strip_prefix("pidbox-") {
            let capture: Value = serde_json::from_str(&std::fs::read_to_string(entry.path())?)?;
            all.push((name.to_owned(), capture["sample"].clone()));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    ensure!(all.len() > 25, "{}", all.len());
    Ok(all)
}

/// What two answers have in common that tell of different workers: names of fields, and kinds of what is in them.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| (name.clone(), shape(value));
            fields.iter().map(field).collect()
        }
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "flag".into(),
        Value::Null => Value::Null,
    }
}

/// How far an answer of ours is like the captured one. What a pool of processes tells of itself, Celery's settings, and
/// what its worker had to do by then are left out.
fn compared(name: &str, answer: &Value) -> Value {
    let mut answer = answer.clone();
    match name {
        "stats" => {
            for field in ["pool", "total", "rusage"] {
                answer[field] = Value::from(answer[field].is_object());
            }
            answer["broker"] = answer["broker"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|it| it.0.as_str())
                .collect();
            shape(&answer)
        }
        "conf" => {
            let names = [
                "broker_url",
                "result_backend",
                "deprecated_settings",
                "task_track_started",
            ];
            names
                .iter()
                .map(|name| answer.get(name).is_some())
                .collect()
        }
        "active_queues" => {
            for (queue, field) in [
                ("exchange", "no_declare"),
                ("exchange", "name"),
                ("exchange", "type"),
            ] {
                answer[0][queue][field] = Value::Null;
            }
            answer[0]["no_declare"] = Value::Null;
            shape(&answer)
        }
        "registered" => answer
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it.as_str()?.split(' ').next())
            .filter(|it| *it == "tasks.add")
            .collect(),
        "clock" | "memsample" | "report" => shape(&answer),
        "revoked" | "revoke-terminate" => Value::from(answer.is_array()),
        _ => answer,
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_answers_what_celerys_workers_answered() -> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    // That worker was started with them, and disabled them before it was captured doing so.
    asker.answer("enable_events", json!({})).await?;
    for (name, sample) in captured()? {
        if name == "disable_events" {
            asker.answer("disable_events", json!({})).await?;
        }
        let (told, delivery) = asker
            .ask(sample["request"]["body"].clone())
            .await
            .context(name.clone())?;
        let reply = &sample["reply"];
        let node = if name == "revoke-terminate" {
            "a@vm"
        } else {
            "w1@vm"
        };
        let (theirs, ours) = (
            compared(&name, &reply["body"][node]),
            compared(&name, &told["w1@vm"]),
        );
        ensure!(
            theirs == ours,
            "{name}:\nCelery: {theirs:#}\nours: {ours:#}"
        );
        let content = &delivery.content;
        ensure!(
            content.headers.text("ticket") == Some("t1"),
            "{name}: {content:?}"
        );
        ensure!(
            content.headers.int("clock") > Some(700),
            "{name}: {content:?}"
        );
        let properties = &content.properties;
        ensure!(
            !properties.persistent && properties.priority == Some(0),
            "{name}: {content:?}"
        );
        ensure!(
            properties.content_encoding.as_deref() == Some("utf-8"),
            "{name}: {content:?}"
        );
        let _ = delivery.ack();
        if name == "disable_events" {
            asker.answer("enable_events", json!({})).await?;
        }
    }
    asker.end().await
}

#[tokio::test(start_paused = true)]
async fn whatever_is_sent_the_next_command_is_answered() -> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    for body in [
        "",
        "\u{0}\u{1}",
        "[1]",
        "{}",
        r#"{"method": ["x"], "destination": 3}"#,
        r#"{"method": "ping", "reply_to": {"exchange": "platform", "routing_key": "fifo"}}"#,
        r#"{"method": "ping", "reply_to": 7}"#,
        r#"{"method": "ping", "destination": ["other@node"]}"#,
        r#"{"method": "pool_grow", "arguments": {"n": -1e300}}"#,
        r#"{"method": "time_limit", "arguments": {"task_name": "tasks.add", "hard": 1e308, "soft": -4}}"#,
        r#"{"method": "rate_limit", "arguments": {"task_name": "tasks.add", "rate_limit": "1e400/s"}}"#,
        r#"{"method": "revoke_by_stamped_headers", "arguments": {"headers": ["x"]}}"#,
    ] {
        asker.say(Content::json(body)).await?;
    }
    for (method, arguments, wanted) in [
        (
            "revoke",
            json!({}),
            "TypeError(\"revoke() missing 1 required positional argument: 'task_id'\")",
        ),
        (
            "revoke_by_stamped_headers",
            json!({"headers": ["x"]}),
            "IndexError('list index out of range')",
        ),
        (
            "ping",
            json!([1]),
            "TypeError('ping() argument after ** must be a mapping')",
        ),
        ("no'such", json!({}), "KeyError(\"no'such\")"),
        ("add_consumer", json!({"queue": "amq.mine"}), "ValueError"),
        (
            "rate_limit",
            json!({"task_name": "tasks.add", "rate_limit": "x/s"}),
            "could not convert string to float: 'x'",
        ),
    ] {
        let answer = asker.answer(method, arguments).await?;
        let error = answer["error"].as_str().context(method)?;
        ensure!(error.contains(wanted), "{method}: {error}");
    }
    ensure!(asker.answer("ping", Value::Null).await? == json!({"ok": "pong"}));
    asker.end().await
}

#[tokio::test(start_paused = true)]
async fn limits_that_are_changed_hold_for_what_begins_from_then_on() -> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    let patience = Duration::from_secs(600);
    let limit = json!({"task_name": Sleep::NAME, "hard": 2.0});
    asker.answer("time_limit", limit).await?;
    let producer = asker.platform.producer().clone();
    let mut sent = producer.send(Sleep { seconds: 60 }).await?;
    let error = sent.result(patience).await.expect_err("it takes too long");
    ensure!(error.to_string().contains("time limit of 2s"), "{error}");
    let limit = json!({"task_name": Sleep::NAME, "hard": null});
    asker.answer("time_limit", limit).await?;
    let mut sent = producer.send(Sleep { seconds: 60 }).await?;
    sent.result(patience).await?;

    let run_four = async || {
        let began = tokio::time::Instant::now();
        let mut sent = Vec::new();
        for _ in 0..4 {
            sent.push(producer.send(Sleep { seconds: 0 }).await?);
        }
        for one in &mut sent {
            one.result(patience).await?;
        }
        anyhow::Ok(began.elapsed())
    };
    let limit = json!({"task_name": Sleep::NAME, "rate_limit": "30/m"});
    asker.answer("rate_limit", limit).await?;
    let limited = run_four().await?;
    ensure!(limited >= Duration::from_secs(5), "{limited:?}");
    let limit = json!({"task_name": Sleep::NAME, "rate_limit": ""});
    let told = asker.answer("rate_limit", limit).await?;
    ensure!(told == json!({"ok": "rate limit disabled successfully"}));
    let unlimited = run_four().await?;
    ensure!(unlimited < Duration::from_secs(2), "{unlimited:?}");
    asker.end().await
}
