//! Tasks that a task sends.

use super::Context;
use counterfoil_toolbox::producer::{Draft, RawTask, SendError, SendOptions};
use counterfoil_toolbox::telemetry::TraceContext;
use counterfoil_toolbox::{Task, TaskId};

impl Context {
    /// Sends a task as a child of this one. `Ok`: the broker has stored it.
    ///
    /// It waits for a broker that is away, up to three times the confirm time-out (30 s), and has no
    /// circuit breaker: nobody sits in front of a screen, the worker could get no other task meanwhile,
    /// and an error at once would cost the task an attempt and all that the handler has done so far.
    ///
    /// An execution that is repeated, after a retry or because its worker was lost, sends its
    /// children again, as other tasks with other ids. Nothing else would be safe: a second
    /// execution may take another way, and its third child be another than the third of the first.
    /// A handler that knows which child is the same says so by an id of its choice, which must
    /// differ between the runs of the parent. The platform then keeps one row for it; like any
    /// task, it may run more than once.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct HarvestAll { pages: u32 }
    /// # impl counterfoil_toolbox::Task for HarvestAll { const NAME: &'static str = "harvest.all"; type Output = (); }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Page { number: u32 }
    /// # impl counterfoil_toolbox::Task for Page { const NAME: &'static str = "harvest.page"; type Output = (); }
    /// async fn harvest_all(task: HarvestAll, cx: Context) -> Result<(), TaskError> {
    ///     for number in 0..task.pages {
    ///         cx.send(Page { number }).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(HarvestAll { pages: 3 }).by(|worker| worker.handle(harvest_all)).await?;
    /// let child = done.assert_scheduled(|page: &Page| page.number == 2);
    /// assert_eq!(child.envelope().parent_id.as_ref(), Some(done.id()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendError`]; after [`SendError::Unknown`] the child may still run.
    ///
    /// # Cancel safety
    /// Cancelled, the child may still be sent.
    pub async fn send<T: Task>(&self, child: T) -> Result<TaskId, SendError> {
        self.send_with(child, SendOptions::new()).await
    }

    /// Sends a task as a child of this one, with options.
    ///
    /// Children that an execution which is repeated sends under the same ids:
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct HarvestAll { pages: u32 }
    /// # impl counterfoil_toolbox::Task for HarvestAll { const NAME: &'static str = "harvest.all"; type Output = (); }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Page { number: u32 }
    /// # impl counterfoil_toolbox::Task for Page { const NAME: &'static str = "harvest.page"; type Output = (); }
    /// use counterfoil_toolbox::producer::SendOptions;
    ///
    /// async fn harvest_all(task: HarvestAll, cx: Context) -> Result<(), TaskError> {
    ///     for number in 0..task.pages {
    ///         let id = format!("{}.{}.page-{number}", cx.task_id(), cx.lineage().run);
    ///         cx.send_with(Page { number }, SendOptions::new().id(id.parse()?)).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(HarvestAll { pages: 3 }).by(|worker| worker.handle(harvest_all)).await?;
    /// let child = done.assert_scheduled(|page: &Page| page.number == 2);
    /// assert_eq!(child.id().as_str(), format!("{}.0.page-2", done.id()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_with<T: Task>(
        &self,
        child: T,
        options: SendOptions,
    ) -> Result<TaskId, SendError> {
        let producer = &self.shared.senders.producer;
        let sent = producer.send_with(child, self.as_child(options)).await?;
        Ok(sent.id().clone())
    }

    /// Sends a task by name as a child of this one, its arguments as JSON text.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct HarvestAll { pages: u32 }
    /// # impl counterfoil_toolbox::Task for HarvestAll { const NAME: &'static str = "harvest.all"; type Output = (); }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Page { number: u32 }
    /// # impl counterfoil_toolbox::Task for Page { const NAME: &'static str = "harvest.page"; type Output = (); }
    /// use counterfoil_toolbox::producer::{RawTask, SendOptions};
    ///
    /// async fn harvest_all(task: HarvestAll, cx: Context) -> Result<(), TaskError> {
    ///     let mail = RawTask {
    ///         name: "mail.harvested".parse()?, // a task of a Python worker, say
    ///         args: "[]".to_owned(),
    ///         kwargs: format!(r#"{{"pages": {}}}"#, task.pages),
    ///     };
    ///     cx.send_raw(mail, SendOptions::new()).await?;
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(HarvestAll { pages: 3 }).by(|worker| worker.handle(harvest_all)).await?;
    /// assert_eq!(done.scheduled().to_string(), "what was:\n  mail.harvested {\"pages\": 3}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_raw(
        &self,
        child: RawTask,
        options: SendOptions,
    ) -> Result<TaskId, SendError> {
        let producer = &self.shared.senders.producer;
        producer.send_raw(child, self.as_child(options)).await
    }

    /// Sends a task that is written already, as it is: whose child it is, its headers say.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_draft(&self, draft: Draft) -> Result<TaskId, SendError> {
        self.shared.senders.producer.send_draft(draft).await
    }

    fn as_child(&self, options: SendOptions) -> SendOptions {
        let child = options.child_of(self.task_id().clone(), self.root_id().clone());
        child.parent_trace(self.trace())
    }

    /// The trace that this task came with: its children get it, unless they are sent in a span of their own.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::of_headers(&self.held.envelope.extra)
    }
}
