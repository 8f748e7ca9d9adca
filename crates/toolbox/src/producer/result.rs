//! Waiting for what became of a task.
//!
//! A listening producer has a queue of its own on the events exchange, bound for the services that
//! it sends to, and remembers the tasks whose handles are alive.

use super::send::SendError;
use crate::event::{Event, EventKind, TaskFault};
use crate::ids::TaskId;
use crate::message::Headers;
use crate::names::QueueName;
use crate::state::TaskState;
use crate::task::Task;
use crate::text::InvalidText;
use crate::topology::names::event_key;
use crate::topology::{Binding, Destination, Item, Names, Queue, QueueKind};
use crate::transport::{Declare, DeclareError, SubscribeOptions, Subscription, Transport};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// Milliseconds after which the broker removes the queue of a producer that went away.
const QUEUE_EXPIRES_MS: i64 = 300_000;

/// Batches of events that are held while they are looked through.
const PREFETCH: u16 = 100;

/// The result of a task could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The producer does not listen for results.
    #[error("this producer does not listen for results: make it with `Producer::listening`")]
    NotListening,
    /// The task has not ended within the time given. It goes on.
    #[error("task {id} has not ended within {after:?}")]
    Timeout {
        /// The task.
        id: TaskId,
        /// The time given.
        after: Duration,
    },
    /// The task failed or was revoked.
    #[error("task {id} ended as {state}: {}", fault.message)]
    Failed {
        /// The task.
        id: TaskId,
        /// How it ended.
        state: TaskState,
        /// Why.
        fault: TaskFault,
    },
    /// The result is not what the task's type says.
    #[error("the result of task {id} is not of the task's output type")]
    Output {
        /// The task.
        id: TaskId,
        /// What does not fit.
        source: serde_json::Error,
    },
}

/// A task that was sent.
#[derive(Debug)]
pub struct TaskHandle<T> {
    raw: RawHandle,
    task: PhantomData<fn() -> T>,
}

impl<T: Task> TaskHandle<T> {
    pub(super) fn new(raw: RawHandle) -> Self {
        Self {
            raw,
            task: PhantomData,
        }
    }

    /// Id of the task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.raw.id
    }

    /// Waits until the task has ended, at most `timeout`, and returns what its handler returned.
    ///
    /// # Errors
    /// [`ResultError`]; after [`ResultError::Timeout`] it may be called again.
    ///
    /// # Cancel safety
    /// Cancelled, nothing is lost: call it again.
    pub async fn result(&mut self, timeout: Duration) -> Result<T::Output, ResultError> {
        let json = self.raw.result(timeout).await?;
        serde_json::from_str(json.get()).map_err(|source| ResultError::Output {
            id: self.raw.id.clone(),
            source,
        })
    }
}

/// A task that was sent by name: its result is JSON.
#[derive(Debug)]
pub struct RawHandle {
    id: TaskId,
    waiting: Option<Waiting>,
}

impl RawHandle {
    pub(super) fn new(id: TaskId, waiting: Option<Waiting>) -> Self {
        Self { id, waiting }
    }

    /// Id of the task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Waits until the task has ended, at most `timeout`, and returns what its handler returned.
    ///
    /// # Errors
    /// [`ResultError`]; after [`ResultError::Timeout`] it may be called again.
    ///
    /// # Cancel safety
    /// Cancelled, nothing is lost: call it again.
    pub async fn result(&mut self, timeout: Duration) -> Result<Arc<RawValue>, ResultError> {
        let id = &self.id;
        let waiting = self.waiting.as_mut().ok_or(ResultError::NotListening)?;
        let ended = waiting.ended.wait_for(Option::is_some);
        let ended = match tokio::time::timeout(timeout, ended).await {
            Err(_) => {
                return Err(ResultError::Timeout {
                    id: id.clone(),
                    after: timeout,
                });
            }
            Ok(Err(_)) => return Err(ResultError::NotListening),
            Ok(Ok(ended)) => ended.clone(),
        };
        match ended.ok_or(ResultError::NotListening)? {
            Ended::Success(json) => Ok(json),
            Ended::Other(state, fault) => Err(ResultError::Failed {
                id: id.clone(),
                state,
                fault,
            }),
        }
    }
}

/// How a task ended.
#[derive(Debug, Clone)]
enum Ended {
    Success(Arc<RawValue>),
    Other(TaskState, TaskFault),
}

/// One task that somebody may ask about; forgotten when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    id: TaskId,
    ended: watch::Receiver<Option<Ended>>,
    results: Arc<Inner>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.results.waiting().remove(&self.id);
    }
}

/// The listening side of a producer.
#[derive(Debug)]
pub(super) struct Results {
    inner: Arc<Inner>,
    transport: Arc<dyn Transport>,
    names: Names,
    queue: QueueName,
    bound: tokio::sync::Mutex<HashSet<Box<str>>>,
    reader: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<HashMap<TaskId, watch::Sender<Option<Ended>>>>,
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, HashMap<TaskId, watch::Sender<Option<Ended>>>> {
        self.waiting
            .lock()
            .expect("no code panics while it holds the lock")
    }

    fn tell(&self, event: Event) {
        let ended = match event.kind {
            EventKind::State(TaskState::Success) => {
                let null = || serde_json::value::to_raw_value(&()).expect("null is JSON");
                Ended::Success(event.result.unwrap_or_else(null).into())
            }
            EventKind::State(
                state @ (TaskState::Failure | TaskState::Revoked | TaskState::Rejected),
            ) => {
                let unknown =
                    || TaskFault::new(crate::event::FaultKind::Exception, "no reason was given");
                Ended::Other(state, event.error.unwrap_or_else(unknown))
            }
            EventKind::State(_) | EventKind::Log => return,
        };
        if let Some(waiter) = self.waiting().get(&event.task_id) {
            waiter.send_replace(Some(ended));
        }
    }
}

impl Results {
    /// Declares the queue and starts to read it. `owner` is the service (or program) that asks:
    /// broker permissions allow each its own `<owner>.reply.*`.
    pub(super) async fn listen(
        transport: Arc<dyn Transport>,
        names: Names,
        owner: &str,
    ) -> Result<Self, DeclareError> {
        let queue = reply_queue(&names, owner).map_err(|error| DeclareError::Invalid {
            item: format!("reply queue of {owner}"),
            reason: error.to_string(),
        })?;
        let mut arguments = Headers::new();
        arguments.push("x-expires", QUEUE_EXPIRES_MS);
        let item = Item::Queue(Queue {
            name: queue.clone(),
            kind: QueueKind::Classic,
            arguments,
        });
        transport.declare(&item, Declare::Active).await?;
        let inner = Arc::<Inner>::default();
        let subscription = Subscription::open(
            transport.clone(),
            SubscribeOptions::new(queue.clone(), PREFETCH),
        );
        let reader = tokio::spawn(read(subscription, inner.clone()));
        Ok(Self {
            inner,
            transport,
            names,
            queue,
            bound: tokio::sync::Mutex::default(),
            reader,
        })
    }

    /// Remembers a task that is about to be sent, so that an answer cannot come too early.
    pub(super) async fn expect(&self, id: &TaskId, service: &str) -> Result<Waiting, SendError> {
        self.bind(service).await.map_err(SendError::Results)?;
        let (to_waiter, ended) = watch::channel(None);
        self.inner.waiting().insert(id.clone(), to_waiter);
        Ok(Waiting {
            id: id.clone(),
            ended,
            results: self.inner.clone(),
        })
    }

    async fn bind(&self, service: &str) -> Result<(), DeclareError> {
        let mut bound = self.bound.lock().await;
        if bound.contains(service) {
            return Ok(());
        }
        let binding = Binding {
            source: self.names.events.clone(),
            destination: Destination::Queue(self.queue.clone()),
            key: event_key(service),
            arguments: Headers::new(),
        };
        self.transport
            .declare(&Item::Binding(binding), Declare::Active)
            .await?;
        bound.insert(service.into());
        Ok(())
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        // The queue removes itself once nobody consumes it.
        self.reader.abort();
    }
}

fn reply_queue(names: &Names, owner: &str) -> Result<QueueName, InvalidText> {
    QueueName::new(&format!(
        "{}{owner}.reply.{}",
        names.prefix(),
        TaskId::random()
    ))
}

async fn read(mut subscription: Subscription, inner: Arc<Inner>) {
    while let Some(delivery) = subscription.next().await {
        // A batch that cannot be read is the daemon's to report; here it answers nobody.
        if let Ok(events) = serde_json::from_slice::<Vec<Event>>(&delivery.content.body) {
            events.into_iter().for_each(|event| inner.tell(event));
        }
        // Lost with the connection, the batch comes again.
        let _ = delivery.ack();
    }
}
