//! Live updates: one look at the database for all who watch, and a stream for each of them.

mod interest;
pub(crate) mod stream;
mod tick;
mod watch;

pub(crate) use interest::Interest;
pub(crate) use tick::{Rows, Tick};
pub(crate) use watch::watch;

use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};

/// Ticks that are kept for those who read slowly; who falls further behind reads everything anew.
const KEPT: usize = 32;

/// Streams that are open at a time, at most: each takes some 20 KB, and a connection, of which there have to be others.
pub(crate) const MOST_STREAMS: usize = 1500;

/// What all who watch share.
#[derive(Debug)]
pub(crate) struct Live {
    ticks: broadcast::Sender<Arc<Tick>>,
    /// Somebody has begun to watch.
    somebody: Notify,
    /// For those who may watch beside those who do.
    places: Arc<Semaphore>,
    /// Held by each who watches and has to know what changed, not only that something did.
    of_rows: Arc<()>,
}

/// One who watches: everything that happens from now on.
#[derive(Debug)]
pub(crate) struct Follower {
    ticks: broadcast::Receiver<Arc<Tick>>,
    _place: OwnedSemaphorePermit,
    _of_rows: Option<Arc<()>>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            ticks: broadcast::Sender::new(KEPT),
            somebody: Notify::new(),
            places: Arc::new(Semaphore::new(MOST_STREAMS)),
            of_rows: Arc::new(()),
        }
    }

    /// Everything that happens from now on; `None`: too many watch already.
    pub(crate) fn follow(&self, rows: Rows) -> Option<Follower> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let of_rows = (rows == Rows::Read).then(|| Arc::clone(&self.of_rows));
        let ticks = self.ticks.subscribe();
        self.somebody.notify_one();
        Some(Follower {
            ticks,
            _place: place,
            _of_rows: of_rows,
        })
    }

    /// What those who watch now need.
    fn needed(&self) -> Rows {
        match Arc::strong_count(&self.of_rows) {
            1 => Rows::Spared,
            _ => Rows::Read,
        }
    }
}
