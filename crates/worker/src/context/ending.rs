//! How a handler learns that it has to end.

use super::Context;
use tokio_util::sync::CancellationToken;

/// Why a handler is asked to end. [`Context::why_cancelled`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyCancelled {
    /// Somebody cancelled the task: it will not run again. After `worker.cancel_grace` the handler is
    /// dropped. What it returns until then counts if it is a success; all else is REVOKED.
    Revoked,
    /// The worker stops: the task will run again elsewhere.
    WorkerStops,
    /// The time limit has passed.
    TimeLimit,
}

impl Context {
    /// Fires when the worker wants this handler to end: it is draining and its patience is over,
    /// the handler's time limit has passed, or somebody cancelled the task. [`Self::why_cancelled`]
    /// tells which. Where nobody cancelled it, what is not done by then is done again elsewhere.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Render { pages: u32 }
    /// # impl counterfoil_toolbox::Task for Render { const NAME: &'static str = "maps.render"; type Output = u32; }
    /// # use std::time::Duration;
    /// /// For `handle_blocking`: nothing ends it but itself.
    /// fn render(task: Render, cx: Context) -> Result<u32, TaskError> {
    ///     for _page in 0..task.pages {
    ///         if cx.cancelled().is_cancelled() {
    ///             return Err(TaskError::retry_uncounted("asked to leave", Duration::ZERO));
    ///         }
    ///         // … render it …
    ///     }
    ///     Ok(task.pages)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Render { pages: 3 }).by(|worker| worker.handle_blocking(render)).await?;
    /// assert_eq!(done.output(), &3);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Fires when this execution's soft time limit has passed, and whenever [`Self::cancelled`] does:
    /// time to clean up, or to stop half-way. Nothing is ended by it.
    ///
    /// ```
    /// # use counterfoil_toolbox::producer::SendOptions;
    /// # use std::time::Duration;
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Harvest { pages: u32 }
    /// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.all"; type Output = u32; }
    /// async fn harvest(task: Harvest, cx: Context) -> Result<u32, TaskError> {
    ///     for page in cx.last_checkpoint()?.unwrap_or(0)..task.pages {
    ///         if cx.soft_time_limit().is_cancelled() {
    ///             cx.checkpoint(&page)?; // the next attempt goes on from here
    ///             return Err(TaskError::retry_uncounted("out of time", Duration::ZERO));
    ///         }
    ///         tokio::time::sleep(Duration::from_secs(2)).await; // it fetches the page
    ///     }
    ///     Ok(task.pages)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> anyhow::Result<()> {
    /// let in_time = SendOptions::new().soft_time_limit(Duration::from_secs(5));
    /// let done = Perform::new(Harvest { pages: 10 }).options(in_time);
    /// let done = done.by(|worker| worker.handle(harvest)).await?;
    /// assert_eq!(done.checkpoint::<u32>()?, Some(3));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn soft_time_limit(&self) -> &CancellationToken {
        &self.soft
    }

    /// Why [`Self::cancelled`] fired; `None`: it has not.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Render { pages: u32 }
    /// # impl counterfoil_toolbox::Task for Render { const NAME: &'static str = "maps.render"; type Output = u32; }
    /// use counterfoil_worker::WhyCancelled;
    /// # use std::time::Duration;
    ///
    /// async fn render(task: Render, cx: Context) -> Result<u32, TaskError> {
    ///     tokio::select! {
    ///         () = tokio::time::sleep(Duration::from_secs(1)) => Ok(task.pages), // it renders
    ///         () = cx.cancelled().cancelled() => Err(match cx.why_cancelled() {
    ///             Some(WhyCancelled::Revoked) => TaskError::fail("nobody wants it any more"),
    ///             _ => TaskError::retry_uncounted("it goes on elsewhere", Duration::ZERO),
    ///         }),
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Render { pages: 3 }).by(|worker| worker.handle(render)).await?;
    /// assert_eq!(done.output(), &3);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn why_cancelled(&self) -> Option<WhyCancelled> {
        if !self.cancelled.is_cancelled() {
            None
        } else if self.shared.control.revocation(&self.held).is_some() {
            Some(WhyCancelled::Revoked)
        } else if self.shared.stop.leaving().is_cancelled() {
            Some(WhyCancelled::WorkerStops)
        } else {
            Some(WhyCancelled::TimeLimit)
        }
    }
}
