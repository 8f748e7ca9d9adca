//! What a batch tells callers in Python. Pure.

use super::pickle::pickle;
use crate::batch::Batch;
use crate::merge::{ResultChange, TaskChange, Told};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::event::{Exception, FaultKind, Raiser, TaskFault};
use counterfoil_toolbox::state::StateKey;
use serde_json::json;
use std::borrow::Cow;

/// What a caller is told of a task, if its row says the same.
#[derive(Debug, PartialEq)]
pub(crate) struct ResultRow<'a> {
    pub(crate) task_id: &'a str,
    /// The state that it is about.
    pub(crate) key: StateKey,
    pub(crate) status: &'static str,
    pub(crate) result: Vec<u8>,
    /// When it was over.
    pub(crate) date_done: Option<DateTime<Utc>>,
    pub(crate) traceback: Option<Cow<'a, str>>,
    pub(crate) children: Option<&'a str>,
    pub(crate) worker: Option<&'a str>,
}

/// What a caller is told of a task that will never be sent, if its predecessor's row says that it failed.
#[derive(Debug, PartialEq)]
pub(crate) struct SkippedRow<'a> {
    pub(crate) task_id: &'a str,
    /// The predecessor, and how it ended.
    pub(crate) after: &'a str,
    pub(crate) key: StateKey,
    pub(crate) result: Vec<u8>,
    pub(crate) date_done: DateTime<Utc>,
    pub(crate) traceback: Option<Cow<'a, str>>,
    pub(crate) name: &'a str,
    pub(crate) args: Option<&'a str>,
    pub(crate) kwargs: Option<&'a str>,
}

/// Everything that a batch has to tell callers of its tasks.
pub(crate) fn result_rows(batch: &Batch, encoding: CeleryEncoding) -> Vec<ResultRow<'_>> {
    let rows = batch.tasks.values().filter_map(|change| {
        let outcome = outcome_of(batch, change);
        row(change, outcome, encoding)
    });
    rows.collect()
}

/// Everything that it has to tell callers of tasks that are never sent.
pub(crate) fn skipped_rows(batch: &Batch, encoding: CeleryEncoding) -> Vec<SkippedRow<'_>> {
    let mut rows = Vec::new();
    for change in batch.tasks.values() {
        let Some(told) = change.state.told.as_deref() else {
            continue;
        };
        if told.skipped.is_empty() {
            continue;
        }
        let outcome = outcome_of(batch, change);
        let raised = exception_of(change, told.because.as_ref());
        let result = encoded(&raised.to_celery().to_string(), encoding);
        let traceback = traceback_of(outcome, Some(told), &raised);
        rows.extend(told.skipped.iter().map(|step| SkippedRow {
            task_id: step.id.as_str(),
            after: change.task_id.as_str(),
            key: change.state.key,
            result: result.clone(),
            date_done: outcome.map_or(told.at, |outcome| outcome.date_done),
            traceback: traceback.clone(),
            name: step.task.as_str(),
            args: step.args.as_ref().map(|json| json.get()),
            kwargs: step.kwargs.as_ref().map(|json| json.get()),
        }));
    }
    rows.sort_by(|one, other| one.task_id.cmp(other.task_id));
    rows.dedup_by(|one, other| one.task_id == other.task_id);
    rows
}

/// Tasks of a batch that were revoked, as a JSON array, and what callers find as their result. `None`: there are none.
pub(crate) fn revoked_rows(batch: &Batch, encoding: CeleryEncoding) -> Option<(String, Vec<u8>)> {
    if batch.revoked.is_empty() {
        return None;
    }
    Some((json!(batch.revoked).to_string(), revoked_result(encoding)))
}

/// What callers find as the result of a task that was revoked and that nobody has begun.
pub(crate) fn revoked_result(encoding: CeleryEncoding) -> Vec<u8> {
    let revoked = Exception::new("TaskRevokedError", ["revoked"]).of_module("celery.exceptions");
    encoded(&revoked.to_celery().to_string(), encoding)
}

/// The outcome that goes with the state of a task.
fn outcome_of<'a>(batch: &'a Batch, change: &TaskChange) -> Option<&'a ResultChange> {
    let key = (change.task_id.clone(), change.state.key.run);
    let outcome = batch.results.get(&key)?;
    (outcome.key == change.state.key).then_some(outcome)
}

fn row<'a>(
    change: &'a TaskChange,
    outcome: Option<&'a ResultChange>,
    encoding: CeleryEncoding,
) -> Option<ResultRow<'a>> {
    let state = &change.state;
    let told = state.told.as_deref();
    // Celery's own workers write themselves what became of their tasks.
    let is_theirs = state
        .worker
        .as_ref()
        .is_some_and(|worker| !worker.is_of_a_process());
    if is_theirs || told.is_some_and(|told| told.ignored) {
        return None;
    }
    let exception = exception_of(change, None);
    let raised = || exception.to_celery().to_string();
    let (status, result) = match state.state {
        // Celery has no row of such a task either, unless it is told to track the start of tasks: who asks for the state
        // of one that waits for its next try finds RETRY until that is over.
        TaskState::Pending | TaskState::Unroutable | TaskState::Received | TaskState::Started => {
            return None;
        }
        TaskState::Progress => (
            "PROGRESS",
            serde_json::to_string(state.progress.as_ref()?).ok()?,
        ),
        TaskState::Success => {
            let result = outcome.and_then(|outcome| outcome.result.as_ref());
            (
                "SUCCESS",
                result.map_or("null", |json| json.get()).to_owned(),
            )
        }
        // The message of the next attempt says so, and who sent it will say why.
        TaskState::Retry if state.error_kind.is_none() => return None,
        TaskState::Retry => ("RETRY", raised()),
        TaskState::Revoked => ("REVOKED", raised()),
        TaskState::Failure | TaskState::Rejected => ("FAILURE", raised()),
    };
    let is_over = state.state.is_terminal();
    Some(ResultRow {
        task_id: change.task_id.as_str(),
        key: state.key,
        status,
        result: encoded(&result, encoding),
        date_done: is_over.then(|| outcome.map_or_else(Utc::now, |outcome| outcome.date_done)),
        traceback: traceback_of(outcome, told, &exception),
        children: told.and_then(|told| Some(told.children.as_ref()?.get())),
        worker: state.worker.as_ref().map(|worker| worker.as_str()),
    })
}

/// What stands where Python has a traceback.
fn traceback_of<'a>(
    outcome: Option<&'a ResultChange>,
    told: Option<&'a Told>,
    raised: &Exception,
) -> Option<Cow<'a, str>> {
    let known = outcome.and_then(|outcome| outcome.traceback.as_deref());
    let known = known.map(Cow::from);
    known.or_else(|| told?.fault.as_ref()?.traceback_of(raised))
}

/// What a task raised.
pub(super) fn exception_of(change: &TaskChange, instead: Option<&Exception>) -> Exception {
    if let Some(exception) = instead {
        return exception.clone();
    }
    let state = &change.state;
    let told = state.told.as_deref();
    let raiser = Raiser {
        task: change.name(),
        hard_limit: None,
        was_started: told.is_some_and(|told| told.was_started),
    };
    match told.and_then(|told: &Told| told.fault.as_ref()) {
        Some(fault) => Exception::of_fault(fault, raiser),
        None => {
            let kind = state.error_kind.and_then(|kind| kind.parse().ok());
            let message = state.error_message.as_deref().unwrap_or_default();
            let fault = TaskFault::new(kind.unwrap_or(FaultKind::Exception), message);
            Exception::of_fault(&fault, raiser)
        }
    }
}

fn encoded(json: &str, encoding: CeleryEncoding) -> Vec<u8> {
    match encoding {
        CeleryEncoding::Json => json.as_bytes().to_vec(),
        // What is no JSON was never a result.
        CeleryEncoding::Pickle => pickle(json).unwrap_or_else(|| b"\x80\x02N.".to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::event::{Event, EventKind};
    use counterfoil_toolbox::ids::{TaskId, WorkerId};
    use counterfoil_toolbox::state::Lineage;

    #[test]
    fn callers_are_not_told_that_a_task_was_started_as_celery_does_not_tell_them() {
        let statuses = |state: TaskState| {
            let name = "demo.add".parse().expect("valid");
            let (id, kind) = (TaskId::random(), EventKind::State(state));
            let mut event = Event::new(id, name, Lineage::default(), kind, Utc::now());
            event.worker = WorkerId::new("demo@host.7.0a0b0c0d").ok();
            event.error = Some(TaskFault::new(FaultKind::Exception, "again"));
            let mut batch = Batch::new();
            batch.event(&event);
            let rows = result_rows(&batch, CeleryEncoding::Json);
            rows.iter().map(|row| row.status).collect::<Vec<_>>()
        };
        assert!(statuses(TaskState::Started).is_empty());
        assert_eq!(statuses(TaskState::Retry), ["RETRY"]);
        assert_eq!(statuses(TaskState::Failure), ["FAILURE"]);
    }
}
