//! Tasks that workers have taken over from the broker.

use super::samples::{copy, event, lineage, same_message};
use super::site::StoreSite;
use crate::{eventually, patience};
use anyhow::{Context, ensure};
use counterfoil_store::record::{LostTask, TaskRow};
use counterfoil_store::{Batch, MarkerPlace, WorkerSeen};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Lease, SHORTEST_LEASE};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::state::Lineage;
use std::time::Duration;
use uuid::Uuid;

const HOUR: u32 = 60 * 60 * 1000;

/// Adds that a worker has taken `id` over, for so long.
fn taken_over(batch: &mut Batch, id: &TaskId, attempt: Lineage, ms: u32) {
    let mut started = event(id, attempt, TaskState::Started);
    started.lease = Some(Lease { ms, restarts: 2 });
    batch.event(&started);
}

async fn row(site: &StoreSite, id: &TaskId) -> anyhow::Result<TaskRow> {
    site.store().task(id.as_str()).await?.context("a row")
}

async fn lost(site: &StoreSite) -> anyhow::Result<Vec<LostTask>> {
    Ok(site.store().lost_tasks(None, 0).await?)
}

/// What says that the task is over, or waits at the broker, ends it; whatever the order.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_lease_holds_while_the_state_that_came_with_it_does(
    site: &StoreSite,
) -> anyhow::Result<()> {
    ensure!(site.store().shortest_lease().await?.is_none());
    let (id, first) = (TaskId::random(), lineage(0, 0, 0));
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    taken_over(&mut batch, &id, first, HOUR);
    site.store().apply(&batch).await?;
    let now = site.store().clock().await?;
    let until = row(site, &id).await?.lease_until.context("a lease")?;
    ensure!((until - now).num_minutes() >= 59, "{until} at {now}");
    let shortest = site.store().shortest_lease().await?;
    ensure!(shortest == Some(Duration::from_secs(3600)), "{shortest:?}");
    ensure!(lost(site).await?.is_empty());
    for over in [TaskState::Retry, TaskState::Success] {
        let mut batch = Batch::new();
        batch.event(&event(&id, first, over));
        taken_over(&mut batch, &id, first, HOUR);
        site.store().apply(&batch).await?;
        ensure!(row(site, &id).await?.lease_until.is_none(), "{over}");
    }
    ensure!(site.store().shortest_lease().await?.is_none());
    Ok(())
}

/// With its message and all that its next attempt needs; then it is another attempt, which has no lease.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_whose_lease_has_ended_is_found_and_marked_as_sent_again(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (id, unknown, living) = (TaskId::random(), TaskId::random(), TaskId::random());
    let attempt = lineage(1, 2, 3);
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    taken_over(&mut batch, &id, attempt, 1);
    taken_over(&mut batch, &unknown, attempt, 1);
    taken_over(&mut batch, &living, attempt, HOUR);
    site.store().apply(&batch).await?;
    let patience = patience(Duration::from_secs(10));
    let found = eventually("leases to end", patience, async || {
        let found = lost(site).await?;
        Ok((found.len() == 2).then_some(found))
    })
    .await?;
    let task = found.iter().find(|task| task.task_id == id);
    let task = task.context("found")?.clone();
    // However short it was promised.
    ensure!((task.restarts, task.lease) == (2, SHORTEST_LEASE));
    ensure!(task.worker == WorkerId::new("demo@host.7.0a0b0c0d").ok());
    let message = task.message.as_ref().context("its message")?;
    ensure!(same_message(message, &copy(&id).message), "{message:#?}");
    let other = found.iter().find(|task| task.task_id == unknown);
    ensure!(other.context("found")?.message.is_none());
    let next = lineage(2, 2, 0);
    ensure!(task.next() == next);
    for _ in 0..2 {
        let tasks = std::slice::from_ref(&task);
        site.store().mark_rescued(tasks).await?;
    }
    let row = row(site, &id).await?;
    ensure!((row.state, row.attempt()) == (TaskState::Pending, next));
    ensure!(row.error_kind.as_deref() == Some("worker_lost"), "{row:#?}");
    let history = site.store().history(&id).await?;
    let told = |line: &counterfoil_store::record::EventRow| {
        let detail = line.detail.as_ref().map(|detail| detail.to_value());
        line.lineage() == next && detail.is_some_and(|it| it["error_kind"] == "worker_lost")
    };
    ensure!(history.iter().filter(|line| told(line)).count() == 1);
    ensure!(lost(site).await?.len() == 1);
    Ok(())
}

/// By the worker that has the task, and not by one that woke up too late. That is no news about the task.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_sign_of_life_renews_the_leases_of_its_worker_only(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (id, other) = (TaskId::random(), TaskId::random());
    let mut batch = Batch::new();
    for id in [&id, &other] {
        taken_over(&mut batch, id, lineage(0, 0, 0), HOUR);
    }
    site.store().apply(&batch).await?;
    // As if most of the hour had passed.
    site.execute("UPDATE background_task SET lease_until = last_updated, event_id = event_id")
        .await?;
    let (before, other_before) = (row(site, &id).await?, row(site, &other).await?);
    let mut seen = sign_of_life("demo@elsewhere.7.0a0b0c0d");
    seen.leases = vec![id.clone(), other.clone()];
    let mut batch = Batch::new();
    batch.worker(seen);
    site.store().apply(&batch).await?;
    ensure!(row(site, &id).await? == before);
    // Only the service under which it was first heard of speaks for a worker.
    let mut seen = sign_of_life("demo@host.7.0a0b0c0d");
    let mut batch = Batch::new();
    batch.worker(seen.clone());
    site.store().apply(&batch).await?;
    seen.leases = vec![id.clone()];
    let mut batch = Batch::new();
    batch.worker(WorkerSeen {
        service: "other".into(),
        ..seen.clone()
    });
    site.store().apply(&batch).await?;
    ensure!(row(site, &id).await? == before);
    let mut batch = Batch::new();
    batch.worker(seen);
    site.store().apply(&batch).await?;
    let (renewed, left) = (row(site, &id).await?, row(site, &other).await?);
    ensure!(renewed.lease_until > before.lease_until, "{renewed:#?}");
    ensure!(renewed.last_updated == before.last_updated);
    ensure!(left == other_before, "{left:#?}");
    // What was renewed a moment ago is not written again.
    site.store().apply(&batch).await?;
    ensure!(row(site, &id).await? == renewed);
    Ok(())
}

fn sign_of_life(id: &str) -> WorkerSeen {
    super::records::sign_of_life(id, None)
}

/// Once all ways have brought it, and whatever became of others.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_marker_is_seen_when_it_came_every_way(site: &StoreSite) -> anyhow::Result<()> {
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let came = async |id, place| {
        let mut batch = Batch::new();
        batch.marker(id, place);
        site.store().apply(&batch).await.map(drop)
    };
    site.store().marker_sent(first).await?;
    came(first, MarkerPlace::Events).await?;
    ensure!(!site.store().marker_seen(first).await?);
    came(first, MarkerPlace::Heartbeats).await?;
    ensure!(!site.store().marker_seen(first).await?);
    site.store().marker_sent(second).await?;
    came(first, MarkerPlace::Tracking).await?;
    ensure!(site.store().marker_seen(first).await?);
    ensure!(!site.store().marker_seen(second).await?);
    site.execute("UPDATE marker SET sent_at = '2000-01-01T00:00:00.000000Z'")
        .await?;
    site.store().marker_sent(Uuid::now_v7()).await?;
    ensure!(!site.store().marker_seen(first).await?, "it is forgotten");
    // One that nobody knows any more does no harm.
    came(first, MarkerPlace::Events).await?;
    Ok(())
}
