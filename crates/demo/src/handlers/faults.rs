//! Handlers that go wrong, each in its own way.

use super::retries_so_far;
use crate::tasks::{Abort, Fail, Flaky, Panic, Throttled};
use counterfoil_worker::{Context, TaskError};
use std::panic::Location;

pub(crate) async fn fail(task: Fail, _: Context) -> Result<(), TaskError> {
    Err(TaskError::fail(task.message))
}

/// The failures are counted by the message itself, so any worker can take the next attempt.
pub(crate) async fn flaky(task: Flaky, cx: Context) -> Result<u32, TaskError> {
    let Flaky { key, failures } = task;
    let attempt = retries_so_far(&cx) + 1;
    if attempt <= failures {
        let text = format!("{key} fails for the {attempt}. time of {failures}");
        return Err(TaskError::retry(text));
    }
    Ok(attempt)
}

pub(crate) async fn throttled(task: Throttled, cx: Context) -> Result<u32, TaskError> {
    let waited = retries_so_far(&cx);
    if waited < task.times {
        let text = format!("throttled, {} times more", task.times - waited);
        return Err(TaskError::retry_uncounted(text, Throttled::WAIT));
    }
    Ok(waited)
}

/// Whether a panic at `location` is that of `demo.panic`, which does nothing else.
#[must_use]
pub fn is_on_purpose(location: &Location<'_>) -> bool {
    location.file() == file!()
}

pub(crate) async fn panic(task: Panic, _: Context) -> Result<(), TaskError> {
    panic!("{}", task.message)
}

pub(crate) async fn abort(_: Abort, cx: Context) -> Result<(), TaskError> {
    tracing::warn!(task_id = %cx.task_id(), "this task aborts the process");
    std::process::abort()
}
