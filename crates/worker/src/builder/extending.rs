//! What extensions add to a worker.

use super::WorkerBuilder;
use crate::context::Context;
use crate::extension::Extension;
use crate::handler::RawHandler;
use crate::registry::Registered;
use crate::task_error::TaskError;
use counterfoil_toolbox::message::Payload;
use counterfoil_toolbox::{TaskName, TaskOptions};
use std::future::Future;

impl WorkerBuilder {
    /// Has `extension` speak, too, of what becomes of tasks: see [`extension`](crate::extension).
    pub fn extension(self, extension: impl Extension) -> Self {
        let mut worker = extension.join(self);
        worker.extensions.push(extension);
        worker
    }

    /// Runs tasks that are sent under `name`, whatever their arguments, by an `async fn(Payload, Context)`: for tasks of
    /// programs in other languages that take any number of them. Prefer [`Self::handle`], which checks arguments, and by
    /// which others know them.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// use counterfoil_toolbox::TaskOptions;
    /// use counterfoil_toolbox::message::Payload;
    /// use counterfoil_toolbox::producer::{RawTask, SendOptions};
    /// use counterfoil_worker::{Context, TaskError};
    ///
    /// async fn sum(arguments: Payload, _: Context) -> Result<i64, TaskError> {
    ///     let numbers: Vec<i64> = serde_json::from_str(arguments.args())?;
    ///     Ok(numbers.iter().sum())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// let worker = platform.worker().handle_raw("calc.sum", TaskOptions::default(), sum);
    /// let _worker = platform.start(worker).await?;
    /// let task = RawTask { name: "calc.sum".parse()?, args: "[1, 2, 3]".to_owned(), kwargs: "{}".to_owned() };
    /// let mut sent = platform.producer().send_raw_awaited(task, SendOptions::new()).await?;
    /// assert_eq!(sent.result(std::time::Duration::from_secs(60)).await?.get(), "6");
    /// # Ok(()) }
    /// ```
    pub fn handle_raw<F, Fut, R>(mut self, name: &str, options: TaskOptions, handler: F) -> Self
    where
        F: Fn(Payload, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
        R: serde::Serialize + 'static,
    {
        if let Some(task) = self.raw(name, options, handler) {
            self.register(task);
        }
        self
    }

    /// The same for tasks that come by the queues of others: the queue of the service that their name says is not
    /// consumed because of it.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_toolbox::TaskOptions;
    /// # use counterfoil_toolbox::message::Payload;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # async fn sum(_: Payload, _: Context) -> Result<i64, TaskError> { Ok(0) }
    /// async fn ping(_: Payload, _: Context) -> Result<&'static str, TaskError> {
    ///     Ok("pong")
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// let worker = platform.worker().handle_raw("calc.sum", TaskOptions::default(), sum);
    /// let worker = worker.handle_raw_beside("health.ping", TaskOptions::default(), ping).build()?;
    /// assert_eq!(worker.queues(), ["calc"]);
    /// # Ok(()) }
    /// ```
    pub fn handle_raw_beside<F, Fut, R>(
        mut self,
        name: &str,
        options: TaskOptions,
        handler: F,
    ) -> Self
    where
        F: Fn(Payload, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
        R: serde::Serialize + 'static,
    {
        if let Some(task) = self.raw(name, options, handler) {
            self.register(task.without_queue());
        }
        self
    }

    fn raw<F, Fut, R>(&mut self, name: &str, options: TaskOptions, handler: F) -> Option<Registered>
    where
        F: Fn(Payload, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
        R: serde::Serialize + 'static,
    {
        match TaskName::new(name) {
            Ok(name) => Some(Registered::raw(name, RawHandler(handler), options)),
            Err(error) => {
                self.faults.push(error.into());
                None
            }
        }
    }
}
