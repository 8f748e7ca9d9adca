//! Putting a worker together, and finding out what is wrong with it before it starts.

mod checks;
mod extending;
mod queues;

use crate::context::Context;
use crate::error::{BuildError, BuildFault};
use crate::handler::{AsyncHandler, BlockingHandler, Handler};
use crate::layer::{Call, HandlerService, Layer, Output, Service};
use crate::registry::{Registered, Registry};
use crate::say::Extensions;
use crate::states::States;
use crate::stop::Stop;
use crate::task_error::TaskError;
use crate::worker::Worker;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::{ServiceName, Task, TaskName};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Gathers handlers and state; [`Self::build`] says what is wrong with them.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_worker::{Context, TaskError, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// # struct Pool;
/// # use counterfoil_toolbox::config::WorkerSettings;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// # let (transport, names) = (platform.transport(), platform.names().clone());
/// let settings = WorkerSettings { concurrency: 8, ..WorkerSettings::default() };
/// let worker = Worker::builder(transport, names, settings)
///     .version(env!("CARGO_PKG_VERSION"))
///     .state(Pool)
///     .handle(resize)
///     .build()?;
/// assert_eq!(worker.queues(), ["image"]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is built until `build` is called"]
pub struct WorkerBuilder {
    transport: Arc<dyn Transport>,
    names: Names,
    settings: WorkerSettings,
    registry: Registry,
    states: States,
    layers: HandlerService,
    extensions: Extensions,
    version: String,
    consumer_timeout: Duration,
    broker: Option<BrokerSettings>,
    faults: Vec<BuildFault>,
}

impl WorkerBuilder {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        names: Names,
        settings: WorkerSettings,
    ) -> Self {
        Self {
            transport,
            names,
            settings,
            registry: Registry::default(),
            states: States::default(),
            layers: HandlerService::HANDLERS,
            extensions: Extensions::none(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            consumer_timeout: BrokerSettings::default().consumer_timeout,
            broker: None,
            faults: Vec::new(),
        }
    }

    /// Shares `value` with all handlers: they get it by its type, as `cx.state::<Pool>()`.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        if let Err(type_name) = self.states.insert(value) {
            self.faults.push(BuildFault::State { type_name });
        }
        self
    }

    /// Runs tasks of type `T`, sent under its own name, by an `async fn(T, Context)`.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// async fn resize(task: Resize, _cx: Context) -> Result<u32, TaskError> {
    ///     Ok(task.width)
    /// }
    ///
    /// let worker = platform.worker().handle(resize).build()?;
    /// # let _worker = platform.start(platform.worker().handle(resize)).await?;
    /// # assert_eq!(platform.producer().send(Resize { width: 7 }).await?.result(std::time::Duration::from_secs(60)).await?, 7);
    /// # Ok(()) }
    /// ```
    pub fn handle<T, F, Fut>(self, handler: F) -> Self
    where
        T: Task,
        F: Fn(T, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T::Output, TaskError>> + Send + 'static,
    {
        self.handle_as(T::NAME, handler)
    }

    /// Runs tasks that are sent under `name`, whatever their service, as tasks of type `T`.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// // Python producers know it by another name, of another service.
    /// let worker = platform.worker().handle(resize).handle_as("legacy.thumbnail", resize).build()?;
    /// assert_eq!(worker.queues(), ["image", "legacy"]);
    /// # Ok(()) }
    /// ```
    pub fn handle_as<T, F, Fut>(self, name: &str, handler: F) -> Self
    where
        T: Task,
        F: Fn(T, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T::Output, TaskError>> + Send + 'static,
    {
        self.add::<T>(name, AsyncHandler::<T, F>::new(handler))
    }

    /// Runs tasks of type `T` by a `fn(T, Context)` that may block: it gets a thread of its own.
    ///
    /// Such a handler cannot be ended from outside. Past its time limit its outcome is ignored,
    /// but it keeps its place among the handlers that run until it returns: let it look at
    /// [`Context::cancelled`]. When half of the places are taken by handlers that do not return,
    /// the worker ends, to be started anew: see [`Exit::Hung`](crate::Exit::Hung).
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// fn resize(task: Resize, _cx: Context) -> Result<u32, TaskError> {
    ///     let bytes = std::fs::read("Cargo.toml")?; // a plain `fn`: it may block
    ///     Ok(u32::try_from(bytes.len())? * task.width)
    /// }
    ///
    /// let worker = platform.start(platform.worker().handle_blocking(resize)).await?;
    /// let mut sent = platform.producer().send(Resize { width: 0 }).await?;
    /// assert_eq!(sent.result(std::time::Duration::from_secs(60)).await?, 0);
    /// # Ok(()) }
    /// ```
    pub fn handle_blocking<T, F>(self, handler: F) -> Self
    where
        T: Task,
        F: Fn(T, Context) -> Result<T::Output, TaskError> + Send + Sync + 'static,
    {
        self.handle_blocking_as(T::NAME, handler)
    }

    /// Like [`Self::handle_blocking`], for tasks that are sent under `name`.
    pub fn handle_blocking_as<T, F>(self, name: &str, handler: F) -> Self
    where
        T: Task,
        F: Fn(T, Context) -> Result<T::Output, TaskError> + Send + Sync + 'static,
    {
        self.add::<T>(name, BlockingHandler::<T, F>::new(handler))
    }

    /// Puts `layer` around every handler: see [`layer`](crate::layer). One that is added later is
    /// around those that were added before. Time limits hold for handler and layers together.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError, Level};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
    ///
    /// async fn inner(call: Call, next: Next) -> Answer {
    ///     call.cx().log(Level::INFO, "inner", serde_json::Value::Null);
    ///     next.run(call).await
    /// }
    /// # async fn outer(call: Call, next: Next) -> Answer {
    /// #     call.cx().log(Level::INFO, "outer", serde_json::Value::Null);
    /// #     next.run(call).await
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Resize { width: 100 });
    /// let done = done.by(|worker| worker.handle(resize).layer(from_fn(inner)).layer(from_fn(outer)));
    /// let said: Vec<_> = done.await?.log().map(|line| line.message.to_string()).collect();
    /// assert_eq!(said, ["outer", "inner"]);
    /// # Ok(()) }
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<HandlerService>,
        L::Service: Service<Call, Response = Output, Error = TaskError>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        self.layers = self.layers.within(layer);
        self
    }

    /// Version of the program, for those who watch workers. Default: that of counterfoil.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Tells the worker what the configuration says of its broker: how long it waits for an
    /// acknowledgement ([`Self::consumer_timeout`]), and how its queues are declared.
    ///
    /// Without it the worker consumes the plain queues of its services only: no queues of classes of
    /// priority, and none of delayed tasks where a length is limited.
    ///
    /// A queue that is deleted while the worker runs is then declared again, with its bindings,
    /// unless its `declare` is `passive` or `off`. A worker that may not declare its queue, or was
    /// not told how, ends: see [`Exit::NoQueue`](crate::Exit::NoQueue).
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # use counterfoil_toolbox::config::{Config, LoadOptions, Role};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// # let env = [("COUNTERFOIL_BROKER__QUEUES__IMAGE__PRIORITIES", "true")];
    /// # let options = LoadOptions::new(Role::Worker).env(env);
    /// let config = Config::load(options)?; // [broker.queues.image] priorities = true
    /// let worker = platform.worker().broker(&config.broker).handle(resize).build()?;
    /// assert_eq!(worker.queues(), ["image", "image~high", "image~low"]);
    /// # Ok(()) }
    /// ```
    pub fn broker(mut self, settings: &BrokerSettings) -> Self {
        self.broker = Some(settings.clone());
        self.consumer_timeout(settings.consumer_timeout)
    }

    /// After how long the broker takes an unacknowledged message back. Default: 30 min, RabbitMQ's
    /// own. Time limits must stay below it by a tenth, at most two minutes; those that senders ask
    /// for are lowered to that, and a task without any gets it. Tasks that are acknowledged
    /// [early](counterfoil_toolbox::Ack::Early) are not bound by it.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # use std::time::Duration;
    /// # use counterfoil_toolbox::config::WorkerSettings;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// let settings = WorkerSettings { time_limit: Some(Duration::from_secs(60)), ..Default::default() };
    /// let worker = platform.worker_with(settings).handle(resize);
    /// let error = worker.consumer_timeout(Duration::from_secs(60)).build().expect_err("it is too short");
    /// assert!(error.to_string().contains("at most 54s is possible"));
    /// # Ok(()) }
    /// ```
    pub fn consumer_timeout(mut self, timeout: Duration) -> Self {
        self.consumer_timeout = timeout;
        self
    }

    /// Makes the worker. It does nothing until it is run.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// let worker = platform.worker().state(1_u8).state(2_u8).handle(resize).handle(resize);
    /// let error = worker.build().expect_err("it makes no sense");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the worker cannot be built: two values of type u8 as state; two handlers for task image.resize",
    /// );
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`BuildError`] names everything that is wrong: two handlers for one name, invalid names,
    /// settings that make no sense.
    pub fn build(mut self) -> Result<Worker, BuildError> {
        if self.registry.is_empty() {
            self.faults.push(BuildFault::NoHandlers);
        }
        self.check();
        let queues = self.queues();
        let queues = self.with_beside(queues);
        if !self.faults.is_empty() {
            return Err(BuildError {
                faults: self.faults,
            });
        }
        let services = self.services(&queues);
        let declarations = self.declarations(&queues);
        let first = services.first().map_or("worker", ServiceName::as_str);
        Ok(Worker {
            id: WorkerId::for_this_process(first),
            transport: self.transport,
            names: self.names,
            settings: self.settings,
            registry: Arc::new(self.registry),
            states: Arc::new(self.states),
            layers: self.layers,
            extensions: self.extensions,
            queues,
            declarations,
            services,
            version: self.version,
            consumer_timeout: self.consumer_timeout,
            stop: Stop::default(),
            tells_systemd: false,
        })
    }

    fn add<T: Task>(mut self, name: &str, handler: impl Handler + 'static) -> Self {
        match TaskName::new(name) {
            Ok(name) => self.register(Registered::new::<T>(name, handler)),
            Err(error) => self.faults.push(error.into()),
        }
        self
    }

    fn register(&mut self, task: Registered) {
        if let Err(name) = self.registry.add(task) {
            let name = name.to_string();
            self.faults.push(BuildFault::Duplicate { name });
        }
    }
}
