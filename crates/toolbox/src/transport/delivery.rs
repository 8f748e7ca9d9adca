//! One message in the hands of its consumer.

use super::hand::Untold;
use crate::message::Content;
use crate::message::names::{DELIVERIES_BEFORE, DELIVERY_COUNT};
use crate::names::{ExchangeName, QueueName, RoutingKey};
use tokio::sync::mpsc;

/// A message that a queue handed out, to be settled exactly once.
///
/// Dropped unsettled, it stays unacknowledged until its channel closes, and is then delivered
/// again: nothing is lost by forgetting one.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
/// # use std::sync::Arc;
/// use counterfoil_toolbox::message::TaskMessage;
/// use counterfoil_toolbox::transport::{Requeue, Settled};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// # let mut subscription = Subscription::open(Arc::new(broker), SubscribeOptions::new(queue, 10));
/// let delivery = subscription.next().await.expect("one waits");
/// let settled = match TaskMessage::decode(&delivery.content) {
///     Ok(task) => {
///         println!("{}", task.envelope.name);
///         delivery.ack() // once its effect is durable
///     }
///     Err(_) => delivery.nack(Requeue::No), // it would come again and again
/// };
/// assert_eq!(settled, Settled::Sent);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "an unsettled delivery blocks a prefetch slot until its channel closes"]
pub struct Delivery {
    /// Properties, headers, body.
    pub content: Content,
    /// Exchange that it was published to, or came out of a delay level by.
    pub exchange: ExchangeName,
    /// Key that it was published with.
    pub routing_key: RoutingKey,
    /// Queue that handed it out.
    pub queue: QueueName,
    /// The broker says that it was delivered before.
    pub redelivered: bool,
    pub(crate) receipt: Receipt,
    /// Until something is said of it, or it is settled.
    pub(crate) untold: Option<Untold>,
}

impl Delivery {
    /// How often the broker delivered it before (quorum queues count).
    #[must_use]
    pub fn delivery_count(&self) -> i64 {
        self.content.headers.int(DELIVERY_COUNT).unwrap_or(0)
    }

    /// How often its task was delivered before a worker put it off and sent this message.
    pub(super) fn deliveries_before(&self) -> i64 {
        let before = self.content.headers.int(DELIVERIES_BEFORE);
        before.unwrap_or(0).max(0)
    }

    /// Done: the broker may forget the message. Call it after the effect is durable.
    ///
    /// Returns at once; acknowledgements are sent in batches.
    pub fn ack(self) -> Settled {
        self.receipt.settle(Settlement::Ack)
    }

    /// Not done: back to its queue, or on to where the queue dead-letters.
    pub fn nack(self, requeue: Requeue) -> Settled {
        self.receipt.settle(Settlement::Nack(requeue))
    }

    /// Something has been said of it: it does not count as [untold](super::InHand::untold) any more.
    pub fn told(&mut self) {
        self.untold = None;
    }

    /// What settles it.
    pub(crate) fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Whether the channel that delivered it is still there to settle it on.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.receipt().to_channel.is_closed()
    }
}

/// What happens to a message that is not done.
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
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// # let mut subscription = Subscription::open(Arc::new(broker), SubscribeOptions::new(queue, 10));
/// let first = subscription.next().await.expect("one waits");
/// let _ = first.nack(Requeue::Yes);
/// let again = subscription.next().await.expect("it came back");
/// assert!(again.redelivered && again.delivery_count() == 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// It goes back to its queue and is delivered again.
    Yes,
    /// It goes where the queue dead-letters, or is dropped where it does not.
    No,
}

/// Whether a settlement can still reach the broker.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport, memory::MemoryBroker};
/// # use std::sync::Arc;
/// # use counterfoil_toolbox::transport::Settled;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// # let mut subscription = Subscription::open(Arc::new(broker), SubscribeOptions::new(queue, 10));
/// let delivery = subscription.next().await.expect("one waits");
/// assert!(delivery.is_live());
/// subscription.close().await; // or the connection broke
/// assert_eq!(delivery.ack(), Settled::Stale); // whoever is next gets it
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// Handed to the channel that delivered the message.
    Sent,
    /// That channel is gone: the broker delivers the message again.
    Stale,
}

/// How a delivery ends. [`Link`](super::link::Link) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Done.
    Ack,
    /// Not done.
    Nack(Requeue),
}

/// What settles a delivery: its tag and the channel that it is valid on. A tag must never reach
/// another channel, where it may name another message.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) tag: u64,
    pub(crate) to_channel: mpsc::UnboundedSender<(u64, Settlement)>,
}

impl Receipt {
    fn settle(self, how: Settlement) -> Settled {
        match self.to_channel.send((self.tag, how)) {
            Ok(()) => Settled::Sent,
            Err(_) => Settled::Stale,
        }
    }
}
