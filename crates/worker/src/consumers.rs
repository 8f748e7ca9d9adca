//! The queues that a worker consumes right now, beside those that it began with.

use crate::consume::Consumer;
use crate::shared::Shared;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Item;
use counterfoil_toolbox::transport::InHand;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the worker consumes, and what it has left of which something is still in hand.
#[derive(Debug)]
pub(crate) struct Consumers {
    prefetch: watch::Sender<u16>,
    known: Mutex<Vec<Known>>,
    /// Those that were added while it ran, to be closed with it at the latest.
    added: Mutex<Vec<Consumer>>,
}

/// A queue that is consumed, or was.
#[derive(Debug)]
struct Known {
    queue: QueueName,
    hand: Arc<InHand>,
    /// What ends it.
    ended: CancellationToken,
    /// Somebody wanted it to end.
    is_left: bool,
}

impl Consumers {
    /// None yet.
    pub(crate) fn new(prefetch: u16) -> Self {
        Self {
            prefetch: watch::Sender::new(prefetch),
            known: Mutex::default(),
            added: Mutex::default(),
        }
    }

    /// Deliveries in hand, per queue, now and from now on.
    pub(crate) fn prefetch(&self) -> watch::Receiver<u16> {
        self.prefetch.subscribe()
    }

    /// Holds so many more deliveries per queue, or fewer.
    pub(crate) fn change_prefetch(&self, by: i32) {
        self.prefetch.send_modify(|prefetch| {
            let changed = i32::from(*prefetch).saturating_add(by);
            *prefetch = u16::try_from(changed.max(1)).unwrap_or(u16::MAX);
        });
    }

    pub(crate) fn note(&self, consumer: &Consumer) {
        self.known().push(Known {
            queue: consumer.queue.clone(),
            hand: Arc::clone(&consumer.hand),
            ended: consumer.ended.clone(),
            is_left: false,
        });
    }

    /// The queues that are consumed, unless the worker drains.
    pub(crate) fn queues(&self) -> Vec<QueueName> {
        let known = self.known();
        let now = known.iter().filter(|known| !known.is_left);
        now.map(|known| known.queue.clone()).collect()
    }

    /// Whether nothing more is taken out of `queue` because somebody wanted that.
    pub(crate) fn has_left(&self, queue: &QueueName) -> bool {
        !self.queues().contains(queue)
    }

    /// What is in hand of every queue, consumed now or before.
    pub(crate) fn hands(&self) -> Vec<(QueueName, Arc<InHand>)> {
        let known = self.known();
        let hand = |known: &Known| (known.queue.clone(), Arc::clone(&known.hand));
        known.iter().map(hand).collect()
    }

    /// Forgets a consumer whose channel is closed, where somebody wanted it to end.
    pub(crate) fn forget(&self, hand: &Arc<InHand>) {
        let is_it = |known: &Known| known.is_left && Arc::ptr_eq(&known.hand, hand);
        self.known().retain(|known| !is_it(known));
    }

    /// Takes nothing more out of `queue`. `false`: it does not.
    pub(crate) fn leave(&self, queue: &QueueName) -> bool {
        let mut known = self.known();
        let mut found = known
            .iter_mut()
            .filter(|known| known.queue == *queue && !known.is_left);
        let Some(known) = found.next() else {
            return false;
        };
        known.is_left = true;
        known.ended.cancel();
        true
    }

    /// Those that were added while the worker ran.
    pub(crate) fn take_added(&self) -> Vec<Consumer> {
        std::mem::take(&mut *self.added())
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known
            .lock()
            .expect("no code panics while it holds the lock")
    }

    fn added(&self) -> MutexGuard<'_, Vec<Consumer>> {
        self.added
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

/// Consumes `queue` from now on, and declares these where it is deleted; nothing: what the worker's settings say. `false`:
/// it does already, or drains.
pub(crate) fn add(shared: &Arc<Shared>, queue: QueueName, items: Vec<Item>) -> bool {
    let consumers = &shared.consumers;
    let mut added = consumers.added();
    if shared.stop.draining().is_cancelled() || consumers.queues().contains(&queue) {
        return false;
    }
    added.retain(|consumer| !consumer.is_over());
    let items = match items.is_empty() {
        false => Some(items),
        true => shared.declarations.get(&queue).cloned(),
    };
    added.push(Consumer::start_beside(shared, queue, items));
    true
}
