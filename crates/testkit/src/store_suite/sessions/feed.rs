//! What is told of sessions to whoever follows the feed of changes.

use super::stage::{Site, told};
use crate::store_suite::feed;
use crate::store_suite::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::Batch;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::collections::BTreeSet;

/// That they were opened, counted something, were ended, and are gone.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn whoever_follows_is_told_of_sessions_that_change(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let mut position = feed::marked(store).await?;
    let mut changed = async || -> anyhow::Result<BTreeSet<String>> {
        let changed = feed::told(store, &position).await?;
        position = changed.position;
        Ok(changed.sessions)
    };
    let session = Site::opened(site, 2).await?;
    let id = &session.opening.id;
    let only = BTreeSet::from([id.to_string()]);
    ensure!(changed().await? == only, "it was opened");
    session.open().await?;
    ensure!(changed().await?.is_empty(), "it was opened once");
    let done = told(&session.opening, 0, 0, TaskState::Success);
    session.tell(std::slice::from_ref(&done)).await?;
    ensure!(changed().await? == only, "one is over");
    session.tell(&[done]).await?;
    ensure!(changed().await?.is_empty(), "and counts once");
    let mut batch = Batch::new();
    batch.session_is_aborted(id, Some("ana"));
    store.apply(&batch).await?;
    ensure!(changed().await? == only, "it is aborted");
    session
        .tell(&[told(&session.opening, 1, 0, TaskState::Revoked)])
        .await?;
    ensure!(changed().await? == only, "it is over");

    let subtasks = session.opening.subtasks.iter().map(|one| one.id.clone());
    let subtasks: Vec<TaskId> = subtasks.collect();
    store.delete_tasks(&subtasks, None).await?;
    ensure!(store.remove_sessions(std::slice::from_ref(id)).await? == 1);
    ensure!(changed().await? == only, "it is gone");
    Ok(())
}

/// Which its row says.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn whoever_follows_is_told_that_a_finalizer_was_thrown_away(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let session = Site::opened(site, 1).await?;
    session.all(TaskState::Success).await?;
    let id = session.opening.id.as_str();
    let position =
        format!("SELECT CAST(position AS text) FROM outbox WHERE key = 'finalizer:{id}'");
    let position = site.text(&position).await?.context("a finalizer")?;
    store.refuse_message(position.parse()?, "too large").await?;
    let refused = store.refused_messages(None, 0).await?;
    let message = refused.first().context("what was refused")?;
    let start = feed::marked(store).await?;
    let mut batch = Batch::new();
    batch.discard(message, None, Some("eve"), store.clock().await?);
    let applied = store.apply(&batch).await?;
    ensure!(applied.not_discarded.is_empty(), "{applied:?}");
    let changed = feed::told(store, &start).await?;
    ensure!(
        changed.sessions == BTreeSet::from([id.to_owned()]),
        "{changed:?}"
    );
    ensure!(session.row().await?.finalizer_discarded_by.as_deref() == Some("eve"));
    Ok(())
}
