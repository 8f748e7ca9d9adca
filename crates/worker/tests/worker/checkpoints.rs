//! What one execution leaves for the next.

use crate::tasks::{Act, Patient, act, patient};
use crate::world::{World, in_time};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_worker::{CheckpointError, Context, Exit, TaskError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

on_both_transports!(
    a_retry_goes_on_from_the_checkpoint_wherever_it_waits,
    a_worker_that_drains_passes_checkpoints_on,
);

/// Each attempt adds one.
async fn count(cx: &Context) -> Result<u32, TaskError> {
    let count = cx.last_checkpoint::<u32>()?.unwrap_or(0) + 1;
    cx.checkpoint(&count)?;
    Ok(count)
}

async fn a_retry_goes_on_from_the_checkpoint_wherever_it_waits(world: World) {
    let here = async |_: Act, cx: Context| match count(&cx).await? {
        3 => Ok(json!("done")),
        n => Err(TaskError::retry(format!("{n} of 3"))),
    };
    let at_the_broker = async |_: Patient, cx: Context| match count(&cx).await? {
        3 => Ok(json!("done")),
        n => Err(TaskError::retry_after(
            format!("{n} of 3"),
            Duration::from_secs(1),
        )),
    };
    let _worker = world.start(|builder| builder.handle(here).handle(at_the_broker));
    for id in [world.send(act("")).await, world.send(patient("")).await] {
        let done = world.told_of(&id, TaskState::Success).await;
        assert_eq!(done.result.expect("an output").get(), r#""done""#);
        assert_eq!(done.lineage.retries(), 2);
    }
}

async fn a_worker_that_drains_passes_checkpoints_on(world: World) {
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let handler = move |_: Act, cx: Context| {
        let begins = begins.clone();
        async move {
            if count(&cx).await? == 1 {
                begins.notify_one();
                cx.cancelled().cancelled().await;
                return Err(TaskError::retry("asked to leave"));
            }
            Ok(json!(cx.last_checkpoint::<u32>()?))
        }
    };
    let impatient = WorkerSettings {
        drain_timeout: Duration::from_millis(100),
        ..WorkerSettings::default()
    };
    let first = world.start_with(impatient, |builder| builder.handle(handler.clone()));
    let id = world.send(act("")).await;
    in_time("beginning", begun.notified()).await;
    let left = vec![id.clone()];
    assert_eq!(first.drain().await, Exit::Stopped { left });
    let _second = world.start(|builder| builder.handle(handler));
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "2");
    // It was no failure of the task's.
    let retry = world.told_of(&id, TaskState::Retry).await;
    assert_eq!(retry.counted, Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_too_large_for_a_message_or_of_another_type_is_refused() {
    let world = World::new().await;
    let handler = async |_: Act, cx: Context| {
        let refused = cx.checkpoint(&"x".repeat(40_000)).expect_err("too large");
        assert!(matches!(
            refused,
            CheckpointError::TooLarge { bytes: 40_002 }
        ));
        cx.checkpoint(&"text").expect("fits");
        assert!(cx.last_checkpoint::<u32>().is_err());
        Ok(Value::from(cx.last_checkpoint::<String>()?))
    };
    let _worker = world.start(|builder| builder.handle(handler));
    let id = world.send(act("")).await;
    let done = world.told_of(&id, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), r#""text""#);
}
