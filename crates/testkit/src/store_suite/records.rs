//! What the platform keeps beside tasks: workers, dead letters, parked messages, canaries.

use super::samples::{copy, event, lineage, same_message};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::DateTime;
use counterfoil_store::{
    Batch, CanaryPlace, DeadFilter, DeadLetter, JsonText, Parked, ParkedFilter, StoredMessage,
    WorkerSeen,
};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::heartbeat::Phase;
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::{Content, HeaderValue, Headers};
use counterfoil_toolbox::names::{QueueName, TaskName};
use counterfoil_toolbox::tokens::LimitReport;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

pub(super) fn sign_of_life(id: &str, tasks: Option<&str>) -> WorkerSeen {
    WorkerSeen {
        id: WorkerId::new(id).expect("a worker id"),
        service: "demo".into(),
        host: "host".into(),
        pid: Some(7),
        version: Some("1.2.3".into()),
        tasks: tasks.and_then(JsonText::storable),
        phase: Phase::Running,
        queues: vec![QueueName::new("demo").expect("a queue name")],
        limits: BTreeMap::from([(
            TaskName::new("demo.limited").expect("a task name"),
            LimitReport {
                limit: 3,
                tokens: vec!["2-a1".parse().expect("a token")],
            },
        )]),
        leases: Vec::new(),
        running: 3,
        processed: 40,
        interval: Duration::from_secs(10),
        started_at: DateTime::from_timestamp(1_800_000_000, 0),
        paused: vec!["export".parse().expect("valid")],
        follows_control: true,
        heard_until: None,
        hands: std::collections::BTreeMap::new(),
    }
}

/// Schemas come with few of the signs of life.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn the_last_sign_of_life_counts_and_tasks_are_remembered(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let known = r#"[{"name": "demo.add", "schema": {"type":"object","properties":{"zeta":{},"a":{}}}}, {"name": "demo.odd"}]"#;
    let mut batch = Batch::new();
    batch.worker(sign_of_life("demo@a", Some(known)));
    batch.worker(sign_of_life("demo@b", Some("\"no list\"")));
    site.store().apply(&batch).await?;
    let mut batch = Batch::new();
    let mut last = sign_of_life("demo@a", None);
    (last.running, last.phase) = (0, Phase::Stopped);
    last.limits.values_mut().for_each(|limit| limit.limit = 5);
    batch.worker(last);
    site.store().apply(&batch).await?;
    let workers = site.store().workers().await?;
    ensure!(
        workers
            .iter()
            .map(|worker| &*worker.id)
            .eq(["demo@a", "demo@b"]),
        "{workers:#?}"
    );
    let worker = &workers[0];
    ensure!((worker.running, &*worker.phase, worker.interval_ms) == (0, "stopped", 10_000));
    ensure!(worker.queues.to_value() == serde_json::json!(["demo"]));
    let limits = serde_json::json!({"demo.limited": {"limit": 5, "tokens": ["2-a1"]}});
    ensure!(worker.limits.to_value() == limits);
    let tasks = worker
        .tasks
        .as_ref()
        .context("the tasks of the first sign")?;
    ensure!(Some(tasks.to_value()) == serde_json::from_str(known)?);
    let schema = site
        .store()
        .task_schema("demo.add")
        .await?
        .context("a schema")?;
    // To the letter: the order of the properties is that of arguments by position.
    let wanted = r#"{"type":"object","properties":{"zeta":{},"a":{}}}"#;
    let schema = serde_json::to_string(&schema.to_value())?;
    ensure!(schema == wanted, "{schema}");
    for unknown in ["demo.odd", "demo.none", "\0"] {
        ensure!(
            site.store().task_schema(unknown).await?.is_none(),
            "{unknown}"
        );
    }
    Ok(())
}

/// A message with headers of every type and a body that is no text.
fn odd_message() -> StoredMessage {
    let mut content = Content::json(vec![0, 159, 146, 150]);
    content.headers.push("id", "t\0id");
    content.headers.push("count", 3);
    content
        .headers
        .push("bytes", HeaderValue::Bytes(vec![0, 255].into()));
    let mut death = Headers::new();
    death.push("queue", "demo");
    death.push("time", HeaderValue::Timestamp(1_800_000_000));
    content.headers.push(
        "x-death",
        HeaderValue::List(vec![HeaderValue::Table(death)]),
    );
    content.properties.priority = Some(9);
    StoredMessage {
        exchange: "task_exchange".into(),
        routing_key: "demo.add".into(),
        content,
    }
}

/// With the reason, and found by service and by task.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn dead_letters_are_kept_with_their_message(site: &StoreSite) -> anyhow::Result<()> {
    let task_id = TaskId::random();
    let letter = |service: &str, second: i64| DeadLetter {
        service: service.into(),
        reason: "exhausted".into(),
        reason_text: Some("the third of three".into()),
        task_id: Some(task_id.clone()),
        name: Some("demo.add".into()),
        lineage: lineage(0, 3, 0),
        died_at: DateTime::from_timestamp(1_800_000_000 + second, 0),
        message: odd_message(),
    };
    let mut batch = Batch::new();
    batch.dead(letter("demo", 1));
    batch.dead(letter("demo", 2));
    batch.dead(letter("export", 3));
    site.store().apply(&batch).await?;
    site.store().apply(&batch).await?;
    let of = async |service: Option<&str>, id: Option<&str>| {
        let filter = DeadFilter {
            service: service.map(str::to_owned),
            id: id.map(str::to_owned),
            limit: 10,
            ..DeadFilter::default()
        };
        site.store().dead(&filter).await
    };
    let demo = of(Some("demo"), None).await?;
    ensure!(
        demo.len() == 2 && demo[0].died_at > demo[1].died_at,
        "{demo:#?}"
    );
    ensure!(same_message(&demo[0].message, &odd_message()) && demo[0].attempt == "0.3.0");
    ensure!(demo[0].reason_text.as_deref() == Some("the third of three") && demo[0].times == 2);
    ensure!(of(None, Some(task_id.as_str())).await?.len() == 3);
    ensure!(of(None, Some(&demo[1].id.to_string())).await?.len() == 1);
    ensure!(of(Some("none"), None).await?.is_empty());
    Ok(())
}

/// The same message parked again is the same record; a delivery count does not make it another.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn parked_messages_are_kept_byte_by_byte(site: &StoreSite) -> anyhow::Result<()> {
    let parked = |reason: &str, deliveries: Option<i64>| {
        let mut message = odd_message();
        if let Some(count) = deliveries {
            message.content.headers.set("x-delivery-count", count);
        }
        Parked {
            queue: "platform.fifo".into(),
            reason: reason.into(),
            task_id: None,
            name: None,
            message,
            waits: false,
        }
    };
    for deliveries in [None, Some(1)] {
        let mut batch = Batch::new();
        batch.park(parked("not UTF-8 (byte 1)", deliveries));
        site.store().apply(&batch).await?;
    }
    let mut batch = Batch::new();
    let mut other = parked("too large", None);
    other.queue = "platform.events".into();
    batch.park(other);
    site.store().apply(&batch).await?;
    let rows = site.store().parked(&ParkedFilter::default()).await?;
    ensure!(rows.len() == 2, "{rows:#?}");
    let filter = ParkedFilter {
        queue: Some("platform.fifo".to_owned()),
        ..ParkedFilter::default()
    };
    let row = site.store().parked(&filter).await?.pop().context("a row")?;
    ensure!(row.times == 2 && row.reason == "not UTF-8 (byte 1)" && row.body_bytes == 4);
    ensure!(
        same_message(&row.message, &odd_message()),
        "{:#?}",
        row.message
    );
    ensure!(serde_json::to_value(&row)?.get("message").is_none());
    Ok(())
}

/// Then it may be judged again, and is parked no longer, or for good.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_report_waits_until_the_copy_tells_who_was_asked(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (id, other, unknown) = (TaskId::random(), TaskId::random(), TaskId::random());
    let waiting = |id: &TaskId, waits: bool| Parked {
        queue: "platform.events".into(),
        reason: "no copy".into(),
        task_id: Some(id.clone()),
        name: Some("demo.add".into()),
        message: StoredMessage {
            content: Content::json(id.as_str().to_owned()),
            ..odd_message()
        },
        waits,
    };
    let mut batch = Batch::new();
    batch.park(waiting(&id, true));
    batch.park(waiting(&unknown, true));
    batch.park(waiting(&other, false));
    // An event alone does not tell.
    batch.event(&event(&id, lineage(0, 0, 0), TaskState::Started));
    ensure!(batch.owners(&id).is_none());
    site.store().apply(&batch).await?;
    ensure!(site.store().waiting(10).await?.is_empty());
    ensure!(
        site.store()
            .owners(&[id.clone(), unknown.clone()])
            .await?
            .is_empty()
    );

    let mut batch = Batch::new();
    for id in [&id, &other] {
        let mut copy = copy(id);
        copy.message.routing_key = "proj.default".into();
        batch.track(&copy);
    }
    let owners = batch.owners(&id).context("a copy")?;
    ensure!(
        owners.include("demo") && owners.include("proj"),
        "{owners:?}"
    );
    site.store().apply(&batch).await?;
    let known = site.store().owners(&[id.clone(), unknown.clone()]).await?;
    ensure!(known.len() == 1 && known[&id] == owners, "{known:?}");
    let row = site.store().waiting(10).await?.pop().context("one waits")?;
    ensure!(row.task_id.as_deref() == Some(id.as_str()));
    let mut batch = Batch::new();
    batch.unpark(row.id);
    batch.park(waiting(&id, false));
    site.store().apply(&batch).await?;
    ensure!(site.store().waiting(10).await?.is_empty());
    ensure!(site.store().parked(&ParkedFilter::default()).await?.len() == 3);
    let mut batch = Batch::new();
    batch.unpark(row.id);
    ensure!(!batch.is_empty());
    site.store().apply(&batch).await?;
    ensure!(site.store().parked(&ParkedFilter::default()).await?.len() == 2);
    Ok(())
}

/// And with them what only they announced. Silence is measured by the database's clock.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn workers_that_were_silent_for_long_are_forgotten(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    batch.worker(sign_of_life("demo@old.1.0a0b0c0d", None));
    batch.worker(sign_of_life("demo@new.2.0a0b0c0d", None));
    site.store().apply(&batch).await?;
    site.execute(
        "UPDATE worker SET last_heartbeat = '2026-01-02T03:04:05.000000Z' WHERE id LIKE 'demo@old%'",
    )
    .await?;
    let day = Duration::from_secs(24 * 60 * 60);
    site.store().forget_workers(day * 36_500).await?;
    ensure!(site.store().workers().await?.len() == 2);
    site.store().forget_workers(day).await?;
    let left = site.store().workers().await?;
    ensure!(
        left.len() == 1 && left[0].id.starts_with("demo@new"),
        "{left:#?}"
    );
    Ok(())
}

/// The first sight counts. One that came as an event and was not sent by this database is somebody else's.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn canaries_are_seen_where_they_were_seen(site: &StoreSite) -> anyhow::Result<()> {
    let (sent, unknown) = (Uuid::now_v7(), Uuid::now_v7());
    site.store().canary_sent(sent).await?;
    let see = async |places: &[CanaryPlace]| -> anyhow::Result<Vec<Uuid>> {
        let mut batch = Batch::new();
        for place in places {
            batch.canary(sent, *place);
            batch.canary(unknown, *place);
        }
        Ok(site.store().apply(&batch).await?.foreign_canaries)
    };
    ensure!(see(&[CanaryPlace::Tracking]).await?.is_empty());
    let first = site.store().canaries(5).await?;
    ensure!(first.len() == 1 && first[0].tracked_at.is_some() && first[0].event_at.is_none());
    let foreign = see(&[
        CanaryPlace::Tracking,
        CanaryPlace::Events,
        CanaryPlace::Unroutable,
    ]);
    ensure!(foreign.await? == [unknown]);
    let last = site.store().canaries(5).await?;
    ensure!(last[0].tracked_at == first[0].tracked_at);
    ensure!(last[0].event_at.is_some() && last[0].unroutable_at.is_some());
    Ok(())
}
