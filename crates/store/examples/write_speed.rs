//! How many rows a second the mirror can write: `write_speed URL [TASKS]`.
//!
//! The database must be empty; it is migrated first. Each scenario writes tasks of its own in
//! batches of 500 and prints one line.

#![allow(clippy::print_stdout, reason = "this program is its output")]

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use counterfoil_store::{Batch, Seen, Store, StoreOptions, StoredMessage, TrackingCopy, connect};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::{Content, Envelope};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::state::Lineage;
use serde_json::value::RawValue;
use std::time::Instant;

const BATCH: usize = 500;
const KWARGS: &str = r#"{"org_slug": "acme", "project_slug": "land", "api_key": "0123456789abcdef", "output_type": "xls"}"#;
const RESULT: &str = r#"{"url": "https://example.org/export.xls"}"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("usage: write_speed URL [TASKS]")?;
    let tasks: usize = args.next().map_or(Ok(50_000), |n| n.parse())?;
    let store = connect(&StoreOptions::new(url).id_secret("bench")).await?;
    store.migrate().await?;

    let ids = own_ids(tasks);
    measure("tracking copies", tasks, write(&*store, &ids, copies)).await?;
    measure("the same again", tasks, write(&*store, &ids, copies)).await?;
    measure("their events", tasks, write(&*store, &ids, events)).await?;

    let ids = own_ids(tasks);
    let both = |ids: &[TaskId], batch: &mut Batch| {
        copies(ids, batch);
        events(ids, batch);
    };
    measure(
        "copies and events in one batch",
        tasks,
        write(&*store, &ids, both),
    )
    .await?;

    let ids: Vec<TaskId> = own_ids(tasks).iter().map(foreign).collect();
    measure(
        "tracking copies of foreign producers",
        tasks,
        write(&*store, &ids, copies),
    )
    .await?;

    let ids = own_ids(tasks);
    let two = async {
        let copies = write(&*store, &ids, copies);
        let events = write(&*store, &ids, events);
        futures::try_join!(copies, events).map(drop)
    };
    measure("copies and events by two writers", tasks, two).await
}

fn own_ids(count: usize) -> Vec<TaskId> {
    (0..count).map(|_| TaskId::random()).collect()
}

/// An id that does not tell its time, as Celery makes them.
fn foreign(id: &TaskId) -> TaskId {
    let bytes = id.as_uuid().expect("own ids are UUIDs").into_bytes();
    let mut mixed = uuid::Uuid::new_v5(&uuid::Uuid::nil(), &bytes).into_bytes();
    mixed[6] = mixed[6] & 0x0f | 0x40;
    TaskId::from(uuid::Uuid::from_bytes(mixed))
}

async fn measure(
    what: &str,
    tasks: usize,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    work.await?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let rate = tasks as f64 / seconds;
    println!("{what}: {rate:.0} tasks/s ({seconds:.2} s)");
    Ok(())
}

async fn write(
    store: &dyn Store,
    ids: &[TaskId],
    fill: impl Fn(&[TaskId], &mut Batch),
) -> anyhow::Result<()> {
    for some in ids.chunks(BATCH) {
        let mut batch = Batch::new();
        fill(some, &mut batch);
        store.apply(&batch).await?;
    }
    Ok(())
}

fn copies(ids: &[TaskId], batch: &mut Batch) {
    for id in ids {
        let name = TaskName::new("export.project").expect("a task name");
        let mut content = Content::json(format!(
            r#"[[], {KWARGS}, {{"callbacks": null, "errbacks": null, "chain": null, "chord": null}}]"#
        ));
        for (header, value) in [
            ("lang", "rs"),
            ("task", "export.project"),
            ("id", id.as_str()),
            ("root_id", id.as_str()),
            ("argsrepr", "()"),
            ("kwargsrepr", "{}"),
            ("origin", "bench@local"),
        ] {
            content.headers.push(header, value);
        }
        content.headers.push("retries", 0);
        content.properties.correlation_id = Some(id.as_str().into());
        batch.track(&TrackingCopy {
            envelope: Envelope::new(id.clone(), name),
            input: Some(format!(r#"{{"args": [], "kwargs": {KWARGS}}}"#)),
            message: StoredMessage {
                exchange: "task_exchange".into(),
                routing_key: "export.project".into(),
                content,
            },
            seen: Seen::Scheduled,
        });
    }
}

fn events(ids: &[TaskId], batch: &mut Batch) {
    for id in ids {
        let name = TaskName::new("export.project").expect("a task name");
        let state = EventKind::State(TaskState::Success);
        let mut event = Event::new(id.clone(), name, Lineage::default(), state, Utc::now());
        event.worker = WorkerId::new("export@bench.1.00000000").ok();
        event.started_at = Some(event.at - TimeDelta::milliseconds(3));
        event.runtime_ms = Some(3);
        event.root_id = Some(id.clone());
        event.result = RawValue::from_string(RESULT.to_owned()).ok();
        batch.event(&event);
    }
}
