//! Handlers that answer at once.

use crate::tasks::{Add, Big, Echo};
use counterfoil_worker::{Context, TaskError};
use serde_json::value::RawValue;

/// Largest text that is made, whatever the worker's own limit for results.
const MAX_BYTES: usize = 64 * 1024 * 1024;

pub(crate) async fn add(task: Add, _: Context) -> Result<i64, TaskError> {
    let Add { x, y } = task;
    x.checked_add(y)
        .ok_or_else(|| TaskError::fail(format!("{x} + {y} needs more than 64 bits")))
}

pub(crate) async fn echo(task: Echo, _: Context) -> Result<Box<RawValue>, TaskError> {
    Ok(task.value)
}

pub(crate) async fn big(task: Big, _: Context) -> Result<String, TaskError> {
    match task.bytes {
        bytes @ ..=MAX_BYTES => Ok("x".repeat(bytes)),
        bytes => Err(TaskError::fail(format!(
            "{bytes} bytes are too many; at most {MAX_BYTES} can be asked for"
        ))),
    }
}
