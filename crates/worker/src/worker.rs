//! A worker and its life: start, run, stop.

use crate::builder::WorkerBuilder;
use crate::consume::Consumer;
use crate::consumers::Consumers;
use crate::control::{Control, follow};
use crate::drain::drain;
use crate::exit::Exit;
use crate::extension::Beside;
use crate::guard::Guard;
use crate::heartbeat::{Pulse, beat};
use crate::hung::Hung;
use crate::inside::Inside;
use crate::layer::HandlerService;
use crate::metrics::Metrics;
use crate::queues::{Declarations, first_lost};
use crate::registry::Registry;
use crate::report::{Reporter, send_batches};
use crate::say::Extensions;
use crate::shared::{Counts, Limits, Senders, Services, Shared};
use crate::slots::Slots;
use crate::states::States;
use crate::stop::{Stop, StopOnDrop, Stopper, stop_on_signals};
use crate::systemd::tell_systemd;
use crate::threads::Threads;
use crate::tokens::Tokens;
use crate::watchdog::watch;
use chrono::Utc;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::task::longest_run;
use counterfoil_toolbox::telemetry::metrics;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublisherOptions, Transport, spawn_beside};
use counterfoil_toolbox::{Priority, ServiceName};
use std::future::Future;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Runs the tasks of one or several services. Made by [`Worker::builder`].
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_worker::{Context, TaskError, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # use counterfoil_toolbox::config::WorkerSettings;
/// async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> {
///     Ok(task.width)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// # let (transport, names) = (platform.transport(), platform.names().clone());
/// let worker = Worker::builder(transport, names, WorkerSettings::default()).handle(resize).build()?;
/// println!("{} consumes {:?}", worker.id(), worker.queues());
/// # worker.stopper().drain();
/// let exit = worker.run().await; // until SIGTERM
/// assert_eq!(exit.code(), 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) settings: WorkerSettings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) states: Arc<States>,
    pub(crate) layers: HandlerService,
    pub(crate) extensions: Extensions,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) declarations: Declarations,
    pub(crate) services: Vec<ServiceName>,
    pub(crate) version: String,
    pub(crate) consumer_timeout: Duration,
    pub(crate) id: WorkerId,
    pub(crate) stop: Stop,
    /// Whether the process is its own.
    pub(crate) tells_systemd: bool,
}

/// A worker at work.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) reporting: JoinHandle<()>,
    pub(crate) beating: JoinHandle<()>,
    /// The watchdog; `None`: handlers have the threads of everything else.
    pub(crate) watching: Option<AbortOnDropHandle<()>>,
    pub(crate) following: JoinHandle<()>,
    /// Those who hold tokens.
    pub(crate) holders: JoinSet<()>,
    /// What extensions do, and that they are told when all else is over.
    pub(crate) beside: JoinSet<()>,
    pub(crate) over: CancellationToken,
    pub(crate) pulse: Pulse,
}

impl Worker {
    /// Begins a worker on `transport`. `names` are those of the broker's settings.
    pub fn builder(
        transport: Arc<dyn Transport>,
        names: Names,
        settings: WorkerSettings,
    ) -> WorkerBuilder {
        WorkerBuilder::new(transport, names, settings)
    }

    /// The id under which it reports.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// The queues that it will consume.
    #[must_use]
    pub fn queues(&self) -> &[QueueName] {
        &self.queues
    }

    /// A handle that stops the worker from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Runs until the process is told to end (SIGTERM, SIGINT), then drains: running tasks may
    /// finish, and nothing new is started. A second signal ends it at once. A worker that cannot go
    /// on drains too, and its [`Exit`] says why: start it anew when its code is not 0.
    ///
    /// Systemd is told how it is doing, where it listens (`Type=notify`): ready when it consumes all its queues.
    ///
    /// # Panics
    /// When the process cannot listen for signals.
    pub async fn run(mut self) -> Exit {
        self.tells_systemd = true;
        let stopper = self.stopper();
        let signals = spawn_beside(&*self.transport, stop_on_signals(stopper));
        let signals = AbortOnDropHandle::new(signals);
        tokio::select! {
            exit = self.run_until(std::future::pending()) => exit,
            Err(error) = signals => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Runs until `signal` fires or a [`Stopper`] says so, then drains as [`Self::run`] does.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use counterfoil_worker::{Context, TaskError, Worker};
    /// # use std::time::Duration;
    /// # use counterfoil_worker::Exit;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let platform = MemoryPlatform::new().await?;
    /// # let _declares = platform.start(platform.worker().handle(resize)).await?;
    /// let worker = platform.worker().handle(resize).build()?;
    /// let exit = worker.run_until(tokio::time::sleep(Duration::from_secs(3600))).await;
    /// assert_eq!(exit, Exit::Drained);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Cancelled, it stops at once: handlers are dropped, and what they ran is delivered again.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Exit {
        let stop = self.stop.clone();
        let _stop_on_drop = StopOnDrop(stop.clone());
        let transport = self.transport.clone();
        // Handlers get the threads of whoever started the worker; it has others.
        let life = self.live(Handle::current());
        let mut life = spawn_beside(&*transport, life);
        let ended = tokio::select! {
            biased;
            ended = &mut life => ended,
            () = signal => {
                stop.drain();
                life.await
            }
        };
        match ended {
            Ok(exit) => exit,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends under it.
            Err(_) => Exit::Killed { left: Vec::new() },
        }
    }

    /// From the start to the last word.
    async fn live(self, handlers: Handle) -> Exit {
        let patience = self.settings.drain_timeout;
        let stop = self.stop.clone();
        let declarations = self.declarations.clone();
        let tells_systemd = self.tells_systemd;
        let running = self.start(handlers);
        let shared = running.shared.clone();
        let _telling = tells_systemd.then(|| tell_systemd(&running));
        let lost = tokio::select! {
            // A worker that is told to end loses its queues without regret: whoever told it may close
            // the transport right away.
            biased;
            () = stop.draining().cancelled() => None,
            _ = shared.ending.wait() => None,
            lost = first_lost(&running, &declarations) => Some(lost),
        };
        if let Some((queue, reason)) = lost {
            shared.end(refused(&*shared.transport, queue, reason).await);
        }
        if let Some(exit) = shared.ending.get() {
            tracing::error!(reason = %exit, "the worker cannot go on: draining");
        }
        let drained = drain(running, patience).await;
        let exit = shared.ending.get().cloned().unwrap_or(drained);
        tracing::info!(worker = %shared.id, reason = %exit, "worker has ended");
        exit
    }

    /// Starts everything that goes on in the background.
    fn start(self, handlers: Handle) -> Running {
        crate::panic::install_hook();
        let prefetch = self.prefetch();
        let (services, version) = (self.services.clone(), self.version.clone());
        let interval = self.settings.heartbeat;
        let queues = self.queues.clone();
        tracing::info!(worker = %self.id, ?queues, "worker starts");
        if self.settings.metrics_bind.is_some() && !metrics::are_served() {
            let missing = "telemetry::prometheus::serve";
            tracing::warn!(
                missing,
                "worker.metrics_bind is set, and the program does not serve metrics"
            );
        }
        let events = self.transport.publisher(PublisherOptions::mandatory());
        // A thread that handlers block cannot watch them.
        let is_apart = Handle::current().id() != handlers.id();
        let mut holders = JoinSet::new();
        let shared = Arc::new(self.into_shared(prefetch, handlers, &mut holders));
        let reporting = shared.clone();
        let consume = |queue| Consumer::start(&shared, queue);
        let consumers: Vec<_> = queues.into_iter().map(consume).collect();
        let pulse = Pulse {
            services,
            version,
            interval,
            started_at: Utc::now(),
        };
        let over = CancellationToken::new();
        let beside = shared.extensions.start(&Beside {
            transport: Arc::clone(&shared.transport),
            names: shared.names.clone(),
            worker: shared.id.clone(),
            answers: shared
                .extensions
                .answers()
                .publisher(&*shared.transport)
                .clone(),
            inside: Inside(Arc::clone(&shared)),
            over: over.clone(),
        });
        Running {
            beside,
            over,
            reporting: tokio::spawn(async move { send_batches(&reporting, &events).await }),
            beating: tokio::spawn(beat(shared.clone(), pulse.clone())),
            following: tokio::spawn(follow(shared.clone())),
            consumers,
            watching: is_apart.then(|| AbortOnDropHandle::new(tokio::spawn(watch(shared.clone())))),
            shared,
            holders,
            pulse,
        }
    }

    /// Deliveries in hand, per queue. Classes of priority can only take turns while somebody of each waits
    /// here, so there is one more where they do.
    fn prefetch(&self) -> u16 {
        let is_class = |queue| self.names.class_of(queue) != Priority::Normal;
        let waits = u16::from(self.queues.iter().any(is_class));
        let default = self.settings.concurrency.saturating_add(waits);
        self.settings.prefetch.unwrap_or(default)
    }

    fn into_shared(self, prefetch: u16, handlers: Handle, holders: &mut JoinSet<()>) -> Shared {
        // As many finished tasks as may come back when the connection breaks, twice.
        let memory = 2 * usize::from(prefetch) * self.queues.len() + 1000;
        let services = self.services.iter().map(ServiceName::as_str);
        let services = Services::new(services, self.names.clone());
        let longest = longest_run(self.consumer_timeout);
        // Time limits have ended every handler by then that can be ended.
        let longest_held = longest + (self.consumer_timeout - longest) / 2;
        let (transport, names) = (&self.transport, &self.names);
        Shared {
            tokens: Tokens::start(transport, names, &self.registry, longest_held, holders),
            reporter: Reporter::new(self.id.clone()),
            control: Control::new(
                self.id.clone(),
                self.names.clone(),
                self.settings.cancel_grace,
            ),
            senders: Senders::new(
                &self.transport,
                &self.names,
                self.extensions.observer(&self.id),
            ),
            id: self.id,
            names: self.names,
            transport: self.transport,
            services,
            registry: self.registry,
            states: self.states,
            layers: self.layers,
            extensions: self.extensions,
            limits: Limits {
                time: self.settings.time_limit,
                longest,
                shortest_wait: (self.consumer_timeout - longest) / 2,
                result_bytes: self.settings.max_result_bytes,
                lease_ms: u32::try_from(self.settings.lease.as_millis()).unwrap_or(u32::MAX),
                told: Once::new(),
                told_late: Once::new(),
            },
            guard: Guard::new(memory),
            slots: Slots::new(self.settings.concurrency),
            stop: self.stop,
            threads: Threads::new(handlers),
            began: Instant::now(),
            consumers: Consumers::new(prefetch),
            declarations: self.declarations,
            executions: TaskTracker::new(),
            counts: Counts::default(),
            metrics: Metrics::new(self.settings.concurrency),
            hung: Hung::new(self.settings.concurrency),
            ending: SetOnce::new(),
            given_back: Mutex::default(),
            heard: Mutex::default(),
        }
    }
}

async fn refused(transport: &dyn Transport, queue: QueueName, reason: String) -> Exit {
    match transport.depth(&queue).await {
        Ok(None) => Exit::NoQueue { queue },
        Ok(Some(_)) | Err(_) => Exit::Refused { queue, reason },
    }
}
