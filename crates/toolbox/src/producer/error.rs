//! Why a task was not sent.

use super::availability::Trouble;
use crate::delay::InvalidDelay;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::text::InvalidText;
use crate::transport::{DeclareError, PublishError, TransportError};
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;

/// A task that was not sent, or of which nobody knows whether it was.
///
/// Whether to try again:
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::producer::{SendError, SendOptions};
/// use counterfoil_toolbox::TaskId;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
/// # broker.faults().refuse_connections(Duration::from_secs(20));
/// let id = TaskId::random(); // one id for all tries: it is one task, though an earlier one had arrived
/// loop {
///     let options = SendOptions::new().id(id.clone());
///     match producer.send_with(Add { x: 2, y: 3 }, options).await {
///         Ok(_) => break,
///         Err(SendError::QueueFull { .. }) => tokio::time::sleep(Duration::from_secs(60)).await,
///         Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_secs(5)).await,
///         Err(error) => return Err(error.into()), // it would fail the next time too
///     }
/// }
/// # Ok(()) }
/// ```
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
    /// A time limit of nothing, in which no execution could do anything. The limit of the task's type holds
    /// where none is given.
    #[error(
        "{task} was not sent: its {limit} is 0s; leave it out for that of its type, or let it be longer"
    )]
    NoTime {
        /// The task's name.
        task: TaskName,
        /// Which limit.
        limit: &'static str,
    },
    /// The countdown or time cannot be waited for.
    #[error(transparent)]
    Delay(#[from] InvalidDelay),
    /// The queue is full and refused the task, several times. It will not run, and the platform shows it as
    /// REJECTED, until it is sent again under its id. Where the platform could not be told, since the sender's user may not write events of that
    /// service or the broker went away, this is [`Unknown`](Self::Unknown).
    ///
    /// Several senders of one id (see [`unique_for`](crate::producer::SendOptions::unique_for)) are told apart by their clocks: where the
    /// one that was refused was the later, or the other's clock is behind, a task that waits is shown as REJECTED until a
    /// worker tells more.
    #[error("the queue of {task} is full")]
    QueueFull {
        /// The task's name.
        task: TaskName,
        /// Its id.
        id: TaskId,
    },
    /// The broker is known to be in trouble, so the task was **not** sent: the producer's circuit
    /// breaker is open. Answered at once, whatever the task is; also to those who had waited for
    /// their turn when it opened.
    #[error(
        "{task} was not sent: the broker is unavailable since {}, and tried again {}",
        since.to_rfc3339_opts(SecondsFormat::Secs, true),
        soon(*retry_in)
    )]
    BrokerUnavailable {
        /// The task's name.
        task: TaskName,
        /// When the trouble began.
        since: DateTime<Utc>,
        /// How long until the broker is tried again, in the background or by the next send. Zero:
        /// it is being tried, or its alarm is waited for.
        retry_in: Duration,
        /// What failed last.
        source: Trouble,
    },
    /// The broker may or may not have the task: sending it again with this id is safe. With
    /// [`PublishError::Nacked`], the queue refused it, but the platform does not know: the task stays PENDING
    /// there, and is taken for lost and sent again once its queue has been empty for `sync.lost_after`.
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

impl SendError {
    /// Whether the broker was in the way, and nothing about the task: sent later, it may well go out. Not so a task that
    /// a [full queue](Self::QueueFull) refused, or of which the platform will see that it is missing.
    ///
    /// ```
    /// use counterfoil_toolbox::producer::SendError;
    ///
    /// let bytes = 17 * 1024 * 1024;
    /// let too_large = SendError::TooLarge { task: "demo.add".parse()?, bytes };
    /// assert!(!too_large.is_transient()); // put it into a store, and send its name
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::BrokerUnavailable { .. } => true,
            Self::Levels(error) | Self::Results(DeclareError::Transport(error)) => {
                error.is_transient()
            }
            Self::Unknown { .. } | Self::Refused { .. } => self.trouble().is_some(),
            Self::Results(_)
            | Self::Name(_)
            | Self::Arguments { .. }
            | Self::TooLarge { .. }
            | Self::NoTime { .. }
            | Self::Delay(_)
            | Self::QueueFull { .. } => false,
        }
    }

    /// Trouble with the broker that the next task would have too.
    pub(super) fn trouble(&self) -> Option<PublishError> {
        match self {
            Self::Unknown { source, .. } | Self::Refused { source, .. } => match source {
                PublishError::ConfirmTimeout { .. }
                | PublishError::Disconnected
                | PublishError::Blocked { .. }
                | PublishError::NotSent { .. }
                | PublishError::Withdrawn
                | PublishError::Closed => Some(source.clone()),
                PublishError::Nacked
                | PublishError::Unroutable { .. }
                | PublishError::Refused { .. }
                | PublishError::Invalid { .. } => None,
            },
            Self::Name(_)
            | Self::Arguments { .. }
            | Self::TooLarge { .. }
            | Self::NoTime { .. }
            | Self::Delay(_)
            | Self::QueueFull { .. }
            | Self::BrokerUnavailable { .. }
            | Self::Levels(_)
            | Self::Results(_) => None,
        }
    }
}

fn soon(time: Duration) -> String {
    match time.is_zero() {
        true => "right now".to_owned(),
        false => format!("in {:.1} s", time.as_secs_f64()),
    }
}
