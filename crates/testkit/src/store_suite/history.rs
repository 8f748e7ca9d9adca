//! History tells every step once, in order.

use super::samples::{copy, event, lineage};
use super::site::StoreSite;
use anyhow::ensure;
use chrono::{DateTime, TimeDelta};
use counterfoil_store::{Batch, Store};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, LogLine};
use counterfoil_toolbox::ids::TaskId;

async fn kinds(store: &dyn Store, id: &TaskId) -> anyhow::Result<Vec<TaskState>> {
    Ok(store
        .history(id)
        .await?
        .iter()
        .map(|line| line.kind)
        .collect())
}

/// For our ids, which tell their time, and for those of other producers, which do not.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_line_is_written_once_however_often_it_is_told(
    site: &StoreSite,
) -> anyhow::Result<()> {
    for id in [
        TaskId::random(),
        TaskId::new("1ee7e25b-5199-4961-bb81-f5fcd4968160")?,
        TaskId::new("job 17")?,
    ] {
        let mut retried = copy(&id);
        retried.envelope.retries = 1;
        retried.envelope.lineage = lineage(0, 1, 0);
        let started = event(&id, lineage(0, 0, 0), TaskState::Started);
        let mut written = 0;
        for _ in 0..3 {
            for redelivered in [0, 4] {
                let mut batch = Batch::new();
                // How often the platform's own queue delivered the copy is no news of the task.
                retried.envelope.lineage.deliveries = redelivered;
                batch.track(&copy(&id));
                batch.track(&retried);
                batch.event(&started);
                written += site.store().apply(&batch).await?.lines;
            }
        }
        let lines = kinds(site.store(), &id).await?;
        use TaskState::{Pending, Retry, Started};
        ensure!(
            lines == [Pending, Started, Retry, Pending],
            "{id}: {lines:?}"
        );
        ensure!(written == 4, "{id}: {written} lines were counted as new");
    }
    Ok(())
}

/// Whatever the order in which the lines were written and whatever the clocks said.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn history_is_told_in_the_order_of_attempts(site: &StoreSite) -> anyhow::Result<()> {
    use TaskState::{Failure, Pending, Received, Retry, Started, Success};
    let id = TaskId::random();
    let mut steps = [
        (lineage(0, 0, 0), Started),
        (lineage(0, 0, 0), Retry),
        (lineage(0, 1, 0), Received),
        (lineage(0, 1, 1), Started),
        (lineage(0, 1, 1), Failure),
        (lineage(1, 0, 0), Success),
    ];
    steps.reverse();
    for (hours_off, (at, state)) in (-3_i64..).zip(steps) {
        let mut event = event(&id, at, state);
        event.at += TimeDelta::hours(hours_off);
        let mut batch = Batch::new();
        batch.event(&event);
        site.store().apply(&batch).await?;
    }
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    site.store().apply(&batch).await?;
    let lines = kinds(site.store(), &id).await?;
    ensure!(
        lines == [Pending, Started, Retry, Received, Started, Failure, Success],
        "{lines:?}"
    );
    Ok(())
}

/// A tracking copy tells that the execution before it was retried; a worker tells why.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_retry_is_told_once_by_whoever_knows_more(site: &StoreSite) -> anyhow::Result<()> {
    let id = TaskId::random();
    let mut retried = copy(&id);
    retried.envelope.lineage = lineage(0, 1, 0);
    let mut batch = Batch::new();
    batch.track(&retried);
    site.store().apply(&batch).await?;
    ensure!(kinds(site.store(), &id).await? == [TaskState::Retry, TaskState::Pending]);
    let mut batch = Batch::new();
    batch.event(&event(&id, lineage(0, 0, 3), TaskState::Retry));
    site.store().apply(&batch).await?;
    let lines = site.store().history(&id).await?;
    ensure!(lines.len() == 2 && lines[0].worker.is_some(), "{lines:#?}");
    let detail = lines[0].detail.as_ref().map(|detail| detail.to_value());
    ensure!(detail.is_some_and(|detail| detail["error_message"] == "no such project"));
    Ok(())
}

/// Short tasks report once, when they are over.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_start_that_came_with_the_end_is_a_line_of_its_own(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    let mut success = event(&id, lineage(0, 0, 0), TaskState::Success);
    success.started_at = Some(success.at - TimeDelta::seconds(2));
    let mut batch = Batch::new();
    batch.event(&success);
    site.store().apply(&batch).await?;
    let lines = site.store().history(&id).await?;
    ensure!(kinds(site.store(), &id).await? == [TaskState::Started, TaskState::Success]);
    ensure!(Some(lines[0].happened_at) == success.started_at);
    // Told by itself after all, it is not told twice.
    let mut batch = Batch::new();
    batch.event(&event(&id, lineage(0, 0, 0), TaskState::Started));
    site.store().apply(&batch).await?;
    ensure!(kinds(site.store(), &id).await? == [TaskState::Started, TaskState::Success]);
    Ok(())
}

/// A log line says nothing of a task's state, so it makes no row.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn log_lines_are_kept_once_and_make_no_row(site: &StoreSite) -> anyhow::Result<()> {
    let id = TaskId::random();
    let line = |second: i64, message: &str| {
        let mut event = event(&id, lineage(0, 0, 0), TaskState::Started);
        event.kind = EventKind::Log;
        event.at = DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time");
        let fields = serde_json::json!({"row": second});
        event.log = Some(LogLine {
            level: "info".into(),
            message: message.to_owned(),
            fields: fields.as_object().expect("an object").clone(),
        });
        event
    };
    let (first, second) = (line(1, "reading"), line(2, "writing"));
    for event in [&second, &first, &second] {
        let mut batch = Batch::new();
        batch.event(event);
        ensure!(!batch.is_empty());
        site.store().apply(&batch).await?;
    }
    let log = site.store().log(&id).await?;
    ensure!(
        log.iter()
            .map(|line| &*line.message)
            .eq(["reading", "writing"]),
        "{log:#?}"
    );
    let fields = log[1].fields.as_ref().map(|fields| fields.to_value());
    ensure!(fields == Some(serde_json::json!({"row": 2})));
    ensure!(site.store().task(id.as_str()).await?.is_none());
    Ok(())
}
