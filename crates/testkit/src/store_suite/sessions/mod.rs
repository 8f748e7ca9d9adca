//! Sessions: whatever comes in whatever order, the counters are right and the finalizer is queued once.

mod ends;
mod feed;
mod orders;
mod stage;
mod tales;

pub use ends::{
    a_session_goes_after_the_last_of_its_tasks, a_session_of_any_number_of_subtasks_times_out,
    a_session_whose_finalizer_cannot_be_read_ends_and_tells_so,
    a_session_whose_time_is_over_ends_with_what_is_missing_as_failed,
    a_time_out_that_was_left_in_the_middle_is_one,
    an_aborted_session_is_over_when_its_subtasks_are,
    old_sessions_are_found_by_how_long_those_of_their_finalizers_are_kept,
    sessions_are_counted_until_they_are_over, subtasks_of_an_open_session_cannot_be_deleted,
    subtasks_that_were_never_sent_are_counted,
};

pub use feed::{
    whoever_follows_is_told_of_sessions_that_change,
    whoever_follows_is_told_that_a_finalizer_was_thrown_away,
};
pub use orders::every_order_of_a_session_ends_in_the_same_counters_and_one_finalizer;
pub use tales::whatever_becomes_of_subtasks_a_session_counts_it_as_a_model_does;

use super::samples::copy_of;
use super::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, SessionFilter};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::session::SessionStatus;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::{TaskName, TaskState};
use serde_json::json;
pub(super) use stage::opening;
use stage::{Site, raw, time_out, told};

/// With the results of its subtasks, and with the errors of those that failed.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_finalizer_is_told_how_every_subtask_ended(site: &StoreSite) -> anyhow::Result<()> {
    let session = Site::opened(site, 2).await?;
    let mut failed = told(&session.opening, 1, 0, TaskState::Failure);
    let fault = failed.error.as_mut().context("a fault")?;
    fault.message = "no such page".to_owned();
    session.tell(&[failed]).await?;
    ensure!(session.row().await?.progress() == 50);
    ensure!(session.summary().await?.is_none(), "too early");
    let done = told(&session.opening, 0, 0, TaskState::Success);
    let applied = session.tell(&[done]).await?;
    let ended = (
        session.opening.id.clone(),
        SessionStatus::CompletedWithErrors,
    );
    ensure!(applied.finished_sessions == [ended], "{applied:?}");
    let summary = session.summary().await?.context("a finalizer")?;
    let ids = session.opening.subtasks.iter().map(|one| one.id.as_str());
    let ids: Vec<_> = ids.collect();
    let duration = &summary["duration_ms"];
    ensure!(
        summary
            == json!({
                "id": session.opening.id.as_str(), "action": "harvest",
                "status": "COMPLETED_WITH_ERRORS", "total": 2, "succeeded": 1, "failed": 1,
                "revoked": 0, "skipped": 0, "retried_counted": 0, "retried_uncounted": 0,
                "duration_ms": duration, "results_left_out": false,
                "subtasks": [
                    {"id": ids[0], "task": "demo.add", "state": "SUCCESS", "result": 3},
                    {"id": ids[1], "task": "demo.add", "state": "FAILURE",
                     "error_kind": "exception", "error_message": "no such page"},
                ],
            }),
        "{summary:#}"
    );
    let row = session.row().await?;
    ensure!(row.creator_id.as_deref() == Some("ana"));
    ensure!(row.related_object_id.as_deref() == Some("17"));
    ensure!(duration.as_i64() == Some(row.duration_ms));
    Ok(())
}

/// They stay in the database; the finalizer reads those that it wants.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn results_that_are_large_together_are_left_out_of_the_summary(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 2).await?;
    let large = format!("{:?}", "x".repeat(200 * 1024));
    let mut events = [0, 1].map(|n| told(&session.opening, n, 0, TaskState::Success));
    events
        .iter_mut()
        .for_each(|event| event.result = Some(raw(&large)));
    session.tell(&events).await?;
    let summary = session.summary().await?.context("a finalizer")?;
    ensure!(summary["results_left_out"] == true);
    ensure!(summary["subtasks"][0].get("result").is_none());
    ensure!(
        summary["subtasks"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    );
    Ok(())
}

/// Nothing changes, and whoever wrote is told.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_a_session_does_not_list_counts_for_nothing_there(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 1).await?;
    let mut stranger = opening(1);
    stranger.id = session.opening.id.clone();
    let before = session.row().await?;
    let event = told(&stranger, 0, 0, TaskState::Success);
    let applied = session.tell(&[event]).await?;
    let strange = (stranger.id.clone(), stranger.subtasks[0].id.clone());
    ensure!(applied.strange_subtasks == [strange], "{applied:?}");
    ensure!(session.row().await? == before);
    // The other way round: a session lists a task that is not its own, and cannot end that.
    let id = session.opening.subtasks[0].id.clone();
    let mut other = told(&session.opening, 0, 0, TaskState::Started);
    other.session_id = Some("another session".into());
    session.tell(&[other]).await?;
    ensure!(session.row().await? == before);
    time_out(&session).await?;
    ensure!(session.row().await?.status == SessionStatus::TimedOut);
    let task = site.store().task(id.as_str()).await?.context("a row")?;
    ensure!(task.state == TaskState::Started, "{task:?}");
    Ok(())
}

/// A session of none is over when it is opened; one that is opened again is not another.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_without_subtasks_is_over_at_once_and_opened_once(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 0).await?;
    let row = session.row().await?;
    ensure!(row.status == SessionStatus::Success && row.progress() == 100);
    ensure!(session.summary().await?.is_some());
    session.open().await?;
    ensure!(session.row().await? == row);
    ensure!(session.summary().await?.is_some(), "one finalizer");
    let open = SessionFilter {
        open: true,
        ..SessionFilter::default()
    };
    ensure!(site.store().sessions(&open).await?.is_empty());
    let other = Site::opened(site, 1).await?;
    let of_finalizer = SessionFilter {
        finalizer: Some(other.opening.finalizer.id.to_string()),
        ..SessionFilter::default()
    };
    let found = site.store().sessions(&of_finalizer).await?;
    ensure!(found.len() == 1 && found[0].id == other.opening.id);
    Ok(())
}

/// A copy that tells of the session counts as much as an event, and so does a run of its own.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn the_session_of_a_task_is_known_from_its_copy_too(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 1).await?;
    let id = session.opening.subtasks[0].id.clone();
    let mut silent = told(&session.opening, 0, 0, TaskState::Success);
    silent.session_id = None;
    session.tell(&[silent]).await?;
    ensure!(session.row().await?.attempted() == 0);
    let mut envelope = Envelope::new(id, TaskName::new("demo.add")?);
    envelope.session_id = Some(session.opening.id.as_str().into());
    envelope.lineage = Lineage::default();
    let mut batch = Batch::new();
    batch.track(&copy_of(envelope));
    site.store().apply(&batch).await?;
    ensure!(session.row().await?.status == SessionStatus::Success);
    Ok(())
}

/// What was refused may have been taken all the same, and what is sent again runs.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_subtask_that_was_refused_and_runs_after_all_is_waited_for(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 2).await?;
    let tell = async |subtask, state| {
        let event = told(&session.opening, subtask, 0, state);
        session.tell(&[event]).await
    };
    tell(0, TaskState::Rejected).await?;
    ensure!(session.row().await?.failed == 1);
    tell(0, TaskState::Started).await?;
    ensure!(session.row().await?.failed == 0);
    tell(1, TaskState::Success).await?;
    ensure!(session.row().await?.status == SessionStatus::Ongoing);
    tell(0, TaskState::Success).await?;
    let row = session.row().await?;
    ensure!(
        (row.status, row.succeeded) == (SessionStatus::Success, 2),
        "{row:?}"
    );
    Ok(())
}

/// Before its end, after it, or with it in one batch.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_retry_that_was_given_up_counts_whenever_it_is_heard_of(
    site: &StoreSite,
) -> anyhow::Result<()> {
    use TaskState::{Failure, Retry};
    for batches in [
        &[&[Retry][..], &[Failure]][..],
        &[&[Failure], &[Retry]],
        &[&[Failure, Retry]],
    ] {
        let session = Site::opened(site, 1).await?;
        for batch in batches {
            let events = batch
                .iter()
                .map(|state| told(&session.opening, 0, 0, *state));
            session.tell(&events.collect::<Vec<_>>()).await?;
        }
        let row = session.row().await?;
        ensure!(
            (row.failed, row.retried_counted) == (1, 1),
            "{batches:?}: {row:?}"
        );
    }
    Ok(())
}
