//! Sessions: whatever comes in whatever order, the counters are right and the finalizer is queued once.

mod ends;
mod stage;

pub use ends::{
    a_session_goes_after_the_last_of_its_tasks, a_session_of_any_number_of_subtasks_times_out,
    a_session_whose_time_is_over_ends_with_what_is_missing_as_failed,
    an_aborted_session_is_over_when_its_running_subtasks_are,
};

use super::samples::copy_of;
use super::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, SessionFilter, Store};
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::session::{Opening, SessionStatus};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::{TaskName, TaskState};
use serde_json::json;
use stage::{Site, opening, raw, time_out, told};
use std::sync::Arc;

/// Two daemons at once, each with half of what is told, then the other half: of a session of three, its opening
/// included, in all 720 orders.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn every_order_of_a_session_ends_in_the_same_counters_and_one_finalizer(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let orders = permutations(6).into_iter();
    let sessions: Arc<Vec<_>> = Arc::new(orders.map(|o| (o, Inputs::new(opening(3)))).collect());
    let daemon = |store: Arc<dyn Store>, steps: [usize; 3]| {
        let sessions = Arc::clone(&sessions);
        async move {
            for step in steps {
                for sessions in sessions.chunks(180) {
                    let mut batch = Batch::new();
                    for (order, inputs) in sessions {
                        inputs.add_to(&mut batch, order[step]);
                    }
                    store.apply(&batch).await?;
                }
            }
            anyhow::Ok(())
        }
    };
    let (one, other) = (site.another().await?, site.another().await?);
    // Each is told once; then the other daemon tells it too.
    for steps in [[[0, 2, 4], [1, 3, 5]], [[5, 3, 1], [4, 2, 0]]] {
        let [mine, others] = steps;
        tokio::try_join!(daemon(one.clone(), mine), daemon(other.clone(), others))?;
        for (order, inputs) in sessions.iter() {
            check(site, &inputs.opening)
                .await
                .with_context(|| format!("{order:?}"))?;
        }
    }
    let queued = "SELECT CAST(count(*) AS text) FROM outbox WHERE key LIKE 'finalizer:%'";
    ensure!(site.text(queued).await?.as_deref() == Some("720"));
    Ok(())
}

/// What is told of a session of three.
struct Inputs {
    opening: Opening,
    events: [Event; 5],
}

impl Inputs {
    fn new(opening: Opening) -> Self {
        use TaskState::{Failure, Retry, Success};
        let mut skipped = told(&opening, 0, 0, Success);
        skipped.skipped = Some("nothing to do".into());
        let mut snoozed = told(&opening, 1, 1, Retry);
        snoozed.counted = Some(false);
        let events = [
            skipped,
            told(&opening, 1, 0, Retry),
            snoozed,
            told(&opening, 1, 2, Success),
            told(&opening, 2, 0, Failure),
        ];
        Self { opening, events }
    }

    fn add_to(&self, batch: &mut Batch, place: usize) {
        match place.checked_sub(1) {
            None => batch.open_session(&self.opening),
            Some(place) => batch.event(&self.events[place]),
        }
    }
}

async fn check(site: &StoreSite, opening: &Opening) -> anyhow::Result<()> {
    let opening = opening.clone();
    let row = Site { site, opening }.row().await?;
    let counters = [
        row.total,
        row.succeeded,
        row.failed,
        row.skipped,
        row.retried_counted,
        row.retried_uncounted,
    ];
    ensure!(counters == [3, 2, 1, 1, 1, 1], "{counters:?}");
    ensure!(row.status == SessionStatus::CompletedWithErrors, "{row:?}");
    ensure!(row.finished_at.is_some(), "{row:?}");
    Ok(())
}

/// All orders of the numbers below `n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(n - 1) {
        for place in 0..n {
            let mut order = shorter.clone();
            order.insert(place, n - 1);
            all.push(order);
        }
    }
    all
}

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
                "skipped": 0, "retried_counted": 0, "retried_uncounted": 0,
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
