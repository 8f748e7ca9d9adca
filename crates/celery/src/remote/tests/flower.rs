//! What Flower asks when somebody opens its page of one worker, as it was captured, and what that page reads of the answers.

use super::{Asker, Sleep};
use anyhow::{Context as _, ensure};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::message::{Content, HeaderValue, Headers};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::{Binding, Destination, Item};
use counterfoil_toolbox::transport::Declare;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// The worker that was asked.
const NODE: &str = "rust1@vm";

/// Fields without which a row of queues or tasks is no row of that page.
const OF_QUEUE: [&str; 9] = [
    "name",
    "exclusive",
    "durable",
    "routing_key",
    "no_ack",
    "alias",
    "queue_arguments",
    "binding_arguments",
    "auto_delete",
];
const OF_ACTIVE: [&str; 6] = ["name", "id", "acknowledged", "worker_pid", "args", "kwargs"];
const OF_WAITING: [&str; 4] = ["name", "id", "args", "kwargs"];

fn captured() -> anyhow::Result<Vec<Value>> {
    let capture = include_str!("../../../tests/samples/flower-worker-page-requests.json");
    let capture: Value = serde_json::from_str(capture)?;
    let requests = capture["sample"].as_array().context("requests")?;
    ensure!(requests.len() == 8, "{}", requests.len());
    Ok(requests.clone())
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name}"))
}

impl Asker {
    /// Sends a request byte by byte as it was sent, and returns what the worker answers where that says.
    async fn repeat(&mut self, request: &Value) -> anyhow::Result<Value> {
        let body = &request["body"];
        let back = Item::Binding(Binding {
            source: ExchangeName::new(text(&body["reply_to"], "exchange")?)?,
            destination: Destination::Queue(QueueName::new("asker")?),
            key: RoutingKey::new(text(&body["reply_to"], "routing_key")?)?,
            arguments: Headers::new(),
        });
        let transport = self.platform.transport();
        transport.declare(&back, Declare::Active).await?;
        let mut content = Content::json(text(request, "body_raw")?.to_owned());
        let headers = &request["headers"];
        let clock = headers["clock"].as_i64().context("a clock")?;
        let expires = headers["expires"].as_f64().context("a time")?;
        content.headers.push("clock", clock);
        content.headers.push("expires", HeaderValue::Float(expires));
        self.say(content).await?;
        let answer = timeout(PATIENCE, self.answers.next()).await?;
        let answer = answer.context("the broker is open")?;
        let told: Value = serde_json::from_slice(&answer.content.body)?;
        let ticket = answer.content.headers.text("ticket").map(ToOwned::to_owned);
        let is_only = told.as_object().is_some_and(|told| told.len() == 1);
        ensure!(ticket.as_deref() == body["ticket"].as_str(), "{ticket:?}");
        ensure!(is_only, "who answers: {told}");
        let _ = answer.ack();
        Ok(told[NODE].clone())
    }
}

/// The rows of an answer, each with these fields.
fn rows<'a>(answer: &'a Value, fields: &[&str]) -> anyhow::Result<&'a [Value]> {
    let rows = answer.as_array().context("a list")?;
    for row in rows {
        for field in fields {
            let has = row.get(field);
            has.with_context(|| format!("no {field} in {row}"))?;
        }
    }
    Ok(rows)
}

#[tokio::test(start_paused = true)]
async fn the_page_of_one_worker_in_flower_is_told_all_that_it_reads() -> anyhow::Result<()> {
    let settings = WorkerSettings {
        concurrency: 1,
        prefetch: Some(2),
        ..WorkerSettings::default()
    };
    let mut asker = Asker::start_with(NODE, settings).await?;
    let producer = asker.platform.producer().clone();
    for _ in 0..2 {
        producer.send(Sleep { seconds: 600 }).await?;
    }
    let revoke = json!({"method": "revoke", "arguments": {"task_id": "gone"}});
    let (_, told) = asker.ask(revoke).await?;
    let _ = told.ack();
    let waits = captured()?
        .into_iter()
        .find(|it| it["body"]["method"] == "reserved")
        .context("a question")?;
    eventually("a task to wait", PATIENCE, async || {
        let waiting = asker.repeat(&waits).await?;
        Ok(rows(&waiting, &[])?.first().map(|_| ()))
    })
    .await?;
    for request in captured()? {
        let method = text(&request["body"], "method")?;
        let answer = asker.repeat(&request).await?;
        reads(method, &answer).with_context(|| format!("{method}: {answer:#}"))?;
    }
    asker.end().await
}

/// What the page does with an answer.
fn reads(method: &str, answer: &Value) -> anyhow::Result<()> {
    match method {
        "stats" => {
            for table in ["pool", "broker", "total", "rusage"] {
                let table = answer[table].as_object().context(table)?;
                ensure!(!table.is_empty());
            }
            ensure!(answer["total"] == json!({Sleep::NAME: 1}));
            for number in ["pid", "prefetch_count", "uptime"] {
                answer[number].as_u64().context(number)?;
            }
            let most = &answer["pool"]["max-concurrency"];
            ensure!(*most == 1, "{most}");
        }
        "active_queues" => {
            let queues = rows(answer, &OF_QUEUE)?;
            ensure!(queues.len() == 1 && queues[0]["name"] == "tasks");
        }
        "active" => {
            let tasks = rows(answer, &OF_ACTIVE)?;
            ensure!(tasks.len() == 1 && tasks[0]["name"] == Sleep::NAME);
        }
        "reserved" => {
            let tasks = rows(answer, &OF_WAITING)?;
            ensure!(tasks.len() == 1 && tasks[0]["kwargs"]["seconds"] == 600);
        }
        // What is for later is the broker's.
        "scheduled" => ensure!(rows(answer, &["request"])?.is_empty()),
        "revoked" => ensure!(*answer == json!(["gone"])),
        "registered" => {
            let types = rows(answer, &[])?.iter().filter_map(Value::as_str);
            let types: Vec<_> = types.collect();
            ensure!(types.contains(&"tasks.add") && types.contains(&Sleep::NAME));
        }
        "conf" => {
            let settings = answer.as_object().context("settings")?;
            ensure!(settings.contains_key("broker_url"));
        }
        other => anyhow::bail!("nothing is known of {other}"),
    }
    Ok(())
}
