//! The queues that the daemon reads, all at once.

use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{
    Delivery, SubscribeOptions, Subscription, SubscriptionStatus, Transport,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// Batches that may be held per queue: one is being written, one gathers, the rest is on its way.
const BATCHES_AHEAD: usize = 4;

/// One of the queues that the daemon reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feed {
    /// A copy of every task that was scheduled.
    Tracking,
    /// What workers say of their tasks, in batches.
    Events,
    /// A copy of every message that died.
    Deaths,
    /// Tracking copies that expired before they were read.
    Expired,
    /// Tasks that no service owns.
    Unroutable,
    /// Signs of life of workers.
    Heartbeats,
    /// What Celery's workers say of their tasks.
    Celery,
}

impl Feed {
    /// Every feed.
    pub const ALL: [Self; 7] = [
        Self::Tracking,
        Self::Events,
        Self::Deaths,
        Self::Expired,
        Self::Unroutable,
        Self::Heartbeats,
        Self::Celery,
    ];

    /// The queue that is read.
    #[must_use]
    pub fn queue(self, names: &Names) -> &QueueName {
        match self {
            Self::Tracking => &names.tracking_queue,
            Self::Events => &names.events_queue,
            Self::Deaths => &names.deaths_queue,
            Self::Expired => &names.expired_queue,
            Self::Unroutable => &names.unroutable_queue,
            Self::Heartbeats => &names.heartbeats_queue,
            Self::Celery => &names.celeryev_queue,
        }
    }

    /// A word for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tracking => "tracking",
            Self::Events => "events",
            Self::Deaths => "deaths",
            Self::Expired => "expired",
            Self::Unroutable => "unroutable",
            Self::Heartbeats => "heartbeats",
            Self::Celery => "celery",
        }
    }
}

/// How much may be held at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appetite {
    /// Messages per batch.
    pub(crate) messages: usize,
    /// Bytes per batch.
    pub(crate) bytes: usize,
}

impl Appetite {
    /// How many messages of `size` bytes to hold of one queue: so many batches, however large the
    /// messages are.
    fn prefetch(self, size: usize) -> u16 {
        let by_count = self.messages.saturating_mul(BATCHES_AHEAD);
        let by_bytes = self.bytes.saturating_mul(BATCHES_AHEAD) / size.max(1);
        u16::try_from(by_count.min(by_bytes))
            .unwrap_or(u16::MAX)
            .max(1)
    }
}

/// A consumer on each of the queues.
pub(crate) struct Feeds {
    open: Vec<Open>,
    /// Whose turn it is, so that a full queue does not starve the others.
    turn: usize,
}

struct Open {
    feed: Feed,
    subscription: Subscription,
    diet: Diet,
}

impl Feeds {
    /// Starts to consume all queues.
    pub(crate) fn open(transport: &Arc<dyn Transport>, names: &Names, appetite: Appetite) -> Self {
        let open = Feed::ALL.map(|feed| {
            let diet = Diet::new(appetite);
            let options = SubscribeOptions::new(feed.queue(names).clone(), diet.prefetch);
            Open {
                feed,
                subscription: Subscription::open(Arc::clone(transport), options),
                diet,
            }
        });
        Self {
            open: open.into(),
            turn: 0,
        }
    }

    /// How each feed is doing, now and from now on.
    pub(crate) fn statuses(&self) -> Vec<(Feed, watch::Receiver<SubscriptionStatus>)> {
        let status = |open: &Open| (open.feed, open.subscription.status());
        self.open.iter().map(status).collect()
    }

    /// The next message of any queue; `None` when the transport is closed for good.
    ///
    /// # Cancel safety
    /// Cancelled, no message is lost.
    pub(crate) async fn next(&mut self) -> Option<(Feed, Delivery)> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Feed, Delivery)>> {
        for _ in 0..self.open.len() {
            self.turn = (self.turn + 1) % self.open.len();
            let open = &mut self.open[self.turn];
            // The channel behind it remembers who waits, so a future of its own for each look is fine.
            let next = pin!(open.subscription.next()).poll(cx);
            if let Poll::Ready(delivery) = next {
                return Poll::Ready(delivery.map(|delivery| open.hand_over(delivery)));
            }
        }
        Poll::Pending
    }

    /// A message that came before [`Self::cancel`].
    pub(crate) fn try_next(&mut self) -> Option<(Feed, Delivery)> {
        self.open.iter_mut().find_map(|open| {
            let delivery = open.subscription.try_next()?;
            Some(open.hand_over(delivery))
        })
    }

    /// Ends consuming; what has come can still be taken and settled.
    pub(crate) async fn cancel(&mut self) {
        let cancels = self.open.iter_mut().map(|open| open.subscription.cancel());
        futures::future::join_all(cancels).await;
    }

    /// Sends the settlements that wait, and gives back what was not settled.
    pub(crate) async fn close(self) {
        let closes = self.open.into_iter().map(|open| open.subscription.close());
        futures::future::join_all(closes).await;
    }
}

impl Open {
    fn hand_over(&mut self, delivery: Delivery) -> (Feed, Delivery) {
        if let Some(prefetch) = self.diet.eaten(delivery.content.body.len()) {
            let feed = self.feed.as_str();
            tracing::debug!(feed, prefetch, "messages changed their size");
            self.subscription.set_prefetch(prefetch);
        }
        (self.feed, delivery)
    }
}

/// Follows the size of a queue's messages, so that what is held of them stays within bounds.
///
/// AMQP limits the number of messages that are under way, not their size. So the number follows the
/// largest of the last few dozen messages. What it cannot foresee is a queue whose small messages are
/// followed by large ones: those that are under way at that moment are held beyond the bound, at
/// most [`Appetite::prefetch`] of small ones. To start low instead and grow would change the prefetch
/// at every start, and each change may return a message, which counts as a delivery.
#[derive(Debug)]
struct Diet {
    appetite: Appetite,
    /// Size of the largest of the last messages; it fades.
    size: usize,
    prefetch: u16,
}

impl Diet {
    /// A larger message counts at once and for so many after it: each takes a sixteenth off.
    const MEMORY: usize = 16;

    fn new(appetite: Appetite) -> Self {
        Self {
            appetite,
            size: 0,
            prefetch: appetite.prefetch(0),
        }
    }

    /// Takes note of a message; the new prefetch, when it should change by more than a bit.
    fn eaten(&mut self, size: usize) -> Option<u16> {
        self.size = size.max(self.size - self.size.div_ceil(Self::MEMORY));
        let wanted = self.appetite.prefetch(self.size);
        let shrinks = wanted <= self.prefetch / 2;
        let grows = wanted / 2 >= self.prefetch
            || wanted > self.prefetch && wanted == self.appetite.prefetch(0);
        if shrinks || grows {
            self.prefetch = wanted;
            return Some(wanted);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPETITE: Appetite = Appetite {
        messages: 500,
        bytes: 4_000_000,
    };

    #[test]
    fn small_messages_are_held_four_batches_ahead() {
        let mut diet = Diet::new(APPETITE);
        assert_eq!(diet.prefetch, 2000);
        assert!((0..100).all(|_| diet.eaten(700).is_none()));
    }

    #[test]
    fn the_first_large_message_lowers_how_many_are_held_at_once() {
        let mut diet = Diet::new(APPETITE);
        let prefetch = diet.eaten(1_000_000).expect("lower");
        assert_eq!(prefetch, 16);
    }

    #[test]
    fn one_large_message_among_a_dozen_keeps_it_low() {
        let mut diet = Diet::new(APPETITE);
        for n in 0..200 {
            diet.eaten(if n % 12 == 0 { 1_000_000 } else { 700 });
            assert!(diet.prefetch <= 64 || n == 0, "{} after {n}", diet.prefetch);
        }
    }

    #[test]
    fn small_messages_raise_it_again_bit_by_bit() {
        let mut diet = Diet::new(APPETITE);
        diet.eaten(16_000_000);
        assert_eq!(diet.prefetch, 1);
        let changes = (0..300).filter_map(|_| diet.eaten(100)).count();
        assert!((1..20).contains(&changes), "{changes} changes");
        assert!(diet.prefetch > 1000, "{}", diet.prefetch);
    }

    #[test]
    fn at_least_one_message_is_held_however_large_it_is() {
        assert_eq!(APPETITE.prefetch(usize::MAX), 1);
    }
}
