//! From a task to a confirmed message.

use super::options::SendOptions;
use super::result::{RawHandle, Results, TaskHandle};
use super::sending::Sending;
use crate::delay::{InvalidDelay, delayed_key};
use crate::ids::{TaskId, hostname};
use crate::message::{Envelope, encode};
use crate::names::TaskName;
use crate::task::Task;
use crate::text::InvalidText;
use crate::topology::{DelayLevels, Names};
use crate::transport::{
    DeclareError, Publication, PublishError, Publisher, PublisherOptions, Transport, TransportError,
};
use chrono::Utc;
use std::sync::Arc;
use std::time::Duration;

/// Largest body that is sent. Default limit of every reader too.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Below this, a delay is not worth the levels: it would be rounded up to a whole second.
const SHORTEST_DELAY: Duration = Duration::from_millis(500);

/// A task that is not known as a Rust type: from the command line, from JSON.
#[derive(Debug, Clone)]
pub struct RawTask {
    /// Its name.
    pub name: TaskName,
    /// Arguments by position: a JSON array.
    pub args: String,
    /// Arguments by keyword: a JSON object.
    pub kwargs: String,
}

/// A task that was not sent, or of which nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The task's name breaks a rule.
    #[error(transparent)]
    Name(#[from] InvalidText),
    /// The arguments cannot be written as a JSON object.
    #[error("the arguments of {task} cannot be written as JSON")]
    Arguments {
        /// The task's name.
        task: TaskName,
        /// Why not.
        source: serde_json::Error,
    },
    /// The arguments are too large.
    #[error("the arguments of {task} are {bytes} bytes long; at most 16 MiB can be sent")]
    TooLarge {
        /// The task's name.
        task: TaskName,
        /// Their size.
        bytes: usize,
    },
    /// The countdown or time cannot be waited for.
    #[error(transparent)]
    Delay(#[from] InvalidDelay),
    /// The queue is full and refused the task, several times. The tracking queue may have a copy.
    #[error("the queue of {task} is full")]
    QueueFull {
        /// The task's name.
        task: TaskName,
        /// Its id.
        id: TaskId,
    },
    /// The broker may or may not have the task: sending it again with this id is safe.
    #[error("nobody confirmed {task} {id}; sending it again with the same id is safe")]
    Unknown {
        /// The task's name.
        task: TaskName,
        /// Its id.
        id: TaskId,
        /// What happened.
        source: PublishError,
    },
    /// The broker refused it for good.
    #[error("{task} was not sent")]
    Refused {
        /// The task's name.
        task: TaskName,
        /// What the broker said.
        source: PublishError,
    },
    /// The delay levels could not be declared.
    #[error("the delay levels could not be declared")]
    Levels(#[source] TransportError),
    /// The queue for results could not be bound. The task was not sent.
    #[error("the queue for results could not be bound")]
    Results(#[source] DeclareError),
}

/// Sends tasks. Cheap to clone; all clones share one channel in confirm mode.
#[derive(Debug, Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    publisher: Publisher,
    names: Names,
    origin: Box<str>,
    levels: DelayLevels,
    results: Option<Results>,
}

impl Producer {
    /// A producer over `transport`. It connects in the background, on the first send.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, names: Names) -> Self {
        Self::with_options(transport, names, PublisherOptions::default())
    }

    /// Like [`Self::new`], with a window and deadline of your own.
    #[must_use]
    pub fn with_options(
        transport: Arc<dyn Transport>,
        names: Names,
        options: PublisherOptions,
    ) -> Self {
        Self::build(transport, names, options, None)
    }

    /// A producer whose handles can be asked for results. It has a queue `<owner>.reply.<id>` of
    /// its own, which the broker removes five minutes after the producer went away.
    ///
    /// # Errors
    /// [`DeclareError`] when that queue cannot be declared.
    pub async fn listening(
        transport: Arc<dyn Transport>,
        names: Names,
        owner: &str,
    ) -> Result<Self, DeclareError> {
        let results = Results::listen(transport.clone(), names.clone(), owner).await?;
        Ok(Self::build(
            transport,
            names,
            PublisherOptions::default(),
            Some(results),
        ))
    }

    fn build(
        transport: Arc<dyn Transport>,
        names: Names,
        options: PublisherOptions,
        results: Option<Results>,
    ) -> Self {
        let publisher = transport.publisher(options);
        let origin = format!("counterfoil{}@{}", std::process::id(), hostname()).into();
        let inner = Inner {
            transport,
            publisher,
            names,
            origin,
            levels: DelayLevels::default(),
            results,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends a task. `Ok`: the broker has stored it, and a copy for the platform.
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
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_with<T: Task>(
        &self,
        task: T,
        options: SendOptions,
    ) -> Result<TaskHandle<T>, SendError> {
        let sent = self.begin(raw(&task)?, options).await?.confirmed().await?;
        Ok(TaskHandle::new(sent))
    }

    /// Sends many tasks, with many confirms under way at a time. One outcome per task, in order.
    pub async fn send_all<T: Task>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Vec<Result<TaskHandle<T>, SendError>> {
        let mut under_way = Vec::new();
        for task in tasks {
            under_way.push(match raw(&task) {
                Ok(raw) => self.begin(raw, SendOptions::default()).await,
                Err(error) => Err(error),
            });
        }
        let mut outcomes = Vec::with_capacity(under_way.len());
        for pending in under_way {
            outcomes.push(match pending {
                Ok(pending) => {
                    let sent = pending.confirmed().await;
                    sent.map(TaskHandle::new)
                }
                Err(error) => Err(error),
            });
        }
        outcomes
    }

    /// Sends a task by name, its arguments as JSON text.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_raw(&self, task: RawTask, options: SendOptions) -> Result<TaskId, SendError> {
        Ok(self.send_raw_awaited(task, options).await?.id().clone())
    }

    /// Sends a task by name; the handle of a listening producer can be asked for its result.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_raw_awaited(
        &self,
        task: RawTask,
        options: SendOptions,
    ) -> Result<RawHandle, SendError> {
        self.begin(task, options).await?.confirmed().await
    }

    /// Hands a task over without waiting for its confirm: tasks leave in the order of these calls.
    ///
    /// # Errors
    /// See [`Self::send`].
    ///
    /// # Cancel safety
    /// Cancelled, the task is not sent.
    pub async fn begin(&self, task: RawTask, options: SendOptions) -> Result<Sending, SendError> {
        let now = Utc::now();
        let due = options.due(now);
        let mut envelope =
            Envelope::new(options.id.clone().unwrap_or_else(TaskId::random), task.name);
        options.fill(&mut envelope, now);
        envelope.origin = Some(self.inner.origin.clone());
        let mut content = encode(&envelope, &task.args, &task.kwargs);
        let (task, id) = (envelope.name, envelope.id);
        content.properties.timestamp = u64::try_from(now.timestamp()).ok();
        if content.body.len() > MAX_BODY {
            return Err(SendError::TooLarge {
                task,
                bytes: content.body.len(),
            });
        }
        let mut publication = Publication {
            exchange: self.inner.names.tasks.clone(),
            routing_key: task.routing_key(),
            content,
        };
        let delay = due
            .and_then(|due| (due - now).to_std().ok())
            .filter(|delay| *delay >= SHORTEST_DELAY);
        if let Some(delay) = delay {
            publication.routing_key = delayed_key(delay, &publication.routing_key)?;
            publication.exchange = self.inner.names.delay_entry.clone();
            self.levels().await?;
        }
        let waiting = match &self.inner.results {
            Some(results) => Some(results.expect(&id, task.service()).await?),
            None => None,
        };
        // Kept for another try; its body and its names are reference counts.
        let confirm = self.inner.publisher.enqueue(publication.clone()).await;
        let confirm = confirm.map_err(|source| SendError::Refused {
            task: task.clone(),
            source,
        })?;
        Ok(Sending {
            publisher: self.inner.publisher.clone(),
            task,
            id,
            publication,
            confirm,
            waiting,
        })
    }

    /// The delay levels are declared where they are used.
    async fn levels(&self) -> Result<(), SendError> {
        let Inner {
            transport, names, ..
        } = &*self.inner;
        let declared = self.inner.levels.declare(&**transport, names).await;
        declared.map_err(SendError::Levels)
    }

    /// Names of the exchanges that it publishes to.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.inner.names
    }
}

/// A typed task as JSON text.
fn raw<T: Task>(task: &T) -> Result<RawTask, SendError> {
    let name = TaskName::new(T::NAME)?;
    match serde_json::to_string(task) {
        // A struct without fields may write itself as null.
        Ok(kwargs) if kwargs == "null" => Ok(RawTask {
            name,
            args: "[]".to_owned(),
            kwargs: "{}".to_owned(),
        }),
        Ok(kwargs) => Ok(RawTask {
            name,
            args: "[]".to_owned(),
            kwargs,
        }),
        Err(source) => Err(SendError::Arguments { task: name, source }),
    }
}
