//! A platform in memory: broker, topology, somebody who sends and somebody who listens.

use counterfoil_testkit::eventually;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::session::{Inquiry, Opening};
use counterfoil_toolbox::topology::{
    Names, QueueKind, QueueSettings, ServiceSettings, apply, platform, service,
};
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::transport::{
    Publication, PublisherOptions, SubscribeOptions, Subscription, Transport,
};
use counterfoil_toolbox::{Producer, ServiceName, Task, TaskId, TaskState};
use counterfoil_worker::{Exit, Stopper, Worker, WorkerBuilder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Tests of one and the same promise, an `async fn(World)`, on both transports.
macro_rules! on_both_transports {
    ($($promise:ident),+ $(,)?) => {
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $promise() {
                super::$promise(crate::world::World::new().await).await;
            })+
        }
        mod on_rabbitmq {
            $(#[tokio::test]
            async fn $promise() -> anyhow::Result<()> {
                let (vhost, world) = crate::on_rabbitmq::rabbitmq().await?;
                super::$promise(world).await;
                vhost.close().await
            })+
        }
    };
}

/// Longest wait for anything, by the paused clock of most tests.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct World {
    /// For its faults; when the platform is in memory.
    pub(crate) broker: MemoryBroker,
    transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) producer: Producer,
    told: watch::Receiver<Told>,
}

/// What was heard on the events queue.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    /// What is no batch of events: openings of sessions.
    objects: Vec<Value>,
    /// Routing keys of the batches, each once.
    keys: BTreeSet<String>,
    batches: usize,
}

impl World {
    /// A platform in memory, with the services `demo` and `export`.
    pub(crate) async fn new() -> Self {
        let broker = MemoryBroker::new();
        Self {
            broker: broker.clone(),
            ..Self::on(Arc::new(broker)).await
        }
    }

    /// The same, and its services have queues that do not count deliveries.
    pub(crate) async fn with_classic_queues() -> Self {
        let broker = MemoryBroker::new();
        Self {
            broker: broker.clone(),
            ..Self::with_queues(Arc::new(broker), QueueKind::Classic).await
        }
    }

    /// The same on any broker.
    pub(crate) async fn on(transport: Arc<dyn Transport>) -> Self {
        Self::with_queues(transport, QueueKind::Quorum).await
    }

    async fn with_queues(transport: Arc<dyn Transport>, kind: QueueKind) -> Self {
        let names = BrokerSettings::default().names().expect("default names");
        declare(&*transport, &names, kind).await;
        let (to_tests, told) = watch::channel(Told::default());
        let queue = names.events_queue.clone();
        tokio::spawn(listen(transport.clone(), queue, to_tests));
        Self {
            producer: Producer::builder(transport.clone(), names.clone())
                .patient()
                .build(),
            broker: MemoryBroker::new(),
            transport,
            names,
            told,
        }
    }

    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Declares again what a test has deleted.
    pub(crate) async fn mend(&self) {
        declare(&*self.transport, &self.names, QueueKind::Quorum).await;
    }

    pub(crate) fn builder(&self, settings: WorkerSettings) -> WorkerBuilder {
        Worker::builder(self.transport(), self.names.clone(), settings)
    }

    /// Builds and starts a worker with default settings.
    pub(crate) fn start(&self, add: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Started {
        self.start_with(WorkerSettings::default(), add)
    }

    pub(crate) fn start_with(
        &self,
        settings: WorkerSettings,
        add: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Started {
        Started::run(add(self.builder(settings)))
    }

    pub(crate) async fn send<T: Task>(&self, task: T) -> TaskId {
        self.send_with(task, SendOptions::new()).await
    }

    pub(crate) async fn send_with<T: Task>(&self, task: T, options: SendOptions) -> TaskId {
        let sent = self.producer.send_with(task, options).await.expect("sent");
        sent.id().clone()
    }

    /// Publishes anything anywhere.
    pub(crate) async fn publish(&self, exchange: &ExchangeName, key: &str, content: Content) {
        let publisher = self.transport.publisher(PublisherOptions::default());
        let publication = Publication {
            exchange: exchange.clone(),
            routing_key: RoutingKey::new(key).expect("valid"),
            content,
        };
        publisher.publish(publication).await.expect("confirmed");
    }

    /// Waits until the events so far are such that `look` finds what it wants.
    pub(crate) async fn until<T>(&self, look: impl Fn(&[Event]) -> Option<T>) -> T {
        let mut told = self.told.clone();
        let found = told.wait_for(|told| look(&told.events).is_some());
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => look(&found.expect("the listener lives").events).expect("found just now"),
            Err(_) => panic!("not seen within {PATIENCE:?}: {:#?}", self.history()),
        }
    }

    /// Waits until `id` was reported in `state`, and returns that event.
    pub(crate) async fn told_of(&self, id: &TaskId, state: TaskState) -> Event {
        let kind = EventKind::State(state);
        let is_it = |event: &&Event| event.task_id == *id && event.kind == kind;
        self.until(|events| events.iter().find(is_it).cloned())
            .await
    }

    /// The states that were reported of `id`, in order.
    pub(crate) fn states_of(&self, id: &TaskId) -> Vec<&'static str> {
        let told = self.told.borrow();
        let of_it = told.events.iter().filter(|event| event.task_id == *id);
        of_it.map(|event| event.kind.as_str()).collect()
    }

    /// The lines of the log of `id`.
    pub(crate) fn logged_by(&self, id: &TaskId) -> Vec<String> {
        let told = self.told.borrow();
        let of_it = told.events.iter().filter(|event| event.task_id == *id);
        let lines = of_it.filter_map(|event| event.log.as_ref());
        lines.map(|line| line.message.clone()).collect()
    }

    /// Everything that was reported of `id` in `state`, in order.
    pub(crate) fn all_told_of(&self, id: &TaskId, state: TaskState) -> Vec<Event> {
        let kind = EventKind::State(state);
        let is_it = |event: &&Event| event.task_id == *id && event.kind == kind;
        let told = self.told.borrow();
        told.events.iter().filter(is_it).cloned().collect()
    }

    /// Settings of a worker that runs one handler at a time, and holds several tasks.
    pub(crate) fn one_at_a_time() -> WorkerSettings {
        WorkerSettings {
            concurrency: 1,
            prefetch: Some(10),
            ..WorkerSettings::default()
        }
    }

    /// Sessions that were opened, each as often as it was.
    pub(crate) fn openings(&self) -> Vec<Opening> {
        let told = self.told.borrow();
        let openings = told.objects.iter().filter_map(|it| it.get("session"));
        let read = |it: &Value| serde_json::from_value(it.clone()).expect("an opening");
        openings.map(read).collect()
    }

    /// How many questions after sessions were asked.
    pub(crate) fn inquiries(&self) -> usize {
        let told = self.told.borrow();
        let all = told.objects.iter().filter(|it| it.get("inquiry").is_some());
        all.count()
    }

    /// Waits for the `nth` question after a session, from 0.
    pub(crate) async fn inquiry(&self, nth: usize) -> Inquiry {
        let find = |told: &Told| {
            let mut all = told.objects.iter().filter_map(|it| it.get("inquiry"));
            all.nth(nth).cloned()
        };
        let mut told = self.told.clone();
        let found = told.wait_for(|told| find(told).is_some());
        let found = in_time("a question", found).await;
        let found = find(&found.expect("the listener lives")).expect("found just now");
        serde_json::from_value(found).expect("an inquiry")
    }

    /// Routing keys under which events came.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.told.borrow().keys.iter().cloned().collect()
    }

    /// Messages in which events came.
    pub(crate) fn batches(&self) -> usize {
        self.told.borrow().batches
    }

    fn history(&self) -> Vec<(String, &'static str)> {
        let told = self.told.borrow();
        let short = |event: &Event| (event.task_id.to_string(), event.kind.as_str());
        told.events.iter().map(short).collect()
    }

    /// A task message with this body.
    pub(crate) fn message(&self, name: &'static str, id: &'static str, body: &str) -> Content {
        let mut content = Content::json(body.to_owned());
        content.headers.push("task", name);
        content.headers.push("id", id);
        content
    }

    /// Publishes straight into a queue.
    pub(crate) async fn publish_to_queue(&self, queue: &str, content: Content) {
        let exchange = ExchangeName::default_exchange();
        self.publish(&exchange, queue, content).await;
    }

    /// Messages that wait in a queue.
    pub(crate) async fn waiting_in(&self, queue: &str) -> u32 {
        let queue = QueueName::new(queue).expect("valid");
        let depth = self.transport.depth(&queue).await.expect("reachable");
        depth.expect("the queue exists").ready
    }

    /// Waits until so many messages wait in a queue.
    pub(crate) async fn until_waiting(&self, queue: &str, wanted: u32) {
        let mut seen = 0;
        let waited = eventually("messages to wait", PATIENCE, async || {
            seen = self.waiting_in(queue).await;
            Ok((seen == wanted).then_some(()))
        });
        if waited.await.is_err() {
            panic!("{seen} messages wait in {queue}, not {wanted}");
        }
    }

    /// Takes the next message out of a queue.
    pub(crate) async fn take_from(&self, queue: &str) -> Content {
        let queue = QueueName::new(queue).expect("valid");
        let mut subscription =
            Subscription::open(self.transport(), SubscribeOptions::new(queue.clone(), 1));
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
        let delivery = next.unwrap_or_else(|_| panic!("nothing came out of {queue}"));
        let delivery = delivery.expect("the transport lives");
        let content = delivery.content.clone();
        let _ = delivery.ack();
        subscription.close().await;
        content
    }

    /// Waits until consumers hold more than one message at a time: not in their first second.
    pub(crate) async fn warm_up(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// Waits until nothing waits in a queue and nobody holds anything of it: a new consumer gets
    /// nothing even after all others are gone.
    pub(crate) async fn is_empty_after(&self, worker: Started, queue: &str) -> bool {
        worker.drain().await;
        self.waiting_in(queue).await == 0
    }
}

/// Declares the platform and two services. A busy broker may need more than one try.
async fn declare(transport: &dyn Transport, names: &Names, kind: QueueKind) {
    let mut items = platform(names, QueueSettings::default());
    for name in ["demo", "export"] {
        let name = ServiceName::new(name).expect("valid");
        let settings = ServiceSettings {
            kind,
            ..ServiceSettings::default()
        };
        items.extend(service(names, &name, &settings));
    }
    let declared = eventually(
        "the topology to be declared",
        PATIENCE,
        async || match apply(transport, items.clone()).await {
            Ok(_) => Ok(Some(())),
            Err(error) if error.is_transient() => Ok(None),
            Err(error) => Err(error.into()),
        },
    );
    declared.await.expect("the broker lets us in");
}

async fn listen(transport: Arc<dyn Transport>, queue: QueueName, to_tests: watch::Sender<Told>) {
    let mut subscription = Subscription::open(transport, SubscribeOptions::new(queue, 100));
    while let Some(delivery) = subscription.next().await {
        // What opens a session comes the same way, as an object.
        let batch: Value = serde_json::from_slice(&delivery.content.body).expect("JSON");
        to_tests.send_modify(|told| {
            if batch.is_array() {
                let events = serde_json::from_value::<Vec<Event>>(batch);
                told.events.extend(events.expect("a batch of events"));
            } else {
                told.objects.push(batch);
            }
            told.keys.insert(delivery.routing_key.to_string());
            told.batches += 1;
        });
        let _ = delivery.ack();
    }
}

/// A worker that runs beside the test.
pub(crate) struct Started {
    pub(crate) stopper: Stopper,
    ended: JoinHandle<Exit>,
}

impl Started {
    /// Builds and starts a worker.
    pub(crate) fn run(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("builds");
        Self {
            stopper: worker.stopper(),
            ended: tokio::spawn(worker.run_until(std::future::pending())),
        }
    }

    /// Stops it as a first signal does.
    pub(crate) async fn drain(self) -> Exit {
        self.stopper.drain();
        self.exit().await
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_finished()
    }

    pub(crate) async fn exit(self) -> Exit {
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        ended.expect("the worker ends").expect("it does not panic")
    }
}

/// Waits for something that a handler does, at most as long as for everything else.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}
