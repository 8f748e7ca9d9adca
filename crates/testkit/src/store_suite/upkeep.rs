//! Triggers, migrations, leadership, and what the daemon asks for.

use super::samples::{copy, event, lineage, same_message};
use super::site::StoreSite;
use crate::{eventually, patience};
use anyhow::{Context, ensure};
use counterfoil_store::record::UnroutableTask;
use counterfoil_store::{Batch, Seen, StoreError, StoreOptions, UnroutableFilter, connect};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::time::Duration;

/// Whoever changes a row, also another application on the same database.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn the_database_touches_last_updated(site: &StoreSite) -> anyhow::Result<()> {
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    site.store().apply(&batch).await?;
    let updated = async || -> anyhow::Result<_> {
        let row = site.store().task(id.as_str()).await?.context("a row")?;
        Ok(row.last_updated)
    };
    let first = updated().await?;
    // SQLite's clock counts milliseconds.
    eventually("the clock to go on", Duration::from_secs(5), async || {
        Ok((site.store().clock().await? > first).then_some(()))
    })
    .await?;
    site.execute("UPDATE background_task SET held = true")
        .await?;
    let second = updated().await?;
    ensure!(second > first, "{second} is not after {first}");
    site.execute("DELETE FROM task_event").await?;
    ensure!(updated().await? == second);
    Ok(())
}

/// Several processes start at once on an empty database.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn migrating_again_or_all_at_once_does_no_harm(site: &StoreSite) -> anyhow::Result<()> {
    ensure!(site.store().pending_migrations().await?.is_empty());
    ensure!(site.store().migrate().await? == 0);
    site.store().prepare_months().await?;
    let (url, _place) = site.empty().await?;
    let options = StoreOptions::new(url).id_secret("s");
    let starts = (0..6).map(|_| async {
        let store = connect(&options).await?;
        store.migrate().await?;
        store.prepare_months().await?;
        ensure!(store.pending_migrations().await?.is_empty());
        Ok(())
    });
    for start in futures::future::join_all(starts).await {
        start?;
    }
    let store = connect(&options).await?;
    let mut batch = Batch::new();
    batch.track(&copy(&TaskId::random()));
    ensure!(store.apply(&batch).await?.tasks == 1);
    Ok(())
}

/// Until the first gives it up or goes away.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn one_leads_at_a_time(site: &StoreSite) -> anyhow::Result<()> {
    let other = site.another().await?;
    let mut guard = site
        .store()
        .try_lead("watchdog")
        .await?
        .context("nobody leads yet")?;
    ensure!(guard.still_leads().await?);
    ensure!(other.try_lead("watchdog").await?.is_none());
    ensure!(
        site.store().try_lead("watchdog").await?.is_none(),
        "not even in the same process"
    );
    ensure!(
        other.try_lead("canary/../x").await?.is_some(),
        "another leadership is free"
    );
    drop(guard);
    // The server notices the closed connection a moment later.
    eventually(
        "the leadership to be free",
        patience(Duration::from_secs(5)),
        async || Ok(other.try_lead("watchdog").await?.map(drop)),
    )
    .await
}

/// Until its service appears; then it is a new attempt, and may come back.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn an_unroutable_task_is_found_and_marked_as_sent_again(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (id, routed) = (TaskId::random(), TaskId::random());
    let mut unroutable_copy = copy(&id);
    unroutable_copy.seen = Seen::Unroutable;
    let mut batch = Batch::new();
    // Both copies come, in either order.
    batch.track(&unroutable_copy);
    batch.track(&copy(&id));
    batch.track(&copy(&routed));
    site.store().apply(&batch).await?;
    ensure!(site.store().unroutable_services().await? == ["demo"]);
    ensure!(unroutable(site, "export").await?.is_empty());
    let task = unroutable(site, "demo").await?.pop().context("a task")?;
    ensure!(
        task.task_id == id && same_message(&task.message, &unroutable_copy.message),
        "{task:#?}"
    );
    let mut expected = lineage(1, 0, 0);
    for _ in 0..2 {
        site.store()
            .mark_resent(std::slice::from_ref(&task))
            .await?;
    }
    let row = site.store().task(id.as_str()).await?.context("a row")?;
    ensure!(
        row.state == TaskState::Pending && row.attempt() == expected,
        "{row:#?}"
    );
    ensure!(site.store().unroutable_services().await?.is_empty());
    let lines = site.store().history(&id).await?;
    ensure!(lines.len() == 3, "{lines:#?}");
    // Still no queue.
    unroutable_copy.envelope.lineage = expected;
    let mut batch = Batch::new();
    batch.track(&unroutable_copy);
    site.store().apply(&batch).await?;
    let again = unroutable(site, "demo").await?;
    expected.rescue = 2;
    ensure!(again.len() == 1 && again[0].next() == expected);
    site.store().mark_resent(&again).await?;
    let mut batch = Batch::new();
    batch.event(&event(&id, expected, TaskState::Success));
    site.store().apply(&batch).await?;
    let row = site.store().task(id.as_str()).await?.context("a row")?;
    ensure!(row.state == TaskState::Success && row.creator_id.is_none());
    Ok(())
}

async fn unroutable(site: &StoreSite, service: &str) -> anyhow::Result<Vec<UnroutableTask>> {
    let filter = UnroutableFilter {
        service: service.to_owned(),
        ..UnroutableFilter::default()
    };
    Ok(site.store().unroutable(&filter).await?)
}

/// By their keys, in pages, and without those that came back when these are not wanted.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn unroutable_tasks_are_found_by_their_key_and_in_pages(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let delayed = format!("{}proj.default", "0.1.".repeat(14));
    let keys = ["proj.default", &*delayed, "proj", "celery", "proj.x"];
    let mut batch = Batch::new();
    for (rescue, key) in (0..).zip(keys) {
        let mut copy = copy(&TaskId::random());
        copy.message.routing_key = key.into();
        copy.envelope.lineage = lineage(rescue / 4, 0, 0);
        copy.seen = Seen::Unroutable;
        batch.track(&copy);
    }
    site.store().apply(&batch).await?;
    ensure!(site.store().unroutable_services().await? == ["celery", "proj"]);
    ensure!(
        unroutable(site, "demo").await?.is_empty(),
        "whatever they are called"
    );
    let all = unroutable(site, "proj").await?;
    ensure!(all.len() == 4, "{all:#?}");
    let mut filter = UnroutableFilter {
        service: "proj".to_owned(),
        limit: 3,
        ..UnroutableFilter::default()
    };
    let mut paged = site.store().unroutable(&filter).await?;
    filter.after = paged.last().map(|task| task.place.clone());
    paged.extend(site.store().unroutable(&filter).await?);
    ensure!(paged == all, "{paged:#?}");
    filter = UnroutableFilter {
        first_time_only: true,
        after: None,
        ..filter
    };
    let first_time = site.store().unroutable(&filter).await?;
    ensure!(first_time.len() == 3, "{first_time:#?}");
    ensure!(first_time.iter().all(|task| task.lineage.rescue == 0));
    site.store().mark_resent(&all).await?;
    ensure!(unroutable(site, "proj").await?.is_empty());
    Ok(())
}

/// Reading needs none.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn nothing_is_written_without_a_secret_for_public_ids(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = connect(&StoreOptions::new(site.url())).await?;
    let mut batch = Batch::new();
    batch.track(&copy(&TaskId::random()));
    let error = store.apply(&batch).await.err().context("refused")?;
    ensure!(matches!(error, StoreError::NoIdSecret { .. }) && !error.is_transient());
    ensure!(store.tasks(&Default::default()).await?.is_empty());
    Ok(())
}

/// It goes on, and is near ours.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn the_clock_is_that_of_the_database(site: &StoreSite) -> anyhow::Result<()> {
    site.store().ping().await?;
    for _ in 0..2 {
        site.store().probe().await?;
    }
    let now = site.store().clock().await?;
    let off = (chrono::Utc::now() - now).num_seconds().abs();
    ensure!(off < 60, "{off} s off");
    site.another().await?.close().await;
    Ok(())
}
