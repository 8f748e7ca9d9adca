//! What a subscription has in hand, for those who want to know without having it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many consumers a subscription has at the broker, and of how many of its deliveries nothing has been
/// said yet. Kept up to date for as long as the subscription lives.
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
