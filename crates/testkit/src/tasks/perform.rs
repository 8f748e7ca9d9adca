//! One handler, run once.

use super::performed::{Outcome, Performed};
use super::platform::MemoryPlatform;
use anyhow::Context as _;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::names as headers;
use counterfoil_toolbox::names::ExchangeName;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::tokens::TokenId;
use counterfoil_toolbox::topology::{self, Item, QueueSettings};
use counterfoil_toolbox::transport::{
    Declare, Publication, PublisherOptions, SubscribeOptions, Subscription,
};
use counterfoil_toolbox::{ServiceName, Task, TaskId, TaskName, TaskState};
use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
use counterfoil_worker::{Context, WorkerBuilder};
use serde::Serialize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Longest that an execution can take: a worker ends every handler before the broker loses its patience.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Runs the handler of one task once, and tells what came of it.
///
/// The handler runs under a real worker with its real [`Context`], over a platform of its own in memory; what it
/// schedules is kept and not run, and neither is a retry. It takes the time that the handler takes: none, with
/// `#[tokio::test(start_paused = true)]`.
///
/// ```
/// # use counterfoil_testkit::{Outcome, Perform};
/// # use counterfoil_toolbox::Task;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Clone)]
/// # struct Fetch { page: u32 }
/// # impl Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = String; }
/// async fn fetch(task: Fetch, cx: Context) -> Result<String, TaskError> {
///     match cx.attempt() {
///         1 => Err(TaskError::retry("too many requests")),
///         _ => Ok(format!("page {}", task.page)),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let first = Perform::new(Fetch { page: 7 }).by(|worker| worker.handle(fetch)).await?;
/// assert!(matches!(first.outcome(), Outcome::Retry { counted: true, .. }));
/// assert_eq!(first.fault().message, "too many requests");
///
/// let second = Perform::new(Fetch { page: 7 }).attempt(2);
/// let second = second.by(|worker| worker.handle(fetch)).await?;
/// assert_eq!(second.output(), "page 7");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is performed until `by` is awaited"]
pub struct Perform<T> {
    task: T,
    options: SendOptions,
    attempt: u32,
    checkpoint: Option<String>,
}

/// What the layer around the handler has seen.
#[derive(Debug, Default)]
struct Seen {
    cx: Option<Context>,
    took: Duration,
}

impl<T: Task> Perform<T> {
    /// To perform `task`, sent without options, for the first time.
    pub fn new(task: T) -> Self {
        Self {
            task,
            options: SendOptions::new(),
            attempt: 1,
            checkpoint: None,
        }
    }

    /// Sent like this: by whom, with which time limits, under which id.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// use counterfoil_toolbox::producer::SendOptions;
    ///
    /// async fn resize(_: Resize, cx: Context) -> Result<u32, TaskError> {
    ///     let by = cx.creator().ok_or_else(|| TaskError::fail("nobody asked for it"))?;
    ///     Ok(u32::try_from(by.len())?)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let asked = Perform::new(Resize { width: 100 }).options(SendOptions::new().creator("anna"));
    /// let asked = asked.by(|worker| worker.handle(resize)).await?;
    /// assert_eq!(asked.output(), &4);
    /// # Ok(()) }
    /// ```
    pub fn options(mut self, options: SendOptions) -> Self {
        self.options = options;
        self
    }

    /// As the `number`th attempt, after so many counted retries less one. Default: 1, the first one.
    pub fn attempt(mut self, number: u32) -> Self {
        self.attempt = number;
        self
    }

    /// With what an earlier execution has left by [`Context::checkpoint`].
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct ResizeAll { widths: Vec<u32> }
    /// # impl counterfoil_toolbox::Task for ResizeAll { const NAME: &'static str = "image.resize_all"; type Output = (); }
    /// async fn resize_all(task: ResizeAll, cx: Context) -> Result<(), TaskError> {
    ///     for done in cx.last_checkpoint()?.unwrap_or(0)..task.widths.len() {
    ///         cx.log(counterfoil_worker::Level::INFO, format!("{}", task.widths[done]), serde_json::Value::Null);
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let second = Perform::new(ResizeAll { widths: vec![100, 200, 300] }).checkpoint(&2)?;
    /// let second = second.by(|worker| worker.handle(resize_all)).await?;
    /// assert_eq!(second.log().count(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn checkpoint(mut self, state: &impl Serialize) -> anyhow::Result<Self> {
        self.checkpoint = Some(serde_json::to_string(state)?);
        Ok(self)
    }

    /// Performs it by the handler that `register` adds to a worker, as your program does: with state and layers.
    ///
    /// # Errors
    /// When the worker cannot be built, or has no handler for tasks of this service.
    pub async fn by(
        self,
        register: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> anyhow::Result<Performed<T>> {
        let platform = MemoryPlatform::new().await?;
        let name = TaskName::new(T::NAME)?;
        let service = ServiceName::new(name.service())?;
        platform.declare(&service).await?;
        issue_tokens::<T>(&platform, &name).await?;
        let id = self.send(&platform, &service).await?;

        let seen = Arc::new(Mutex::new(Seen::default()));
        let around = {
            let (seen, id) = (Arc::clone(&seen), id.clone());
            move |call, next| once(Arc::clone(&seen), id.clone(), call, next)
        };
        let worker = register(platform.worker()).layer(from_fn(around));
        let queue = platform.names().service_queue(&service);
        let worker = platform.start_for(worker, &queue).await?;
        let listening = listen(&platform, &id);
        let events = tokio::time::timeout(LONGEST, listening).await;
        let events = events.with_context(|| format!("{name} did not end within {LONGEST:?}"))??;
        drop(worker);

        let dead = platform.names().dead_queue(&service);
        let is_dead = platform.waiting(&dead).await? > 0;
        let last = events.last().context("something was told of the task")?;
        let Seen { cx, took } = std::mem::take(&mut *lock(&seen));
        Ok(Performed {
            outcome: Outcome::of(last, is_dead)?.context("the last event ends the execution")?,
            scheduled: platform.scheduled().await?.without(&id),
            id,
            events,
            cx,
            took,
        })
    }

    /// Sends it to the queue of its service, and makes it there what it is said to be.
    async fn send(
        self,
        platform: &MemoryPlatform,
        service: &ServiceName,
    ) -> anyhow::Result<TaskId> {
        let sent = platform.producer().send_with(self.task, self.options);
        let id = sent.await?.id().clone();
        if self.attempt <= 1 && self.checkpoint.is_none() {
            return Ok(id);
        }
        let queue = platform.names().service_queue(service);
        let first = tokio::time::timeout(LONGEST, platform.take(&queue, 1)).await;
        let first = first.with_context(|| format!("it did not come into the queue {queue}"))?;
        let first = first?.remove(0);
        let mut content = first.content;
        let retries = i64::from(self.attempt.max(1) - 1);
        content.headers.set("retries", retries);
        if let Some(checkpoint) = self.checkpoint {
            content.headers.set(headers::CHECKPOINT, checkpoint);
        }
        let again = Publication {
            exchange: platform.names().requeue.clone(),
            routing_key: first.routing_key,
            content,
        };
        let options = PublisherOptions::mandatory();
        let publisher = platform.transport().publisher(options);
        publisher.publish(again).await?;
        Ok(id)
    }
}

/// Around every handler of the worker: lets the task in once, and nothing else.
async fn once(seen: Arc<Mutex<Seen>>, id: TaskId, call: Call, next: Next) -> Answer {
    let cx = call.cx().clone();
    let is_it = *cx.task_id() == id && lock(&seen).cx.is_none();
    if !is_it {
        // A child or a retry: the test ends without it.
        return std::future::pending().await;
    }
    lock(&seen).cx = Some(cx);
    let began = Began(Instant::now(), &seen);
    let answer = next.run(call).await;
    drop(began);
    answer
}

/// Notes how long a handler ran, also when it is dropped at its time limit.
struct Began<'a>(Instant, &'a Mutex<Seen>);

impl Drop for Began<'_> {
    fn drop(&mut self) {
        lock(self.1).took = self.0.elapsed();
    }
}

/// All that is told of the task, up to the end of its execution.
async fn listen(platform: &MemoryPlatform, id: &TaskId) -> anyhow::Result<Vec<Event>> {
    let queue = platform.names().events_queue.clone();
    let options = SubscribeOptions::new(queue, 100);
    let mut subscription = Subscription::open(platform.transport(), options);
    let mut told = Vec::new();
    loop {
        let delivery = subscription.next().await.context("the broker is open")?;
        // Openings of sessions come by here too.
        let batch = serde_json::from_slice(&delivery.content.body);
        let events: Vec<Event> = batch.unwrap_or_default();
        let _ = delivery.ack();
        for event in events.into_iter().filter(|event| event.task_id == *id) {
            let is_over = matches!(event.kind, EventKind::State(state)
                if state.is_terminal() || state == TaskState::Retry);
            told.push(event);
            if is_over {
                return Ok(told);
            }
        }
    }
}

/// The daemon's part for a task that runs by tokens.
async fn issue_tokens<T: Task>(platform: &MemoryPlatform, name: &TaskName) -> anyhow::Result<()> {
    if T::options().max_concurrency_global.is_none() {
        return Ok(());
    }
    let (transport, names) = (platform.transport(), platform.names());
    let queue = topology::token_queue(names, name, QueueSettings::default())?;
    transport
        .declare(&Item::Queue(queue), Declare::Active)
        .await?;
    let token = TokenId::first_of(1).message(names, name)?;
    let publication = Publication {
        exchange: ExchangeName::default_exchange(),
        ..token
    };
    let publisher = transport.publisher(PublisherOptions::mandatory());
    Ok(publisher.publish(publication).await?)
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().expect("no code panics while it holds the lock")
}
