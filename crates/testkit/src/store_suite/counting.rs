//! What is counted for charts while others count: each thing once.

use super::rollups::{all, sent, sent_again, sent_at, told};
use super::site::StoreSite;
use anyhow::ensure;
use chrono::TimeDelta;
use counterfoil_store::{Batch, Store};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;

/// Workers of Celery do not know that a message was delivered again, and report a second start of the same attempt.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn an_attempt_that_is_started_twice_counts_once(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    for (name, at_once) in [("demo.at_once", true), ("demo.one_by_one", false)] {
        let id = TaskId::random();
        let mut batch = Batch::new();
        batch.track(&sent(&id, name));
        // The second one is heard of first.
        for seconds in [64, 2] {
            let mut event = told(&id, name, 0, TaskState::Started);
            event.at = sent_at(&id)? - TimeDelta::minutes(10) + TimeDelta::seconds(seconds);
            batch.event(&event);
            if !at_once {
                store.apply(&batch).await?;
                batch = Batch::new();
            }
        }
        let mut end = told(&id, name, 0, TaskState::Success);
        end.started_at = Some(sent_at(&id)?);
        batch.event(&end);
        store.apply(&batch).await?;
        let counted = all(store, name).await?;
        ensure!(counted == [1, 1, 0, 1, 0], "{name}: {counted:?}");
    }
    Ok(())
}

/// By two daemons that have read the same messages, in opposite orders.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_two_write_at_the_same_time_counts_once(site: &StoreSite) -> anyhow::Result<()> {
    const TASKS: i64 = 20;
    let name = "demo.both";
    let (one, other) = (site.another().await?, site.another().await?);
    let write = async |store: &dyn Store, batches: Vec<&Batch>| -> anyhow::Result<()> {
        for batch in batches {
            store.apply(batch).await?;
        }
        Ok(())
    };
    for _ in 0..TASKS {
        let id = TaskId::random();
        let mut batches: [Batch; 6] = std::array::from_fn(|_| Batch::new());
        batches[0].track(&sent(&id, name));
        batches[1].event(&told(&id, name, 0, TaskState::Started));
        batches[2].event(&told(&id, name, 0, TaskState::Retry));
        batches[3].track(&sent_again(&id, name, 1));
        batches[4].event(&told(&id, name, 1, TaskState::Failure));
        batches[5].event(&told(&id, name, 1, TaskState::Success));
        let (first, second) = tokio::join!(
            write(&*one, batches.iter().collect()),
            write(&*other, batches.iter().rev().collect()),
        );
        first.and(second)?;
    }
    let counted = all(&*one, name).await?;
    ensure!(counted == [TASKS, TASKS, TASKS, TASKS, 0], "{counted:?}");
    Ok(())
}

/// Rows that are removed have to be told to subscribers, though they have no key. SQLite publishes nothing.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn numbers_are_added_up_where_all_tables_are_published(
    site: &StoreSite,
) -> anyhow::Result<()> {
    if site.url().starts_with("sqlite") {
        return Ok(());
    }
    let (store, name) = (site.store(), "demo.published");
    site.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        .await?;
    let mut batch = Batch::new();
    batch.track(&sent(&TaskId::random(), name));
    store.apply(&batch).await?;
    ensure!(store.add_up_rollups(100).await? == 1);
    ensure!(all(store, name).await?[0] == 1);
    store.mark_changes(uuid::Uuid::now_v7()).await?;
    store.forget_changes(std::time::Duration::ZERO, 100).await?;
    Ok(())
}
