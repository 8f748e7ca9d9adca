//! What the worker does for each task: one function per task, in the files of their structs.

pub(crate) mod basic;
pub(crate) mod export;
pub(crate) mod family;
pub(crate) mod faults;
pub(crate) mod harvest;
pub(crate) mod waiting;

use crate::ledger::{Entry, Ledger};
use counterfoil_worker::{Context, TaskError};
use std::future::Future;

/// Runs `handler` and notes in the ledger that it starts and that it ended.
pub(crate) async fn noted<T, Out, Fut>(
    task: T,
    cx: Context,
    handler: impl FnOnce(T, Context) -> Fut,
) -> Result<Out, TaskError>
where
    Fut: Future<Output = Result<Out, TaskError>>,
{
    let _entry = enter(&cx);
    handler(task, cx).await
}

/// [`noted`] for a handler that blocks.
pub(crate) fn noted_blocking<T, Out>(
    task: T,
    cx: Context,
    handler: impl FnOnce(T, Context) -> Result<Out, TaskError>,
) -> Result<Out, TaskError> {
    let _entry = enter(&cx);
    handler(task, cx)
}

fn enter(cx: &Context) -> Option<Entry> {
    cx.state::<Ledger>().enter(cx.task_id(), cx.lineage())
}

/// How often the task has been put off before, however it asked for it.
fn retries_so_far(cx: &Context) -> u32 {
    u32::try_from(cx.lineage().retries()).unwrap_or(0)
}
