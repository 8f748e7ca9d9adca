//! A platform in memory, and workers in it.

use super::scheduled::{Scheduled, ScheduledTask};
use anyhow::Context as _;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::message::{Content, TaskMessage};
use counterfoil_toolbox::names::{QueueName, RoutingKey};
use counterfoil_toolbox::topology::{
    self, Destination, Item, Names, QueueSettings, ServiceSettings,
};
use counterfoil_toolbox::transport::memory::{Faults, MemoryBroker};
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription, Transport};
use counterfoil_toolbox::{Producer, ServiceName, Task};
use counterfoil_worker::{Exit, Stopper, Worker, WorkerBuilder};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Longest wait for a message that is known to be in a queue.
const PATIENCE: Duration = Duration::from_secs(60);

/// Under what name its producer waits for results.
const OWNER: &str = "test";

/// A platform in this process, of its test alone: a broker with everything that `counterfoil init` declares, and
/// somebody who sends. Queues of a service are there as soon as a worker of it is [started](Self::start); until
/// then its tasks are scheduled, and nobody runs them.
///
/// ```
/// use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_toolbox::{Producer, Task};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Welcome { user: u64 }
/// # impl Task for Welcome { const NAME: &'static str = "mail.welcome"; type Output = (); }
/// # async fn sign_up(producer: &Producer, user: u64) -> anyhow::Result<()> {
/// #     producer.send(Welcome { user }).await?; Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let platform = MemoryPlatform::new().await?;
/// sign_up(platform.producer(), 17).await?; // your code
/// platform.assert_scheduled(|mail: &Welcome| mail.user == 17).await?;
/// # Ok(()) }
/// ```
///
/// Nobody does here what `counterfoil-sync` does: a session does not end, a lost task is not sent again, and tasks
/// with `max_concurrency_global` get no token, so a worker never begins them ([`Perform`](crate::Perform) does).
#[derive(Debug)]
pub struct MemoryPlatform {
    broker: MemoryBroker,
    names: Names,
    producer: Producer,
    scheduled: Mutex<Scheduled>,
}

impl MemoryPlatform {
    /// A platform with default names and no services.
    ///
    /// # Errors
    /// None that a test can cause.
    pub async fn new() -> anyhow::Result<Self> {
        let broker = MemoryBroker::new();
        let names = BrokerSettings::default().names()?;
        let items = topology::platform(&names, QueueSettings::default());
        topology::apply(&broker, items).await?;
        let transport: Arc<dyn Transport> = Arc::new(broker.clone());
        let producer = Producer::listening(transport, names.clone(), OWNER).await?;
        Ok(Self {
            broker,
            names,
            producer,
            scheduled: Mutex::default(),
        })
    }

    /// The way to its broker.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.broker.clone())
    }

    /// Its broker, as whoever made it has it.
    pub(crate) fn broker(&self) -> &MemoryBroker {
        &self.broker
    }

    /// Names of its exchanges and queues.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Somebody who sends, and can wait for results. Cheap to clone.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Ways to make its broker misbehave.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use std::time::Duration;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// use counterfoil_toolbox::producer::SendError;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> anyhow::Result<()> {
    /// let platform = MemoryPlatform::new().await?;
    /// let mut availability = platform.producer().availability();
    /// platform.faults().refuse_connections(Duration::from_secs(600));
    /// availability.wait_for(|now| !now.is_available()).await?;
    /// let refused = platform.producer().send(Resize { width: 100 }).await; // your code
    /// assert!(matches!(refused, Err(SendError::BrokerUnavailable { .. })));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.broker.faults()
    }

    /// Begins a worker with default settings.
    pub fn worker(&self) -> WorkerBuilder {
        self.worker_with(WorkerSettings::default())
    }

    /// Begins a worker.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use std::time::Duration;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// use counterfoil_toolbox::config::WorkerSettings;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let platform = MemoryPlatform::new().await?;
    /// let one_at_a_time = WorkerSettings { concurrency: 1, ..WorkerSettings::default() };
    /// let worker = platform.start(platform.worker_with(one_at_a_time).handle(resize)).await?;
    /// # worker.drain().await?;
    /// # Ok(()) }
    /// ```
    pub fn worker_with(&self, settings: WorkerSettings) -> WorkerBuilder {
        Worker::builder(self.transport(), self.names.clone(), settings)
    }

    /// Declares the queues of the worker's services, and starts it beside the test.
    ///
    /// ```
    /// # use counterfoil_testkit::MemoryPlatform;
    /// # use std::time::Duration;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// use counterfoil_toolbox::producer::SendOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> anyhow::Result<()> {
    /// let platform = MemoryPlatform::new().await?;
    /// let worker = platform.start(platform.worker().handle(resize)).await?;
    /// let later = SendOptions::new().countdown(Duration::from_secs(3600));
    /// let mut task = platform.producer().send_with(Resize { width: 100 }, later).await?;
    /// // The clock is paused, so the hour takes no time.
    /// assert_eq!(task.result(Duration::from_secs(2 * 3600)).await?, 100);
    /// worker.drain().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the worker cannot be built: see [`WorkerBuilder::build`].
    pub async fn start(&self, worker: WorkerBuilder) -> anyhow::Result<TestWorker> {
        let worker = worker.build()?;
        self.declare_for(&worker).await?;
        Ok(TestWorker::run(worker))
    }

    /// The same, for a worker that has to consume `queue`.
    pub(super) async fn start_for(
        &self,
        worker: WorkerBuilder,
        queue: &QueueName,
    ) -> anyhow::Result<TestWorker> {
        let worker = worker.build()?;
        let does = worker.queues().contains(queue);
        anyhow::ensure!(
            does,
            "the worker has no handler for tasks of the service {queue}"
        );
        self.declare_for(&worker).await?;
        Ok(TestWorker::run(worker))
    }

    /// Every task that was scheduled here so far, by whomever: children too, retries not.
    ///
    /// # Errors
    /// When something else reads the tracking queue.
    pub async fn scheduled(&self) -> anyhow::Result<Scheduled> {
        let mut scheduled = self.scheduled.lock().await;
        let queue = &self.names.tracking_queue;
        // The broker in memory delivers nothing late: what was confirmed is there.
        let waiting = self.waiting(queue).await?;
        if waiting == 0 {
            return Ok(scheduled.clone());
        }
        let copies = tokio::time::timeout(PATIENCE, self.take(queue, waiting)).await;
        for copy in copies.context("somebody else reads the tracking queue")?? {
            // Whatever is no task was sent by hand: there is nothing to say of it here.
            if let Ok(message) = TaskMessage::decode(&copy.content) {
                scheduled.add(ScheduledTask::new(message, copy));
            }
        }
        Ok(scheduled.clone())
    }

    /// Checks that a task of type `T` was scheduled that `fits`.
    ///
    /// # Errors
    /// As [`Self::scheduled`] does.
    ///
    /// # Panics
    /// When none was. The message lists what was scheduled instead.
    pub async fn assert_scheduled<T: Task>(
        &self,
        fits: impl Fn(&T) -> bool,
    ) -> anyhow::Result<ScheduledTask> {
        let scheduled = self.scheduled().await?;
        Ok(scheduled.assert_scheduled(fits).clone())
    }

    pub(crate) async fn declare_for(&self, worker: &Worker) -> anyhow::Result<()> {
        for queue in worker.queues() {
            let service = ServiceName::new(self.names.service_of(queue))?;
            self.declare(&service).await?;
        }
        Ok(())
    }

    /// Declares what a service needs: one queue for tasks of all classes, so that a test needs no settings for them.
    pub(crate) async fn declare(&self, service: &ServiceName) -> anyhow::Result<()> {
        let mut items = topology::service(&self.names, service, &ServiceSettings::default());
        let classes = ServiceSettings {
            priorities: true,
            ..ServiceSettings::default()
        };
        for item in topology::service(&self.names, service, &classes) {
            if let Item::Binding(mut binding) = item
                && binding.source == self.names.work
            {
                binding.destination = Destination::Queue(self.names.service_queue(service));
                items.push(Item::Binding(binding));
            }
        }
        topology::apply(&self.broker, items).await?;
        Ok(())
    }

    /// Messages that wait in a queue; none when there is no such queue.
    pub(crate) async fn waiting(&self, queue: &QueueName) -> anyhow::Result<u32> {
        let depth = self.broker.depth(queue).await?;
        Ok(depth.map_or(0, |depth| depth.ready))
    }

    /// Takes so many messages out of a queue; waits for them.
    pub(crate) async fn take(&self, queue: &QueueName, count: u32) -> anyhow::Result<Vec<Taken>> {
        let options = SubscribeOptions::new(queue.clone(), 100);
        let mut subscription = Subscription::open(self.transport(), options);
        let mut taken = Vec::new();
        for _ in 0..count {
            let delivery = subscription.next().await.context("the broker is open")?;
            taken.push(Taken {
                content: delivery.content.clone(),
                routing_key: delivery.routing_key.clone(),
            });
            let _ = delivery.ack();
        }
        subscription.close().await;
        Ok(taken)
    }
}

/// A message that was taken out of a queue.
pub(crate) struct Taken {
    pub(crate) content: Content,
    pub(crate) routing_key: RoutingKey,
}

/// A worker that runs beside the test. Dropped, it stops at once.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use std::time::Duration;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// use counterfoil_worker::Exit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let platform = MemoryPlatform::new().await?;
/// let worker = platform.start(platform.worker().handle(resize)).await?;
/// assert_eq!(worker.drain().await?, Exit::Drained);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropped, it stops at once"]
pub struct TestWorker {
    stopper: Stopper,
    ended: JoinHandle<Exit>,
}

impl TestWorker {
    pub(crate) fn run(worker: Worker) -> Self {
        Self {
            stopper: worker.stopper(),
            ended: tokio::spawn(worker.run_until(std::future::pending())),
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_finished()
    }

    /// Stops it as SIGTERM does: what runs may finish.
    ///
    /// # Errors
    /// When the worker panicked.
    pub async fn drain(mut self) -> anyhow::Result<Exit> {
        self.stopper.drain();
        Ok((&mut self.ended).await?)
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.stopper.stop_now();
    }
}
