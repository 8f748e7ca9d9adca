//! Consuming one queue, for as long as it takes: reconnects, caution, batched acknowledgements.

mod runner;
mod stop;

use super::delivery::Delivery;
use super::hand::InHand;
use super::{Transport, spawn_beside};
use crate::names::QueueName;
use runner::Runner;
use std::sync::Arc;
use std::time::Duration;
use stop::Stop;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What to consume, and how much of it at a time.
///
/// ```
/// use counterfoil_toolbox::transport::SubscribeOptions;
/// use std::time::Duration;
///
/// let mut options = SubscribeOptions::new("letters".parse()?, 10);
/// options.reconnect_cap = Duration::from_secs(60); // nobody is in a hurry
/// assert_eq!((options.prefetch, options.from), (10, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SubscribeOptions {
    /// The queue.
    pub queue: QueueName,
    /// Messages that may be held unsettled, at least 1. The first second after a start, and a
    /// second after each returned message, it is 1: see "Poison" in
    /// ARCHITECTURE.md.
    pub prefetch: u16,
    /// Longest pause between two tries to reach the broker. Default: 5 s.
    pub reconnect_cap: Duration,
    /// Where to begin in a stream. `None`: the queue is none. Default: `None`.
    pub from: Option<StreamOffset>,
}

/// Where a subscription begins to read a stream, now and after each reconnect.
///
/// Reading takes nothing out: every subscription reads all of it, `ack` only makes room for more,
/// and [`nack`](super::Delivery::nack) is refused and costs the channel.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, Transport, memory::MemoryBroker};
/// # use std::sync::Arc;
/// use counterfoil_toolbox::transport::{StreamOffset, SubscribeOptions, Subscription};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = Arc::new(MemoryBroker::new());
/// # let news: counterfoil_toolbox::names::QueueName = "news".parse()?;
/// # let item = Item::Queue(Queue { name: news.clone(), kind: QueueKind::Stream, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "news".parse()?, content: Content::json("{}") };
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// for _ in 0..2 {
///     let options = SubscribeOptions::stream(news.clone(), 100);
///     assert_eq!(options.from, Some(StreamOffset::First));
///     let mut subscription = Subscription::open(broker.clone(), options);
///     let first = subscription.next().await.expect("it stays, for both");
///     let _ = first.ack(); // there is room for another one
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOffset {
    /// With the oldest message that is kept.
    First,
    /// With messages about this old. RabbitMQ hands them out in chunks, so some may be older.
    Age(Duration),
    /// With the newest message that is there. RabbitMQ begins with its chunk, so some may be older.
    Last,
}

/// Whether a subscription takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Paused,
}

impl SubscribeOptions {
    /// Consumes `queue` with a prefetch of `prefetch`.
    #[must_use]
    pub fn new(queue: QueueName, prefetch: u16) -> Self {
        Self {
            queue,
            prefetch: prefetch.max(1),
            reconnect_cap: Duration::from_secs(5),
            from: None,
        }
    }

    /// Reads the stream `queue` from its beginning, `prefetch` messages at a time from the start:
    /// a stream does not count how often it delivers, so there is no culprit to look out for.
    #[must_use]
    pub fn stream(queue: QueueName, prefetch: u16) -> Self {
        Self {
            from: Some(StreamOffset::First),
            ..Self::new(queue, prefetch)
        }
    }
}

/// How a subscription is doing.
///
/// ```
/// # use counterfoil_toolbox::message::Headers;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
/// # use std::sync::Arc;
/// use counterfoil_toolbox::transport::SubscriptionStatus;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let mut subscription = Subscription::open(Arc::new(broker), SubscribeOptions::new(queue, 10));
/// let mut status = subscription.status();
/// status.wait_for(|now| *now == SubscriptionStatus::Consuming).await?;
/// subscription.pause().await; // no more until `resume`
/// assert_eq!(*status.borrow(), SubscriptionStatus::Paused);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// It has not reached the broker yet.
    Connecting,
    /// It consumes.
    Consuming,
    /// It does not, for this reason, and tries again.
    Down {
        /// What the broker or the network said.
        reason: String,
        /// Whether waiting alone may help (an outage), or somebody has to mend something.
        transient: bool,
    },
    /// It takes nothing until it is resumed; what is in hand can be settled.
    Paused,
    /// It was cancelled.
    Cancelled,
}

/// A consumer of one queue. It reconnects by itself until it is cancelled.
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
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// let options = SubscribeOptions::new(queue, 10);
/// let mut subscription = Subscription::open(Arc::new(broker), options);
/// while let Some(delivery) = subscription.next().await {
///     println!("{}", delivery.routing_key);
///     let _ = delivery.ack(); // once its effect is durable
/// #   break;
/// }
/// subscription.close().await; // acknowledgements have left
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Subscription {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    status: watch::Receiver<SubscriptionStatus>,
    prefetch: watch::Sender<u16>,
    flow: watch::Sender<Flow>,
    stop: Stop,
    hand: Arc<InHand>,
    runner: JoinHandle<()>,
}

impl Subscription {
    /// Starts to consume in the background. Problems show in [`Self::status`].
    #[must_use]
    pub fn open(transport: Arc<dyn Transport>, options: SubscribeOptions) -> Self {
        Self::start(transport, options, Flow::On)
    }

    /// The same, but it takes nothing before it is [resumed](Self::resume).
    #[must_use]
    pub fn open_paused(transport: Arc<dyn Transport>, options: SubscribeOptions) -> Self {
        Self::start(transport, options, Flow::Paused)
    }

    fn start(transport: Arc<dyn Transport>, options: SubscribeOptions, flow: Flow) -> Self {
        // Unbounded, but never longer than the prefetch.
        let (to_owner, deliveries) = mpsc::unbounded_channel();
        let (to_status, status) = watch::channel(SubscriptionStatus::Connecting);
        let (prefetch, to_runner) = watch::channel(options.prefetch);
        let (flow, flow_to_runner) = watch::channel(flow);
        let stop = Stop::default();
        let hand = Arc::<InHand>::default();
        let runner = Runner {
            transport: transport.clone(),
            options,
            prefetch: to_runner,
            flow: flow_to_runner,
            to_owner,
            to_status,
            stop: stop.clone(),
            hand: Arc::clone(&hand),
        };
        Self {
            deliveries,
            status,
            prefetch,
            flow,
            stop,
            hand,
            runner: spawn_beside(&*transport, runner.run()),
        }
    }

    /// The next message. `None` only after the transport ended for good: to stop, see
    /// [`Self::cancel`].
    ///
    /// # Cancel safety
    /// Cancelled, no message is lost.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// A message that is here already.
    pub fn try_next(&mut self) -> Option<Delivery> {
        self.deliveries.try_recv().ok()
    }

    /// How it is doing, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SubscriptionStatus> {
        self.status.clone()
    }

    /// What it has in hand, now and from now on.
    #[must_use]
    pub fn in_hand(&self) -> Arc<InHand> {
        Arc::clone(&self.hand)
    }

    /// Holds at most `prefetch` messages from now on, at least 1. What is in hand already stays,
    /// and comes on top until it is settled.
    /// Of a stream: from the next reconnect on.
    pub fn set_prefetch(&self, prefetch: u16) {
        self.prefetch.send_if_modified(|current| {
            let changed = *current != prefetch.max(1);
            *current = prefetch.max(1);
            changed
        });
    }

    /// Takes nothing more until [`Self::resume`]. Afterwards [`Self::try_next`] yields what had come and
    /// was not taken yet; everything in hand can still be settled.
    pub async fn pause(&mut self) {
        self.flow.send_replace(Flow::Paused);
        let paused = |status: &SubscriptionStatus| {
            matches!(
                status,
                SubscriptionStatus::Paused | SubscriptionStatus::Cancelled
            )
        };
        // An error means that the runner is gone, and then nothing comes any more either.
        let _ = self.status.wait_for(paused).await;
    }

    /// Takes messages again, at first one at a time. A stream is read from its place in the options once
    /// more.
    pub fn resume(&self) {
        self.flow.send_replace(Flow::On);
    }

    /// Ends consuming. Afterwards [`Self::try_next`] yields what had come and was not taken yet, and
    /// [`Self::next`] waits for what never comes; everything in hand can still be settled.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::{Content, Headers};
    /// # use counterfoil_toolbox::names::ExchangeName;
    /// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
    /// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # use counterfoil_toolbox::transport::Requeue;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = MemoryBroker::new();
    /// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
    /// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
    /// # broker.declare(&item, Declare::Active).await?;
    /// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
    /// # let publisher = broker.publisher(PublisherOptions::default());
    /// # publisher.publish(letter.clone()).await?;
    /// # publisher.publish(letter).await?;
    /// # let mut subscription = Subscription::open(Arc::new(broker.clone()), SubscribeOptions::new(queue.clone(), 10));
    /// let running = subscription.next().await.expect("one waits");
    /// subscription.cancel().await; // nothing more comes
    /// while let Some(not_begun) = subscription.try_next() {
    ///     let _ = not_begun.nack(Requeue::Yes); // for another consumer
    /// }
    /// let _ = running.ack(); // this one is finished first
    /// subscription.close().await;
    /// assert_eq!(broker.depth(&queue).await?.unwrap().ready, 1);
    /// # Ok(()) }
    /// ```
    pub async fn cancel(&mut self) {
        self.stop.consuming.cancel();
        // An error means that the runner is gone, and then nothing comes any more either.
        let _ = self
            .status
            .wait_for(|status| *status == SubscriptionStatus::Cancelled)
            .await;
    }

    /// After [`Self::cancel`]: closes the channel as soon as everything in hand is settled, and completes then. What was
    /// not taken yet is in hand, too.
    ///
    /// # Cancel safety
    /// Cancelled, it is closed as soon all the same.
    pub async fn settled(&mut self) {
        self.stop.once_settled.cancel();
        // The runner has ended.
        while self.status.changed().await.is_ok() {}
    }

    /// Sends the settlements that are waiting and closes the channel. Messages that were delivered
    /// and not settled go back to the queue.
    pub async fn close(mut self) {
        self.stop.consuming.cancel();
        self.stop.settling.cancel();
        self.deliveries.close();
        // The runner ends by itself within the transport's deadlines.
        let _ = (&mut self.runner).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stop.consuming.cancel();
        self.stop.settling.cancel();
    }
}
