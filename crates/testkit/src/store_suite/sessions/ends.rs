//! Sessions that end before their subtasks do.

use super::stage::{Site, end, time_out, told};
use crate::store_suite::samples::{event, lineage};
use crate::store_suite::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, ControlFilter, SessionEnds};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::session::SessionStatus;
use std::time::Duration;

/// Those that wait are revoked at once, and those that run when their worker says so.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn an_aborted_session_is_over_when_its_running_subtasks_are(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 3).await?;
    let running = told(&session.opening, 1, 0, TaskState::Started);
    session.tell(&[running]).await?;
    abort(&session).await?;
    let row = session.row().await?;
    ensure!(
        row.status == SessionStatus::Aborting && row.failed == 2,
        "{row:?}"
    );
    ensure!(row.aborted_by.as_deref() == Some("bob"));
    let asked = ControlFilter {
        subject: Some(row.id.to_string()),
        ..ControlFilter::default()
    };
    let kinds = site.store().controls(&asked).await?;
    ensure!(
        kinds
            .iter()
            .map(|one| one.kind.as_str())
            .eq(["revoke_session"])
    );
    let stopped = told(&session.opening, 1, 0, TaskState::Revoked);
    session.tell(&[stopped]).await?;
    let row = session.row().await?;
    ensure!(row.status == SessionStatus::Aborted && row.failed == 3);
    let summary = session.summary().await?.context("its finalizer runs")?;
    ensure!(summary["status"] == "ABORTED");
    ensure!(summary["subtasks"][0]["error_kind"] == FaultKind::Aborted.as_str());
    // What is over cannot be aborted.
    abort(&session).await?;
    ensure!(session.row().await?.status == SessionStatus::Aborted);
    Ok(())
}

async fn abort(session: &Site<'_>) -> anyhow::Result<()> {
    end(session, SessionEnds::Aborted, Some("bob")).await
}

/// Also those of which nothing was ever heard.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_whose_time_is_over_ends_with_what_is_missing_as_failed(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 3).await?;
    session
        .tell(&[
            told(&session.opening, 0, 0, TaskState::Success),
            told(&session.opening, 1, 0, TaskState::Started),
        ])
        .await?;
    let store = site.store();
    let hour = Duration::from_secs(3600);
    ensure!(store.overdue_sessions(hour, hour, 0).await?.is_empty());
    ensure!(
        store
            .overdue_sessions(Duration::ZERO, hour, 0)
            .await?
            .is_empty()
    );
    let overdue = store.overdue_sessions(Duration::ZERO, Duration::ZERO, 0);
    ensure!(overdue.await?.iter().eq([&session.opening.id]));
    let rows = store
        .unfinished_subtasks(&session.opening.id, None, 0)
        .await?;
    ensure!(rows.iter().map(|one| one.position).eq([1, 2]));
    time_out(&session).await?;
    let row = session.row().await?;
    ensure!(row.status == SessionStatus::TimedOut, "{row:?}");
    ensure!((row.succeeded, row.failed) == (1, 2));
    let summary = session.summary().await?.context("its finalizer runs")?;
    for missing in [1, 2] {
        let kind = &summary["subtasks"][missing]["error_kind"];
        ensure!(*kind == FaultKind::SessionTimeout.as_str(), "{summary:#}");
    }
    let task = store.task(session.opening.subtasks[2].id.as_str()).await?;
    let task = task.context("a row for a task that was never sent")?;
    ensure!(task.state == TaskState::Failure && task.name == "demo.add");
    // It is known by its own end now; the session has told its finalizer already.
    session.all(TaskState::Success).await?;
    ensure!(session.row().await?.failed == 2);
    ensure!(
        store
            .overdue_sessions(Duration::ZERO, Duration::ZERO, 0)
            .await?
            .is_empty()
    );
    Ok(())
}

/// Neither one that is open nor one of whose tasks a row is left.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_goes_after_the_last_of_its_tasks(site: &StoreSite) -> anyhow::Result<()> {
    let (session, open) = (Site::opened(site, 2).await?, Site::opened(site, 1).await?);
    session.all(TaskState::Success).await?;
    let ids = [&session, &open].map(|site| site.opening.id.clone());
    let store = site.store();
    ensure!(
        store.remove_sessions(&ids).await? == 0,
        "its tasks have rows"
    );
    let subtasks = session.opening.subtasks.iter();
    let subtasks: Vec<_> = subtasks.map(|subtask| subtask.id.clone()).collect();
    let finalizer = session.opening.finalizer.id.clone();
    let mut batch = Batch::new();
    batch.event(&event(&finalizer, lineage(0, 0, 0), TaskState::Success));
    store.apply(&batch).await?;
    ensure!(store.delete_tasks(&subtasks, None).await?.len() == 2);
    ensure!(
        store.remove_sessions(&ids).await? == 0,
        "so has its finalizer"
    );
    store.delete_tasks(&[finalizer], None).await?;
    ensure!(store.remove_sessions(&ids).await? == 1);
    ensure!(store.session(&ids[0]).await?.is_none());
    ensure!(store.subtasks(&ids[0], None, 10).await?.is_empty());
    ensure!(open.row().await?.status == SessionStatus::Ongoing);
    ensure!(store.subtasks(&ids[1], None, 10).await?.len() == 1);
    Ok(())
}

/// Also where one page of its subtasks is just full.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_of_any_number_of_subtasks_times_out(site: &StoreSite) -> anyhow::Result<()> {
    for count in [499, 500, 501] {
        let session = Site::opened(site, count).await?;
        time_out(&session).await?;
        let row = session.row().await?;
        ensure!(row.status == SessionStatus::TimedOut, "{count}: {row:?}");
        ensure!(usize::try_from(row.failed)? == count);
    }
    Ok(())
}
