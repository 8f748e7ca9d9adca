//! Running the handler of another task within this one.

use super::Context;
use crate::handler::Returned;
use crate::panic;
use crate::task_error::TaskError;
use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::message::Payload;
use futures::FutureExt as _;
use serde_json::value::RawValue;
use std::panic::AssertUnwindSafe;

impl Context {
    /// Runs the handler of a task of this worker here and now, as part of this execution: no message is sent, and
    /// nobody is told of another task. Limits, retries and layers are those of this task. `None`: the handler returned
    /// null.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Square { x: i64 }
    /// # impl counterfoil_toolbox::Task for Square { const NAME: &'static str = "calc.square"; type Output = i64; }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Squares { upto: i64 }
    /// # impl counterfoil_toolbox::Task for Squares { const NAME: &'static str = "calc.squares"; type Output = i64; }
    /// async fn square(task: Square, _: Context) -> Result<i64, TaskError> {
    ///     Ok(task.x * task.x)
    /// }
    ///
    /// async fn squares(task: Squares, cx: Context) -> Result<i64, TaskError> {
    ///     let mut sum = 0;
    ///     for x in 1..=task.upto {
    ///         let squared = cx.call(&"calc.square".parse()?, &format!("[{x}]"), "{}").await?;
    ///         sum += squared.map_or(Ok(0), |json| json.get().parse::<i64>())?;
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Squares { upto: 3 });
    /// let done = done.by(|worker| worker.handle(squares).handle(square)).await?;
    /// assert_eq!(done.output(), &14);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the handler failed with, also that another task goes on in its place, which nobody can wait for here; that this worker has no such task, or that the arguments do not fit it, which is not
    /// worth a retry.
    ///
    /// # Cancel safety
    /// Cancelled, the handler is dropped; one that blocks goes on unheard.
    pub async fn call(
        &self,
        task: &TaskName,
        args: &str,
        kwargs: &str,
    ) -> Result<Option<Box<RawValue>>, TaskError> {
        let Some(registered) = self.shared.registry.get(task) else {
            return Err(TaskError::fail(format!(
                "this worker knows no task `{task}`"
            )));
        };
        let payload = Payload::new(args, kwargs).map_err(TaskError::fail)?;
        // One that blocks its thread and is left alone keeps the place, so that threads do not pile up.
        let slot = self.slot.upgrade();
        let started = registered.handler.start(&payload, self.clone(), slot);
        let running = started.map_err(|error| TaskError::fail(error.to_string()))?;
        match AssertUnwindSafe(running).catch_unwind().await {
            Ok(Returned::Output(output)) => Ok(output),
            Ok(Returned::Error(error)) => Err(error.of_another()),
            Ok(other) => Err(TaskError::returned(other)),
            Err(payload) => {
                let note = panic::note_of(payload);
                Err(TaskError::returned(Returned::Panicked(note)))
            }
        }
    }
}
