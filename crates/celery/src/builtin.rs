//! Tasks that every worker of Celery has: <https://docs.celeryq.dev/en/stable/userguide/canvas.html#map-starmap>.
//!
//! They come by whatever queue their sender chose, so no queue is consumed because of them.

mod calling;

use crate::canvas::{CanvasError, Signature, send_with};
use crate::outcome::Awaited;
use counterfoil_toolbox::chord::UNLOCK;
use counterfoil_toolbox::message::Payload;
use counterfoil_toolbox::{TaskName, TaskOptions};
use counterfoil_worker::{Context, TaskError, WorkerBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Adds them to a worker.
pub(crate) fn join(worker: WorkerBuilder) -> WorkerBuilder {
    let once = || TaskOptions {
        max_retries: 0,
        ..TaskOptions::default()
    };
    worker
        .handle_raw_beside("celery.map", once(), map)
        .handle_raw_beside("celery.starmap", once(), starmap)
        .handle_raw_beside("celery.chunks", once(), chunks)
        .handle_raw_beside("celery.group", once(), calling::group)
        .handle_raw_beside("celery.chord", once(), calling::chord)
        .handle_raw_beside("celery.chain", once(), calling::chain)
        .handle_raw_beside("celery.accumulate", once(), accumulate)
        .handle_raw_beside(UNLOCK, once(), unlock)
        .handle_raw_beside("celery.ping", once(), ping)
        .handle_raw_beside("celery.backend_cleanup", once(), backend_cleanup)
}

/// A task, and what it is called with, time after time.
#[derive(Deserialize)]
struct Map<'a> {
    task: Named,
    #[serde(borrow)]
    it: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    task: TaskName,
}

impl<'a> Map<'a> {
    fn of(payload: &'a Payload) -> Result<Self, TaskError> {
        serde_json::from_str(payload.kwargs())
            .map_err(|error| TaskError::fail(format!("`task` and `it` cannot be read: {error}")))
    }
}

/// Calls a task of this worker with each item.
async fn map(payload: Payload, cx: Context) -> Result<Vec<Option<Box<RawValue>>>, TaskError> {
    let Map { task, it } = Map::of(&payload)?;
    let mut results = Vec::with_capacity(it.len());
    for item in it {
        let args = format!("[{}]", item.get());
        results.push(cx.call(&task.task, &args, "{}").await?);
    }
    Ok(results)
}

/// Calls a task of this worker with the items of each item.
async fn starmap(payload: Payload, cx: Context) -> Result<Vec<Option<Box<RawValue>>>, TaskError> {
    let Map { task, it } = Map::of(&payload)?;
    let mut results = Vec::with_capacity(it.len());
    for items in it {
        results.push(cx.call(&task.task, items.get(), "{}").await?);
    }
    Ok(results)
}

/// The same, so many items at a time.
#[derive(Deserialize)]
struct Chunks {
    task: Signature,
    it: Vec<Box<RawValue>>,
    n: usize,
}

/// Sends a task for each chunk of items, which calls one with the items of each.
async fn chunks(payload: Payload, cx: Context) -> Result<Awaited, TaskError> {
    let Chunks { task, it, n } = serde_json::from_str(payload.kwargs()).map_err(|error| {
        TaskError::fail(format!("`task`, `it` and `n` cannot be read: {error}"))
    })?;
    if n == 0 {
        return Err(TaskError::fail("chunks of no items: `n` is 0"));
    }
    task.can_be_copied(it.len().div_ceil(n))
        .map_err(TaskError::fail)?;
    let chunks = it.chunks(n).map(|items| task.each_of(items));
    call(&cx, &Signature::group(chunks), Vec::new()).await
}

/// Calls a signature, with these arguments before those of its first tasks.
async fn call(
    cx: &Context,
    signature: &Signature,
    args: Vec<Box<RawValue>>,
) -> Result<Awaited, TaskError> {
    match send_with(cx, signature, args).await {
        Ok(awaited) => Ok(awaited),
        Err(CanvasError::Invalid(why)) => Err(TaskError::fail(why)),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    index: Option<usize>,
}

/// Its arguments, or one of them.
async fn accumulate(payload: Payload, _: Context) -> Result<Box<RawValue>, TaskError> {
    let unreadable = |error: serde_json::Error| TaskError::fail(error);
    let Which { index } = serde_json::from_str(payload.kwargs()).map_err(unreadable)?;
    let args: Vec<Box<RawValue>> = serde_json::from_str(payload.args()).map_err(unreadable)?;
    match index {
        None => Ok(RawValue::from_string(payload.args().to_owned()).map_err(unreadable)?),
        Some(index) => {
            let arg = args.into_iter().nth(index);
            arg.ok_or_else(|| TaskError::fail(format!("there is no argument {index}")))
        }
    }
}

/// What it does is sent when it is over.
async fn unlock(_: Payload, _: Context) -> Result<(), TaskError> {
    Ok(())
}

async fn ping(_: Payload, _: Context) -> Result<&'static str, TaskError> {
    Ok("pong")
}

/// Results are removed by the platform's own rules.
async fn backend_cleanup(_: Payload, _: Context) -> Result<(), TaskError> {
    Err(TaskError::skip(
        "the platform removes results by its own rules",
    ))
}
