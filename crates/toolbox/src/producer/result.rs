//! Waiting for what became of a task.

use super::replies::{Ended, Waiting};
use crate::event::TaskFault;
use crate::ids::TaskId;
use crate::state::TaskState;
use crate::task::Task;
use serde_json::value::RawValue;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The result of a task could not be had.
///
/// ```
/// use counterfoil_toolbox::producer::ResultError;
///
/// /// What to show to whoever waits.
/// fn words(error: &ResultError) -> String {
///     match error {
///         ResultError::Timeout { .. } => "It takes a little longer.".to_owned(),
///         ResultError::Failed { fault, .. } => format!("It failed: {}", fault.message),
///         other => other.to_string(),
///     }
/// }
/// # assert!(words(&ResultError::NotListening).contains("Producer::listening"));
/// ```
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
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::sync::Arc;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::producer::ResultError;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
/// let mut handle = producer.send(Add { x: 2, y: 3 }).await?;
/// println!("{}", handle.id());
/// // Only producers that listen get results: see `Producer::listening`.
/// let refused = handle.result(Duration::from_secs(5)).await;
/// assert!(matches!(refused, Err(ResultError::NotListening)));
/// # Ok(()) }
/// ```
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
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::{sync::Arc, time::Duration};
/// use counterfoil_toolbox::producer::{RawTask, ResultError, SendOptions};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let task = RawTask { name: "demo.add".parse()?, args: "[2, 3]".to_owned(), kwargs: "{}".to_owned() };
/// let producer = Producer::listening(Arc::new(broker), names, "shop").await?;
/// let mut handle = producer.send_raw_awaited(task, SendOptions::new()).await?;
/// match handle.result(Duration::from_secs(5)).await {
///     Ok(json) => println!("{}", json.get()),
///     Err(error) => println!("{error}"), // it has not ended within 5 s
/// }
/// # assert!(matches!(handle.result(Duration::ZERO).await, Err(ResultError::Timeout { .. })));
/// # Ok(()) }
/// ```
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
