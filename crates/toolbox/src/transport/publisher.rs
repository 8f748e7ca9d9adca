//! Sending messages: many at a time, each answered by its confirm.

use super::error::PublishError;
use crate::message::Content;
use crate::names::{ExchangeName, RoutingKey};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

/// A message and its address.
///
/// ```
/// use counterfoil_toolbox::message::Content;
/// use counterfoil_toolbox::names::ExchangeName;
/// use counterfoil_toolbox::transport::Publication;
///
/// let letter = Publication {
///     exchange: ExchangeName::default_exchange(), // its keys are names of queues
///     routing_key: "letters".parse()?,
///     content: Content::json("{}"),
/// };
/// # assert!(letter.exchange.is_default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Publication {
    /// Exchange to publish to.
    pub exchange: ExchangeName,
    /// Key to route by.
    pub routing_key: RoutingKey,
    /// Properties, headers, body.
    pub content: Content,
}

/// How a publisher sends.
///
/// ```
/// # use counterfoil_toolbox::transport::{PublisherOptions, Transport, memory::MemoryBroker};
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let transport = MemoryBroker::new();
/// let impatient = Some(Duration::from_secs(1));
/// let options = PublisherOptions { confirm_timeout: impatient, ..PublisherOptions::default() };
/// assert_eq!(transport.publisher(options).confirm_timeout(), Duration::from_secs(1));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublisherOptions {
    /// Messages that may wait for their confirm at the same time. Default: 1000.
    ///
    /// A mandatory publisher sends one at a time whatever it says here: lapin pairs returned
    /// messages with the wrong confirms when several are under way.
    pub window: usize,
    /// A message that no queue wants comes back as [`PublishError::Unroutable`] instead of being
    /// confirmed and gone. Default: no.
    pub mandatory: bool,
    /// Longest that a message may take from [`Publisher::enqueue`] to its confirm: waiting for its
    /// turn and reconnecting included. Default: `None`, the transport's, which is the setting
    /// `broker.confirm_timeout` (10 s).
    pub confirm_timeout: Option<Duration>,
    /// When it connects. Default: when there is something to send.
    pub connect: Connect,
    /// Longest pause between two tries to reach the broker. Default: 2 s.
    pub reconnect_cap: Duration,
}

/// When a publisher connects, and notices that its connection is gone. [`PublisherStatus`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connect {
    /// When there is something to send.
    #[default]
    OnDemand,
    /// At once and for as long as it lives: [`Publisher::status`] tells how the broker is even
    /// while nobody sends.
    Always,
}

/// How a publisher is doing.
///
/// ```
/// # use counterfoil_toolbox::transport::{Transport, memory::MemoryBroker};
/// # use std::time::Duration;
/// use counterfoil_toolbox::transport::{Connect, PublisherOptions, PublisherStatus};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// let options = PublisherOptions { connect: Connect::Always, ..PublisherOptions::default() };
/// let publisher = broker.publisher(options);
/// let mut status = publisher.status();
/// status.wait_for(|now| *now == PublisherStatus::Ready).await?;
/// broker.faults().block_publishers(Duration::from_secs(60)); // its disk is full
/// status.wait_for(|now| *now == PublisherStatus::Blocked).await?; // although nobody sends
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublisherStatus {
    /// It has no connection, and nothing speaks against making one.
    Connecting,
    /// It can send.
    Ready,
    /// It could not connect, and tries again.
    Down {
        /// What the broker or the network said.
        reason: String,
        /// When it tries again.
        again: Instant,
    },
    /// The broker takes nothing, because its memory or its disk is short.
    Blocked,
    /// The transport has been closed.
    Closed,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            window: 1000,
            mandatory: false,
            confirm_timeout: None,
            connect: Connect::default(),
            reconnect_cap: Duration::from_secs(2),
        }
    }
}

impl PublisherOptions {
    /// One message at a time, and those that no queue wants come back.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::{Content, Headers};
    /// # use counterfoil_toolbox::names::ExchangeName;
    /// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
    /// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # use counterfoil_toolbox::transport::PublishError;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = MemoryBroker::new();
    /// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
    /// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
    /// # broker.declare(&item, Declare::Active).await?;
    /// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
    /// let nowhere = Publication { routing_key: "nobody".parse()?, ..letter };
    /// let publisher = broker.publisher(PublisherOptions::default());
    /// assert_eq!(publisher.publish(nowhere.clone()).await, Ok(())); // confirmed, and gone
    /// let publisher = broker.publisher(PublisherOptions::mandatory());
    /// let refused = publisher.publish(nowhere).await;
    /// assert!(matches!(refused, Err(PublishError::Unroutable { .. })));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn mandatory() -> Self {
        Self {
            window: 1,
            mandatory: true,
            ..Self::default()
        }
    }
}

/// A channel in confirm mode, shared by cloning. Ends when the last clone is dropped.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
/// # use std::sync::Arc;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
/// let publisher = broker.publisher(PublisherOptions::default());
/// let first = publisher.enqueue(letter.clone()).await?; // handed over: the order is fixed
/// let second = publisher.enqueue(letter).await?;
/// first.await?; // confirmed: stored
/// second.await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Publisher {
    to_driver: mpsc::Sender<Outgoing>,
    confirm_timeout: Duration,
    status: watch::Receiver<PublisherStatus>,
    withdrawal: Arc<Notify>,
}

/// The end of a publisher that the transport's driver holds.
#[derive(Debug)]
pub(crate) struct DriverEnd {
    pub(crate) outgoing: mpsc::Receiver<Outgoing>,
    pub(crate) status: watch::Sender<PublisherStatus>,
    /// What has not been sent is to be answered with [`PublishError::Withdrawn`].
    pub(crate) withdrawal: Arc<Notify>,
}

impl DriverEnd {
    /// Tells how the publisher is doing; the same again is no news.
    pub(crate) fn tell(&self, status: PublisherStatus) {
        self.status.send_if_modified(|told| {
            let news = *told != status;
            if news {
                *told = status;
            }
            news
        });
    }
}

/// What the transport's driver gets: a message, its deadline, and where its outcome goes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) publication: Arc<Publication>,
    pub(crate) deadline: Instant,
    pub(crate) outcome: oneshot::Sender<Result<(), PublishError>>,
}

impl Publisher {
    /// A handle, and the end that a transport's driver reads.
    pub(crate) fn new(options: &PublisherOptions, transports: Duration) -> (Self, DriverEnd) {
        let (to_driver, outgoing) = mpsc::channel(options.window.max(1));
        let (to_status, status) = watch::channel(PublisherStatus::Connecting);
        let withdrawal = Arc::new(Notify::new());
        let publisher = Self {
            to_driver,
            confirm_timeout: options.confirm_timeout.unwrap_or(transports),
            status,
            withdrawal: withdrawal.clone(),
        };
        let end = DriverEnd {
            outgoing,
            status: to_status,
            withdrawal,
        };
        (publisher, end)
    }

    /// How it is doing, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<PublisherStatus> {
        self.status.clone()
    }

    /// Takes back everything that has been handed over and not been sent yet: it is answered with
    /// [`PublishError::Withdrawn`] soon, and certainly never sent.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::Content;
    /// # use counterfoil_toolbox::names::ExchangeName;
    /// # use counterfoil_toolbox::transport::{Publication, PublishError, PublisherOptions, Transport, memory::MemoryBroker};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = MemoryBroker::new();
    /// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
    /// # let publisher = broker.publisher(PublisherOptions::default());
    /// broker.faults().refuse_connections(Duration::from_secs(60));
    /// let confirm = publisher.enqueue(letter).await?;
    /// publisher.withdraw();
    /// assert_eq!(confirm.await, Err(PublishError::Withdrawn));
    /// # Ok(()) }
    /// ```
    pub fn withdraw(&self) {
        self.withdrawal.notify_one();
    }

    /// Longest that a message may take until its confirm.
    #[must_use]
    pub fn confirm_timeout(&self) -> Duration {
        self.confirm_timeout
    }

    /// Hands a message over and returns what its confirm will be awaited by; waits only while too
    /// many are under way. Messages of one caller leave in order.
    ///
    /// # Errors
    /// [`PublishError::Closed`] after the transport was closed; [`PublishError::NotSent`] when it
    /// did not get its turn in time.
    ///
    /// # Cancel safety
    /// Cancelled, the message is not sent.
    pub async fn enqueue(
        &self,
        publication: impl Into<Arc<Publication>>,
    ) -> Result<Confirm, PublishError> {
        self.enqueue_until(publication, Instant::now() + self.confirm_timeout)
            .await
    }

    /// Like [`Self::enqueue`], with a deadline of its own.
    ///
    /// # Errors
    /// See [`Self::enqueue`].
    ///
    /// # Cancel safety
    /// Cancelled, the message is not sent.
    pub async fn enqueue_until(
        &self,
        publication: impl Into<Arc<Publication>>,
        deadline: Instant,
    ) -> Result<Confirm, PublishError> {
        let (outcome, confirm) = oneshot::channel();
        let outgoing = Outgoing {
            publication: publication.into(),
            deadline,
            outcome,
        };
        match tokio::time::timeout_at(deadline, self.to_driver.send(outgoing)).await {
            Ok(Ok(())) => Ok(Confirm(confirm)),
            Ok(Err(_)) => Err(PublishError::Closed),
            Err(_) => Err(PublishError::NotSent {
                after: self.confirm_timeout,
            }),
        }
    }

    /// Hands a message over at once, or not at all: what is handed over before, by whomever, leaves before.
    ///
    /// # Errors
    /// [`PublishError::Closed`] after the transport was closed; [`PublishError::NotSent`] when too many are under way.
    pub fn enqueue_now(
        &self,
        publication: impl Into<Arc<Publication>>,
    ) -> Result<Confirm, PublishError> {
        let (outcome, confirm) = oneshot::channel();
        let outgoing = Outgoing {
            publication: publication.into(),
            deadline: Instant::now() + self.confirm_timeout,
            outcome,
        };
        match self.to_driver.try_send(outgoing) {
            Ok(()) => Ok(Confirm(confirm)),
            Err(TrySendError::Closed(_)) => Err(PublishError::Closed),
            Err(TrySendError::Full(_)) => Err(PublishError::NotSent {
                after: Duration::ZERO,
            }),
        }
    }

    /// Sends a message and returns once the broker has confirmed it.
    ///
    /// # Errors
    /// [`PublishError`]. Unless [`PublishError::is_certainly_not_sent`], the broker may have the
    /// message; sending it again with the same id is safe.
    ///
    /// # Cancel safety
    /// Cancelled after the hand-over, the message may still be sent.
    pub async fn publish(
        &self,
        publication: impl Into<Arc<Publication>>,
    ) -> Result<(), PublishError> {
        self.enqueue(publication).await?.await
    }
}

/// The broker's answer to one message. Dropping it does not take the message back. [`Publisher`] has an example.
#[derive(Debug)]
#[must_use = "a message has been published only when it is confirmed"]
pub struct Confirm(oneshot::Receiver<Result<(), PublishError>>);

impl Future for Confirm {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A driver that went away without an answer: nobody knows what became of the message.
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(PublishError::Disconnected)))
    }
}
