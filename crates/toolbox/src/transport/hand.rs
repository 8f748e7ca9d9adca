//! What a subscription has in hand, for those who want to know without having it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many consumers a subscription has at the broker, and of how many of its deliveries nothing has been
/// said yet. Kept up to date for as long as the subscription lives.
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
/// # let mut subscription = Subscription::open(Arc::new(broker), SubscribeOptions::new(queue, 1));
/// let hand = subscription.in_hand(); // for who sends signs of life
/// let mut delivery = subscription.next().await.expect("one waits");
/// assert_eq!((hand.consumers(), hand.untold()), (1, 1));
/// delivery.told(); // an event about it has left
/// assert_eq!(hand.untold(), 0);
/// let _ = delivery.ack();
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct InHand {
    consumers: AtomicU32,
    untold: AtomicU32,
}

impl InHand {
    /// Consumers at the broker.
    #[must_use]
    pub fn consumers(&self) -> u32 {
        self.consumers.load(Ordering::SeqCst)
    }

    /// Unsettled deliveries that are not [told](super::Delivery::told) of.
    #[must_use]
    pub fn untold(&self) -> u32 {
        self.untold.load(Ordering::SeqCst)
    }

    pub(super) fn set_consumers(&self, count: u32) {
        self.consumers.store(count, Ordering::SeqCst);
    }
}

/// Counts one delivery until it is dropped.
#[derive(Debug)]
pub(crate) struct Untold(Arc<InHand>);

impl Untold {
    pub(super) fn count(hand: &Arc<InHand>) -> Self {
        hand.untold.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(hand))
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        self.0.untold.fetch_sub(1, Ordering::SeqCst);
    }
}
