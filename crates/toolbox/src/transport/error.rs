//! What can go wrong between a process and its broker.

use crate::names::QueueName;
use std::time::Duration;

/// The cause, boxed so that lapin's version stays our private matter.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The broker cannot be used for what was asked.
///
/// ```
/// use counterfoil_toolbox::transport::{Transport, TransportError, memory::MemoryBroker};
/// # use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = MemoryBroker::new();
/// broker.faults().refuse_connections(Duration::from_secs(60));
/// let away = broker.server().await.unwrap_err();
/// assert!(away.is_transient()); // waiting alone may help
///
/// let missing = TransportError::NoQueue { queue: "export".parse()? };
/// assert!(!missing.is_transient()); // somebody has to mend it
/// assert_eq!(missing.to_string(), "queue export does not exist: run `counterfoil topology apply`");
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Nobody answers, or the connection broke.
    #[error("the broker {broker} cannot be reached")]
    Unreachable {
        /// Address without credentials.
        broker: String,
        /// What the network said.
        source: BoxError,
    },
    /// The broker answered and said no: credentials, virtual host, permission.
    #[error("the broker refused {what}: {reason}")]
    Refused {
        /// What was asked.
        what: String,
        /// The broker's own words.
        reason: String,
    },
    /// The queue does not exist.
    #[error("queue {queue} does not exist: run `counterfoil topology apply`")]
    NoQueue {
        /// The missing queue.
        queue: QueueName,
    },
    /// No answer within the deadline.
    #[error("the broker did not answer {what} within {after:?}")]
    Timeout {
        /// What was asked.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// The transport has been closed.
    #[error("the transport is closed")]
    Closed,
}

impl TransportError {
    /// Whether trying again later may help without anybody mending anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { .. } | Self::NoQueue { .. } | Self::Closed => false,
        }
    }
}

/// A message of which nobody can say that the broker has it.
///
/// ```
/// use counterfoil_toolbox::transport::PublishError;
/// use std::time::Duration;
///
/// let late = PublishError::ConfirmTimeout { after: Duration::from_secs(10) };
/// assert!(late.is_transient() && !late.is_certainly_not_sent()); // send it again, with the same id
/// let large = PublishError::Invalid { reason: "it is too large".to_owned() };
/// assert!(!large.is_transient() && large.is_certainly_not_sent());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The broker said no: a queue is full, or just changed its leader. Some queues may have it.
    #[error("the broker did not accept the message: a queue is full or moving")]
    Nacked,
    /// Published mandatory, and no queue wanted it.
    #[error("no queue is bound for key {key:?} at exchange {exchange:?}")]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The routing key.
        key: String,
    },
    /// No confirm within the deadline. The broker may still have it.
    #[error("the broker did not confirm the message within {after:?}")]
    ConfirmTimeout {
        /// The deadline.
        after: Duration,
    },
    /// The broker has blocked publishers, because its memory or its disk is short.
    #[error("the broker has blocked publishers (memory or disk alarm) for {after:?}")]
    Blocked {
        /// How long the message waited.
        after: Duration,
    },
    /// No connection within the deadline, or no place among the messages under way.
    #[error("the broker could not take the message within {after:?}")]
    NotSent {
        /// The deadline.
        after: Duration,
    },
    /// It was taken back while it waited for its turn.
    #[error("the message was taken back before it was sent")]
    Withdrawn,
    /// The connection broke before the confirm came.
    #[error("the connection to the broker was lost before the message was confirmed")]
    Disconnected,
    /// The exchange is missing, or this user may not write to it.
    #[error("the broker refused to publish to exchange {exchange:?}: {reason}")]
    Refused {
        /// The exchange.
        exchange: String,
        /// The broker's own words.
        reason: String,
    },
    /// The message cannot be sent at all: too large, or headers that do not fit a frame.
    #[error("the message cannot be sent: {reason}")]
    Invalid {
        /// Which limit it breaks.
        reason: String,
    },
    /// The transport has been closed.
    #[error("the transport is closed")]
    Closed,
}

impl PublishError {
    /// Whether sending the same message again, with the same id, may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Nacked
            | Self::Unroutable { .. }
            | Self::ConfirmTimeout { .. }
            | Self::Blocked { .. }
            | Self::NotSent { .. }
            | Self::Withdrawn
            | Self::Disconnected => true,
            Self::Refused { .. } | Self::Invalid { .. } | Self::Closed => false,
        }
    }

    /// Whether it is about this message alone, which would never be taken: others may well be.
    #[must_use]
    pub fn is_about_the_message(&self) -> bool {
        match self {
            Self::Invalid { .. } => true,
            // RabbitMQ's words for one that is larger than it takes. Of an exchange it says ACCESS_REFUSED or NOT_FOUND.
            Self::Refused { reason, .. } => reason.contains("PRECONDITION_FAILED"),
            Self::Nacked
            | Self::Unroutable { .. }
            | Self::ConfirmTimeout { .. }
            | Self::Blocked { .. }
            | Self::NotSent { .. }
            | Self::Withdrawn
            | Self::Disconnected
            | Self::Closed => false,
        }
    }

    /// Whether the broker certainly has no copy of the message.
    #[must_use]
    pub fn is_certainly_not_sent(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::Refused { .. }
            | Self::Unroutable { .. }
            | Self::Blocked { .. }
            | Self::NotSent { .. }
            | Self::Withdrawn => true,
            Self::Nacked | Self::ConfirmTimeout { .. } | Self::Disconnected | Self::Closed => false,
        }
    }
}

/// An exchange, queue or binding that could not be declared.
///
/// ```
/// # use counterfoil_toolbox::message::Headers;
/// # use counterfoil_toolbox::names::QueueName;
/// use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// use counterfoil_toolbox::transport::{Declare, DeclareError, Transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = counterfoil_toolbox::transport::memory::MemoryBroker::new();
/// # let name: QueueName = "letters".parse()?;
/// # let queue = |kind| Item::Queue(Queue { name: name.clone(), kind, arguments: Headers::new() });
/// broker.declare(&queue(QueueKind::Quorum), Declare::Active).await?;
/// let other = broker.declare(&queue(QueueKind::Classic), Declare::Active).await;
/// assert!(matches!(other, Err(DeclareError::Differs { .. }))); // it stays as it was
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// It is not there (passive declaration).
    #[error("{item} does not exist")]
    Missing {
        /// What was looked for.
        item: String,
    },
    /// It is there with another type or other arguments.
    #[error("{item} exists, but differs from what is declared: {difference}")]
    Differs {
        /// What was declared.
        item: String,
        /// The broker's own words: what was received, what is current.
        difference: String,
    },
    /// The declaration makes no sense to the broker.
    #[error("{item} cannot be declared: {reason}")]
    Invalid {
        /// What was declared.
        item: String,
        /// Why not.
        reason: String,
    },
    /// The broker could not be asked.
    #[error(transparent)]
    Transport(#[from] TransportError),
}
