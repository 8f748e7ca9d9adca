//! Handlers that take their time.

use crate::tasks::{Block, Hang, Limited, Long, Progress, Sleep};
use counterfoil_worker::{Context, TaskError};
use serde_json::json;
use std::time::Duration;
use tracing::Level;

pub(crate) async fn sleep(task: Sleep, _: Context) -> Result<f64, TaskError> {
    tokio::time::sleep(duration(task.seconds)?).await;
    Ok(task.seconds)
}

pub(crate) async fn limited(task: Limited, _: Context) -> Result<f64, TaskError> {
    tokio::time::sleep(duration(task.seconds)?).await;
    Ok(task.seconds)
}

pub(crate) async fn long(task: Long, _: Context) -> Result<f64, TaskError> {
    tokio::time::sleep(duration(task.seconds)?).await;
    Ok(task.seconds)
}

/// What no async handler should do, to see what becomes of those beside it.
pub(crate) async fn block(task: Block, _: Context) -> Result<f64, TaskError> {
    std::thread::sleep(duration(task.seconds)?);
    Ok(task.seconds)
}

pub(crate) async fn hang(_: Hang, _: Context) -> Result<(), TaskError> {
    std::future::pending().await
}

pub(crate) async fn progress(task: Progress, cx: Context) -> Result<u32, TaskError> {
    let Progress { steps, seconds } = task;
    let each = duration(seconds)? / steps.max(1);
    for step in 1..=steps {
        tokio::time::sleep(each).await;
        let text = format!("step {step} of {steps}");
        cx.progress(step.into(), i64::from(steps), &text);
        cx.log(Level::INFO, &text, json!({ "step": step }));
    }
    Ok(steps)
}

fn duration(seconds: f64) -> Result<Duration, TaskError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| TaskError::fail(format!("{seconds} seconds cannot be waited: {error}")))
}
