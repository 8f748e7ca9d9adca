//! Live updates: one look at the database for all who watch, and a stream for each of them.

mod interest;
pub(crate) mod stream;
mod tick;
mod watch;

pub(crate) use interest::Interest;
pub(crate) use tick::Tick;
pub(crate) use watch::watch;

use std::sync::Arc;
use tokio::sync::{Notify, broadcast};

/// Ticks that are kept for those who read slowly; who falls further behind reads everything anew.
const KEPT: usize = 32;

/// What all who watch share.
#[derive(Debug)]
pub(crate) struct Live {
    ticks: broadcast::Sender<Arc<Tick>>,
    /// Somebody has begun to watch.
    somebody: Notify,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            ticks: broadcast::Sender::new(KEPT),
            somebody: Notify::new(),
        }
    }

    /// Everything that happens from now on.
    fn follow(&self) -> broadcast::Receiver<Arc<Tick>> {
        let receiver = self.ticks.subscribe();
        self.somebody.notify_one();
        receiver
    }
}
