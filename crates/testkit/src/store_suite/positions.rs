//! Positions in the feed of changes: what they are worth once something else has happened to the database.

use super::feed::{is_too_old, marked, public, told};
use super::samples::{copy, copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, Changes, FeedPosition, Store};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::{TaskName, TaskState};
use std::time::Duration;

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Writes a task of which nobody knew.
async fn new_task(store: &dyn Store) -> anyhow::Result<TaskId> {
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    store.apply(&batch).await?;
    Ok(id)
}

/// From the first look on that saw something: where no daemon runs, nobody marks.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_changes_is_told_before_anybody_has_marked(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let nothing = store.feed_position().await?;
    new_task(store).await?;
    let Changes::TooOld(mut position) = store.changes_since(&nothing).await? else {
        anyhow::bail!("it may have been emptied since {nothing}");
    };
    for _ in 0..3 {
        let id = new_task(store).await?;
        let changed = told(store, &position).await?;
        ensure!(changed.tasks == public(store, &[&id])?, "{changed:?}");
        position = changed.position;
    }
    ensure!(told(store, &position).await?.is_empty());
    site.execute("DELETE FROM task_change").await?;
    new_task(store).await?;
    ensure!(is_too_old(store, &position).await?, "it was emptied");
    Ok(())
}

/// A mark that was made later tells an earlier time: it is not the oldest.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_clock_that_is_set_back_takes_nothing_from_anybody(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let early = marked(store).await?;
    let id = new_task(store).await?;
    let late = marked(store).await?;
    let text = late.to_string();
    let (mark, _) = text.split_once('.').context("a mark")?;
    let mark: uuid::Uuid = mark.parse()?;
    let at = store.clock().await? - chrono::TimeDelta::minutes(40);
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let back = format!("UPDATE task_change_mark SET at = '{at}' WHERE id = '{mark}'");
    site.execute(&back).await?;
    ensure!(store.forget_changes(TEN_MINUTES, 100).await? == 0);
    ensure!(told(store, &early).await?.tasks == public(store, &[&id])?);
    ensure!(told(store, &late).await?.is_empty());
    Ok(())
}

/// As after a dump was read into another server, whose transactions have lower numbers, or an older file was put in
/// place. What came with the dump is neither told for ever nor kept for ever.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_comes_from_another_server_is_no_news(site: &StoreSite) -> anyhow::Result<()> {
    const AHEAD: &str = "9000000000000";
    let store = site.store();
    let position = marked(store).await?;
    let text = position.to_string();
    let (mark, _) = text.split_once('.').context("a mark")?;
    let ahead: FeedPosition = format!("{mark}.{AHEAD}:{AHEAD}:").parse()?;
    ensure!(is_too_old(store, &ahead).await?);
    if site.url().starts_with("sqlite") {
        return Ok(());
    }
    new_task(store).await?;
    site.execute(&format!("UPDATE task_change SET written_in = '{AHEAD}'"))
        .await?;
    let id = new_task(store).await?;
    for _ in 0..2 {
        ensure!(told(store, &position).await?.tasks == public(store, &[&id])?);
    }
    site.execute(&format!(
        "INSERT INTO task_change_mark (id, seen) VALUES (gen_random_uuid(), '{AHEAD}:{AHEAD}:')"
    ))
    .await?;
    let marks = "SELECT CAST(count(*) AS text) FROM task_change_mark";
    ensure!(site.text(marks).await?.as_deref() == Some("2"));
    ensure!(store.forget_changes(TEN_MINUTES, 100).await? == 1);
    ensure!(site.text(marks).await?.as_deref() == Some("1"));
    ensure!(told(store, &position).await?.tasks == public(store, &[&id])?);
    Ok(())
}

/// That it was started after it was over, that an earlier run of it failed, that it had been sent before it was
/// retried: lines of its history, and a result, that leave the row as it was.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_is_heard_too_late_to_change_a_row_is_told(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let (own, foreign) = (TaskId::random(), TaskId::new("of-celery-7")?);
    let again = |executions| {
        let name = TaskName::new("demo.add").expect("a task name");
        let mut envelope = Envelope::new(foreign.clone(), name);
        envelope.retries = executions;
        envelope.lineage.executions = executions;
        copy_of(envelope)
    };
    let of_run = |run, state| {
        let mut attempt = lineage(0, 0, 0);
        attempt.run = run;
        event(&own, attempt, state)
    };
    let mut batch = Batch::new();
    batch.event(&of_run(1, TaskState::Success));
    batch.track(&again(2));
    store.apply(&batch).await?;
    let mut position = marked(store).await?;
    let row = store.task(own.as_str()).await?;
    let mut late: [Batch; 3] = std::array::from_fn(|_| Batch::new());
    late[0].event(&of_run(1, TaskState::Started));
    late[1].event(&of_run(0, TaskState::Failure));
    late[2].track(&again(0));
    for (nth, batch) in late.iter().enumerate() {
        let applied = store.apply(batch).await?;
        ensure!(
            applied.tasks == 0 && applied.lines > 0,
            "{nth}: {applied:?}"
        );
        let id = if nth < 2 { &own } else { &foreign };
        let changed = told(store, &position).await?;
        ensure!(changed.tasks == public(store, &[id])?, "{nth}: {changed:?}");
        store.apply(batch).await?;
        position = changed.position;
        let changed = told(store, &position).await?;
        ensure!(changed.is_empty(), "{nth}, told again: {changed:?}");
    }
    ensure!(store.task(own.as_str()).await? == row);
    Ok(())
}
