//! Sessions: whatever comes in whatever order, the counters are right and the finalizer is queued once.

use super::samples::{copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, ControlFilter, SessionFilter, SessionRow, Store};
use counterfoil_toolbox::event::{Event, FaultKind};
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::session::{ErrorPolicy, Finalizer, Opening, SessionStatus, Subtask};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::{Priority, TaskName, TaskState};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A session with its subtasks.
struct Site<'a> {
    site: &'a StoreSite,
    opening: Opening,
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

fn opening(subtasks: usize) -> Opening {
    let name = |name| TaskName::new(name).expect("a task name");
    Opening {
        id: SessionId::random(),
        action: "harvest".into(),
        policy: ErrorPolicy::Complete,
        estimated_ms: None,
        buffer_ms: None,
        finalizer: Finalizer {
            id: TaskId::random(),
            task: name("demo.end"),
            args: raw("[7]"),
            kwargs: raw(r#"{"session": null}"#),
            takes_summary: true,
            max_retries: None,
            time_limit_ms: None,
            soft_time_limit_ms: None,
            priority: Priority::Normal,
            parent_id: None,
            root_id: None,
            creator: Some("ana".into()),
            related: Some("project:17".into()),
            identifier: None,
        },
        subtasks: (0..subtasks)
            .map(|_| Subtask {
                id: TaskId::random(),
                task: name("demo.add"),
            })
            .collect(),
    }
}

fn told(opening: &Opening, subtask: usize, executions: i32, state: TaskState) -> Event {
    let id = &opening.subtasks[subtask].id;
    let mut event = event(id, lineage(0, executions, 0), state);
    event.session_id = Some(opening.id.as_str().into());
    event
}

impl<'a> Site<'a> {
    async fn opened(site: &'a StoreSite, subtasks: usize) -> anyhow::Result<Self> {
        let opening = opening(subtasks);
        let this = Self { site, opening };
        this.open().await?;
        Ok(this)
    }

    async fn open(&self) -> anyhow::Result<()> {
        let mut batch = Batch::new();
        batch.open_session(&self.opening);
        self.site.store().apply(&batch).await?;
        Ok(())
    }

    async fn tell(&self, events: &[Event]) -> anyhow::Result<counterfoil_store::Applied> {
        let mut batch = Batch::new();
        events.iter().for_each(|event| batch.event(event));
        Ok(self.site.store().apply(&batch).await?)
    }

    async fn all(&self, state: TaskState) -> anyhow::Result<()> {
        let all = 0..self.opening.subtasks.len();
        let events: Vec<_> = all.map(|n| told(&self.opening, n, 0, state)).collect();
        self.tell(&events).await.map(drop)
    }

    async fn row(&self) -> anyhow::Result<SessionRow> {
        let row = self.site.store().session(&self.opening.id).await?;
        row.context("the session's row")
    }

    /// The summary that its finalizer would get; `None`: no finalizer has been queued.
    async fn summary(&self) -> anyhow::Result<Option<Value>> {
        let of = self.opening.id.as_str();
        let key = format!("key = 'finalizer:{of}'");
        let count = self
            .site
            .text(&format!(
                "SELECT CAST(count(*) AS text) FROM outbox WHERE {key}"
            ))
            .await?;
        if count.as_deref() == Some("0") {
            return Ok(None);
        }
        ensure!(count.as_deref() == Some("1"), "{count:?} finalizers");
        let body = match self.site.url().starts_with("sqlite") {
            true => "CAST(message AS text)",
            false => "convert_from(message, 'UTF8')",
        };
        let message = format!("SELECT {body} FROM outbox WHERE {key}");
        let message = self.site.text(&message).await?.context("a body")?;
        let (args, kwargs, _): (Value, Value, Value) = serde_json::from_str(&message)?;
        ensure!(args == json!([7]), "{args}");
        Ok(Some(kwargs["session"].clone()))
    }
}

/// Two daemons at once, each with half of what is told, then the other half: of a session of three, its opening
/// included, in all 720 orders.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn every_order_of_a_session_ends_in_the_same_counters_and_one_finalizer(
    site: &StoreSite,
) -> anyhow::Result<()> {
    use TaskState::{Failure, Retry, Success};
    let sessions: Vec<_> = permutations(6)
        .into_iter()
        .map(|o| (o, opening(3)))
        .collect();
    let sessions = Arc::new(sessions);
    let told_of = |opening: &Opening, place: usize, batch: &mut Batch| match place {
        0 => batch.open_session(opening),
        1 => {
            let mut skipped = told(opening, 0, 0, Success);
            skipped.skipped = Some("nothing to do".into());
            batch.event(&skipped);
        }
        2 => batch.event(&told(opening, 1, 0, Retry)),
        3 => {
            let mut snoozed = told(opening, 1, 1, Retry);
            snoozed.counted = Some(false);
            batch.event(&snoozed);
        }
        4 => batch.event(&told(opening, 1, 2, Success)),
        _ => batch.event(&told(opening, 2, 0, Failure)),
    };
    let daemon = |store: Arc<dyn Store>, steps: [usize; 6]| {
        let sessions = Arc::clone(&sessions);
        async move {
            for step in steps {
                for sessions in sessions.chunks(180) {
                    let mut batch = Batch::new();
                    for (order, opening) in sessions {
                        told_of(opening, order[step], &mut batch);
                    }
                    store.apply(&batch).await?;
                }
            }
            anyhow::Ok(())
        }
    };
    let (one, other) = (site.another().await?, site.another().await?);
    let one = daemon(one, [0, 2, 4, 5, 3, 1]);
    let other = daemon(other, [1, 3, 5, 4, 2, 0]);
    tokio::try_join!(one, other)?;
    for (order, opening) in sessions.iter() {
        let opening = opening.clone();
        let session = Site { site, opening };
        let row = session.row().await?;
        let counters = [
            row.total,
            row.succeeded,
            row.failed,
            row.skipped,
            row.retried_counted,
            row.retried_uncounted,
        ];
        ensure!(counters == [3, 2, 1, 1, 1, 1], "{order:?}: {counters:?}");
        ensure!(
            row.status == SessionStatus::CompletedWithErrors && row.finished_at.is_some(),
            "{order:?}: {row:?}"
        );
    }
    let queued = "SELECT CAST(count(*) AS text) FROM outbox WHERE key LIKE 'finalizer:%'";
    ensure!(site.text(queued).await?.as_deref() == Some("720"));
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
    let told = (stranger.id.clone(), stranger.subtasks[0].id.clone());
    ensure!(applied.strange_subtasks == [told], "{applied:?}");
    ensure!(session.row().await? == before);
    // The same under another session's name.
    let mut wrong = event_of_another(&session.opening);
    wrong.session_id = Some("no such session".into());
    session.tell(&[wrong]).await?;
    ensure!(session.row().await? == before);
    Ok(())
}

fn event_of_another(opening: &Opening) -> Event {
    told(opening, 0, 0, TaskState::Success)
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
    Ok(())
}

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
    let store = session.site.store();
    let (row, now) = (session.row().await?, store.clock().await?);
    let rows = store.unfinished_subtasks(&row.id, None, 0).await?;
    let mut batch = Batch::new();
    batch.abort_session(&row.id, Some("bob"), now);
    batch.end_subtasks(&row, &rows, now);
    store.apply(&batch).await?;
    Ok(())
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
    ensure!(overdue.await? == [session.opening.id.clone()]);
    let (row, now) = (session.row().await?, store.clock().await?);
    let rows = store.unfinished_subtasks(&row.id, None, 0).await?;
    ensure!(rows.iter().map(|one| one.position).eq([1, 2]));
    let mut batch = Batch::new();
    batch.time_out_session(&row.id, now);
    batch.end_subtasks(&row, &rows, now);
    store.apply(&batch).await?;
    store.apply(&batch).await?;
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
