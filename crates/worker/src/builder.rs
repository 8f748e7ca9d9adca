//! Putting a worker together, and finding out what is wrong with it before it starts.

use crate::context::Context;
use crate::error::{BuildError, BuildFault};
use crate::handler::{AsyncHandler, BlockingHandler, Handler};
use crate::layer::{Call, HandlerService, Layer, Output, Service};
use crate::queues::Declarations;
use crate::registry::{Registered, Registry};
use crate::states::States;
use crate::stop::Stop;
use crate::task_error::TaskError;
use crate::worker::Worker;
use counterfoil_toolbox::config::{BrokerSettings, Declaring, WorkerSettings};
use counterfoil_toolbox::event::{LONGEST_LEASE, SHORTEST_LEASE};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::task::{Ack, longest_run};
use counterfoil_toolbox::tokens::MOST_TOKENS;
use counterfoil_toolbox::topology::{self, Names};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::{Priority, ServiceName, Task, TaskName};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Signs of life in one lease, at least: one or two may be lost.
const BEATS_PER_LEASE: u32 = 3;

/// Largest result that a message of events can carry.
const MAX_RESULT_BYTES: usize = 15 * 1024 * 1024;

/// Gathers handlers and state; [`Self::build`] says what is wrong with them.
#[derive(Debug)]
#[must_use = "nothing is built until `build` is called"]
pub struct WorkerBuilder {
    transport: Arc<dyn Transport>,
    names: Names,
    settings: WorkerSettings,
    registry: Registry,
    states: States,
    layers: HandlerService,
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
    pub fn handle<T, F, Fut>(self, handler: F) -> Self
    where
        T: Task,
        F: Fn(T, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T::Output, TaskError>> + Send + 'static,
    {
        self.handle_as(T::NAME, handler)
    }

    /// Runs tasks that are sent under `name`, whatever their service, as tasks of type `T`.
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
    pub fn broker(mut self, settings: &BrokerSettings) -> Self {
        self.broker = Some(settings.clone());
        self.consumer_timeout(settings.consumer_timeout)
    }

    /// After how long the broker takes an unacknowledged message back. Default: 30 min, RabbitMQ's
    /// own. Time limits must stay below it by a tenth, at most two minutes; those that senders ask
    /// for are lowered to that, and a task without any gets it. Tasks that are acknowledged
    /// [early](Ack::Early) are not bound by it.
    pub fn consumer_timeout(mut self, timeout: Duration) -> Self {
        self.consumer_timeout = timeout;
        self
    }

    /// Makes the worker. It does nothing until it is run.
    ///
    /// # Errors
    /// [`BuildError`] names everything that is wrong: two handlers for one name, invalid names,
    /// settings that make no sense.
    pub fn build(mut self) -> Result<Worker, BuildError> {
        if self.registry.is_empty() {
            self.faults.push(BuildFault::NoHandlers);
        }
        self.check_settings();
        self.check_limits();
        self.check_tokens();
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
        let added = TaskName::new(name).map_err(BuildFault::from);
        let added = added.and_then(|name| {
            let task = Registered::new::<T>(name, handler);
            self.registry
                .add(task)
                .map_err(|name| BuildFault::Duplicate {
                    name: name.to_string(),
                })
        });
        self.faults.extend(added.err());
        self
    }

    fn check_settings(&mut self) {
        let settings = &self.settings;
        let too_large = settings.max_result_bytes > MAX_RESULT_BYTES;
        let rules = [
            (
                settings.concurrency == 0,
                "concurrency",
                "must be at least 1",
            ),
            (
                settings.prefetch == Some(0),
                "prefetch",
                "must be at least 1",
            ),
            (
                settings.heartbeat.is_zero(),
                "heartbeat",
                "must be longer than nothing",
            ),
            (
                settings.time_limit.is_some_and(|limit| limit.is_zero()),
                "time_limit",
                "is 0s and must be longer than nothing; \"none\" is no limit",
            ),
            (
                too_large,
                "max_result_bytes",
                "must be at most 15 MiB: results travel in messages",
            ),
        ];
        let tasks = self.registry.sorted();
        let any_early = tasks.iter().any(|task| task.options.ack == Ack::Early);
        let beats = settings.heartbeat.saturating_mul(BEATS_PER_LEASE);
        let shortest = beats.max(SHORTEST_LEASE);
        let lease = (
            any_early && !(shortest..=LONGEST_LEASE).contains(&settings.lease),
            "lease",
            "must be at least three times `heartbeat`, at least 3 s and at most an hour",
        );
        for (is_broken, setting, why) in rules.into_iter().chain([lease]) {
            if is_broken {
                self.faults.push(BuildFault::Setting { setting, why });
            }
        }
    }

    fn check_limits(&mut self) {
        let longest = longest_run(self.consumer_timeout);
        for task in self.registry.sorted() {
            self.faults.extend(task.no_time());
            if task.options.max_concurrency == Some(0) {
                let name = task.name.to_string();
                self.faults.push(BuildFault::NoConcurrency { name });
            }
            let is_late = task.options.ack == Ack::Late;
            let of_worker = self.settings.time_limit.filter(|_| is_late);
            let limit = task.options.time_limit.or(of_worker);
            if let (Some(soft), Some(limit)) = (task.options.soft_time_limit, limit)
                && soft >= limit
            {
                let name = task.name.to_string();
                self.faults
                    .push(BuildFault::SoftTimeLimit { name, soft, limit });
            }
            if let Some(limit) = limit.filter(|limit| is_late && *limit > longest) {
                self.faults.push(BuildFault::TimeLimit {
                    name: task.name.to_string(),
                    whose: match task.options.time_limit {
                        Some(_) => "in its options",
                        None => "worker.time_limit",
                    },
                    limit,
                    longest,
                    consumer_timeout: self.consumer_timeout,
                });
            }
        }
    }

    fn check_tokens(&mut self) {
        for task in self.registry.sorted() {
            let Some(limit) = task.options.max_concurrency_global else {
                continue;
            };
            if !(1..=MOST_TOKENS).contains(&limit) {
                let name = task.name.to_string();
                self.faults.push(BuildFault::GlobalLimit { name, limit });
            }
            let time = task.options.time_limit;
            let longest = longest_run(self.consumer_timeout);
            if task.options.ack == Ack::Early && time.is_none_or(|time| time > longest) {
                let name = task.name.to_string();
                self.faults.push(BuildFault::LongToken { name, longest });
            }
            let queue = self.names.token_queue(&task.name);
            self.faults.extend(queue.err().map(BuildFault::from));
        }
    }

    /// The queues to consume: those of the settings, else those of the tasks' services.
    fn queues(&mut self) -> Vec<QueueName> {
        if !self.settings.queues.is_empty() {
            let mut seen = BTreeSet::new();
            for queue in &self.settings.queues {
                if !seen.insert(queue) {
                    let queue = queue.clone();
                    self.faults.push(BuildFault::QueueTwice { queue });
                }
            }
            return self.settings.queues.clone();
        }
        let mut services = BTreeSet::new();
        for task in self.registry.sorted() {
            match ServiceName::new(task.name.service()) {
                Ok(service) => {
                    services.insert(service);
                }
                Err(_) => self.faults.push(BuildFault::NoQueue {
                    name: task.name.to_string(),
                }),
            }
        }
        let queue = |service| self.names.service_queue(service);
        services.iter().map(queue).collect()
    }

    /// With the queues beside them: those of a service's classes beside its own, and those of delayed
    /// tasks, which those have whose length is limited.
    fn with_beside(&self, mut queues: Vec<QueueName>) -> Vec<QueueName> {
        let Some(broker) = &self.broker else {
            return queues;
        };
        let beside = |queue: &QueueName| {
            let (names, class) = (&self.names, self.names.class_of(queue));
            let service = ServiceName::new(names.service_of(queue)).ok()?;
            if *queue != names.class_queue(&service, class) {
                return None;
            }
            let mut settings = broker.service(&service);
            // Whoever else declares its queues knows nothing of those for delayed tasks.
            if broker.declaring(&service) == Declaring::Off {
                settings.max_length = None;
            }
            let mut all = topology::work_queues(names, &service, &settings);
            // A worker for one class has asked for no other.
            all.retain(|queue| class == Priority::Normal || names.class_of(queue) == class);
            Some(all)
        };
        let beside: Vec<_> = queues.iter().filter_map(beside).flatten().collect();
        for queue in beside {
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        queues
    }

    /// The services that it works for: first those of its queues, then those of its tasks.
    fn services(&self, queues: &[QueueName]) -> Vec<ServiceName> {
        let of_queues = queues.iter().map(|queue| self.names.service_of(queue));
        let tasks = self.registry.sorted();
        let of_tasks = tasks.iter().map(|task| task.name.service());
        let mut services = Vec::new();
        for service in of_queues.chain(of_tasks) {
            match ServiceName::new(service) {
                Ok(service) if !services.contains(&service) => services.push(service),
                Ok(_) | Err(_) => {}
            }
        }
        services
    }

    /// What to declare again when a queue is gone.
    fn declarations(&self, queues: &[QueueName]) -> Declarations {
        let Some(broker) = &self.broker else {
            return Declarations::new();
        };
        let items = |queue: &QueueName| {
            let service = ServiceName::new(self.names.service_of(queue)).ok()?;
            let items = || topology::service(&self.names, &service, &broker.service(&service));
            (broker.declaring(&service) == Declaring::Active).then(|| (queue.clone(), items()))
        };
        queues.iter().filter_map(items).collect()
    }
}
