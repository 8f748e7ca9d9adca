//! What people do about tasks that are over: run them again, or forget them.

use super::samples::{copy, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::Utc;
use counterfoil_store::Batch;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, LogLine};
use counterfoil_toolbox::ids::TaskId;
use std::collections::HashSet;

/// A line that the handler of a task wrote.
fn log_line(id: &TaskId) -> Event {
    let name = "demo.add".parse().expect("a task name");
    let mut event = Event::new(
        id.clone(),
        name,
        lineage(0, 0, 0),
        EventKind::Log,
        Utc::now(),
    );
    event.log = Some(LogLine {
        level: "info".into(),
        message: "half of it".to_owned(),
        fields: serde_json::Map::new(),
    });
    event
}

/// With result, history and log; living and immutable tasks stay, and so do all others.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn tasks_that_are_over_are_deleted_whole(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let [over, living, immutable, other] = std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    for id in [&over, &living, &immutable, &other] {
        batch.track(&copy(id));
        batch.event(&log_line(id));
        let state = match id == &living {
            true => TaskState::Started,
            false => TaskState::Success,
        };
        batch.event(&event(id, lineage(0, 0, 0), state));
    }
    store.apply(&batch).await?;
    site.execute(&format!(
        "UPDATE background_task SET immutable = true WHERE task_id = '{immutable}'"
    ))
    .await?;
    let asked = [
        over.clone(),
        living.clone(),
        immutable.clone(),
        TaskId::random(),
    ];
    let deleted = store.delete_tasks(&asked).await?;
    ensure!(deleted == HashSet::from([over.clone()]), "{deleted:?}");
    ensure!(store.delete_tasks(&asked).await?.is_empty(), "once");
    let all = [
        over.clone(),
        living.clone(),
        immutable.clone(),
        other.clone(),
    ];
    let left = store.tasks_with_ids(&all).await?;
    let left: HashSet<_> = left.into_iter().map(|row| row.task_id).collect();
    ensure!(left == HashSet::from([living.clone(), immutable.clone(), other.clone()]));
    for id in [&living, &immutable, &other] {
        ensure!(store.history(id).await?.len() == 2 && store.log(id).await?.len() == 1);
    }
    ensure!(store.result(&other, 0).await?.is_some());
    ensure!(store.history(&over).await?.is_empty() && store.log(&over).await?.is_empty());
    ensure!(store.result(&over, 0).await?.is_none());
    // What comes late makes a row again: nothing is refused.
    store.apply(&batch).await?;
    store.task(over.as_str()).await?.context("a row again")?;
    Ok(())
}
