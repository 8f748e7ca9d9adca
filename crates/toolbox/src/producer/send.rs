//! From a task to a confirmed message.

use super::availability::Availability;
use super::builder::ProducerBuilder;
use super::draft::Draft;
use super::error::SendError;
use super::guard::Guard;
use super::metrics::Metrics;
use super::observer::Observer;
use super::options::SendOptions;
use super::raw::RawTask;
use super::replies::Replies;
use super::result::TaskHandle;
use super::sending::Sending;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::task::Task;
use crate::telemetry::trace::{self, Part};
use crate::topology::{DelayLevels, Names};
use crate::transport::{DeclareError, Publisher, Transport};
use chrono::Utc;
use futures::StreamExt as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, Span};

/// Sends of one call to [`Producer::send_all`] that are under way at a time.
pub(super) const UNDER_WAY: usize = 1000;

/// Sends tasks. Cheap to clone; all clones share one channel in confirm mode.
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::sync::Arc;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let transport = Arc::new(broker);
/// let producer = Producer::new(transport, names); // once, in `main`
/// let another = producer.clone(); // for another thread; both share one channel
/// another.send(Add { x: 2, y: 3 }).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) publisher: Publisher,
    pub(super) guard: Arc<Guard>,
    pub(super) metrics: Metrics,
    pub(super) _listener: AbortOnDropHandle<()>,
    /// For what the producer itself says of a task; opened when it first has to.
    pub(super) reporter: OnceLock<Publisher>,
    pub(super) names: Names,
    pub(super) levels: DelayLevels,
    pub(super) replies: Option<Replies>,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Producer {
    /// A producer over `transport`, with the default circuit breaker. It connects in the background,
    /// whether there is a broker yet or not.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, names: Names) -> Self {
        Self::builder(transport, names).build()
    }

    /// A producer over `transport` about which something is to be said, such as the settings of its
    /// circuit breaker.
    pub fn builder(transport: Arc<dyn Transport>, names: Names) -> ProducerBuilder {
        ProducerBuilder::new(transport, names)
    }

    /// A producer whose handles can be asked for results. It has a queue `<owner>.reply.<id>` of
    /// its own, which the broker removes five minutes after the producer went away. Without a broker
    /// it starts as well, after the transport's `connect_timeout` at the latest, and declares the
    /// queue as soon as there is one. [`ProducerBuilder::listening`] has an example.
    ///
    /// # Errors
    /// [`DeclareError`] when the broker answers and does not let that queue be declared.
    pub async fn listening(
        transport: Arc<dyn Transport>,
        names: Names,
        owner: &str,
    ) -> Result<Self, DeclareError> {
        Self::builder(transport, names).listening(owner).await
    }

    /// Whether tasks can be sent, now and from now on: for a button that is to be grey while they
    /// cannot. It changes by itself when the broker goes away or comes back, also while nobody
    /// sends. Before the first connection has succeeded or failed it is
    /// [`Available`](Availability::Available).
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// let mut availability = producer.availability();
    /// assert!(availability.borrow().is_available()); // draw the button
    ///
    /// broker.faults().refuse_connections(Duration::from_secs(60));
    /// availability.wait_for(|now| !now.is_available()).await?; // grey it
    /// availability.wait_for(|now| now.is_available()).await?; // a minute later, by itself
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn availability(&self) -> watch::Receiver<Availability> {
        self.inner.guard.availability()
    }

    /// Sends a task. `Ok`: the broker has stored it, and a copy for the platform.
    ///
    /// What is not confirmed is sent again, with the same id, until three times the confirm
    /// time-out (30 s) are over; a full queue is asked five times. While the broker is known to be
    /// in trouble nothing is tried, see [`SendError::BrokerUnavailable`].
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// use counterfoil_toolbox::producer::SendError;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// match producer.send(Add { x: 2, y: 3 }).await {
    ///     Ok(handle) => println!("scheduled {}", handle.id()),
    ///     Err(SendError::BrokerUnavailable { retry_in, .. }) => println!("not sent; again in {retry_in:?}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # let waiting = counterfoil_toolbox::transport::Transport::depth(&broker, &names.tracking_queue).await?;
    /// # assert_eq!(waiting.unwrap().ready, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendError`]; after [`SendError::Unknown`] the task may still run.
    ///
    /// # Cancel safety
    /// Cancelled, the task may still be sent.
    pub async fn send<T: Task>(&self, task: T) -> Result<TaskHandle<T>, SendError> {
        self.send_with(task, SendOptions::default()).await
    }

    /// Sends a task with options.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// use counterfoil_toolbox::producer::SendOptions;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// let options = SendOptions::new().countdown(Duration::from_secs(3600)).creator("anna");
    /// let handle = producer.send_with(Add { x: 2, y: 3 }, options).await?;
    /// # assert!(handle.id().as_uuid().is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_with<T: Task>(
        &self,
        task: T,
        options: SendOptions,
    ) -> Result<TaskHandle<T>, SendError> {
        let options = options.of_type::<T>();
        let sent = self
            .begin(RawTask::of(&task)?, options)
            .await?
            .confirmed()
            .await?;
        Ok(TaskHandle::new(sent))
    }

    /// Sends many tasks, with many confirms under way at a time. One outcome per task, in order.
    ///
    /// When the broker takes none of them any more, those that are left are refused at once.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// let sums = (0..1000).map(|x| Add { x, y: 1 });
    /// let outcomes = producer.send_all(sums).await;
    /// let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    /// assert_eq!((outcomes.len(), failed), (1000, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Cancelled, some of the tasks may be sent.
    pub async fn send_all<T: Task>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Vec<Result<TaskHandle<T>, SendError>> {
        let trouble = Mutex::new(None);
        let trouble = &trouble;
        let options = &SendOptions::default().of_type::<T>();
        let send = |task: T| async move {
            let raw = RawTask::of(&task)?;
            let known = lock(trouble).clone();
            if let Some(source) = known {
                let began = Instant::now();
                let task = raw.name;
                let refused = SendError::Refused { task, source };
                self.inner.metrics.failed(&refused, began);
                return Err(refused);
            }
            let sent = match self.begin(raw, options.clone()).await {
                Ok(sending) => sending.confirmed().await,
                Err(error) => Err(error),
            };
            if let Some(found) = sent.as_ref().err().and_then(SendError::trouble) {
                *lock(trouble) = Some(found);
            }
            sent.map(TaskHandle::new)
        };
        let tasks = futures::stream::iter(tasks);
        tasks.map(send).buffered(UNDER_WAY).collect().await
    }

    /// Hands a task over without waiting for its confirm: tasks leave in the order of these calls.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// use counterfoil_toolbox::producer::{RawTask, SendOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// let mut on_their_way = Vec::new();
    /// for x in 0..3 {
    ///     let task = RawTask::of(&Add { x, y: 1 })?;
    ///     on_their_way.push(producer.begin(task, SendOptions::new()).await?);
    /// }
    /// for sending in on_their_way {
    ///     sending.confirmed().await?; // only now it is sent
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Self::send`].
    ///
    /// # Cancel safety
    /// Cancelled, the task is not sent.
    pub async fn begin(&self, task: RawTask, options: SendOptions) -> Result<Sending, SendError> {
        let began = Instant::now();
        let (name, span) = (task.name.clone(), span_of(&task.name));
        trace::join(&span, Part::Sends, || options.remote_trace());
        let draft = || Draft::new(task, options, Utc::now());
        let beginning = self.hand_over(name, draft, began, span.clone());
        let begun = beginning.instrument(span.clone()).await;
        begun.inspect_err(|error| trace::failed(&span, self.inner.metrics.failed(error, began)))
    }

    /// Sends a task that is written already, as it is.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// use chrono::Utc;
    /// use counterfoil_toolbox::producer::{Draft, SendOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
    /// let mut draft = Draft::of(&Add { x: 2, y: 3 }, SendOptions::new(), Utc::now())?;
    /// draft.content.headers.push("tenant", "acme"); // what no option sets
    /// producer.send_draft(draft).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Self::send`].
    ///
    /// # Cancel safety
    /// Cancelled, the task may still be sent.
    pub async fn send_draft(&self, draft: Draft) -> Result<TaskId, SendError> {
        let began = Instant::now();
        let (name, span) = (draft.task.clone(), span_of(&draft.task));
        let beginning = self.hand_over(name, || Ok(draft), began, span.clone());
        let begun = beginning.instrument(span.clone()).await;
        let sending = begun
            .inspect_err(|error| trace::failed(&span, self.inner.metrics.failed(error, began)))?;
        let id = sending.id().clone();
        sending.confirmed().await?;
        Ok(id)
    }

    /// Names of the exchanges that it publishes to.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.inner.names
    }
}

/// Only for those who export traces, or ask for finer logs: others pay nothing for it.
fn span_of(task: &TaskName) -> Span {
    tracing::debug_span!("task.send", task_name = %task, otel.kind = tracing::field::Empty)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds the lock")
}
