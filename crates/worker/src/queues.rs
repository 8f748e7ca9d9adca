//! Watching over the queues of a worker: one that is deleted is declared again, or the worker ends.

use crate::consume::Consumer;
use crate::shared::Shared;
use crate::worker::Running;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::{Item, apply, not_applied};
use counterfoil_toolbox::transport::SubscriptionStatus;
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// What to declare when a queue is gone, by queue. A queue that is not in it is somebody else's.
pub(crate) type Declarations = BTreeMap<QueueName, Vec<Item>>;

/// How long a queue that was consumed may be refused before the worker ends. A subscription tries
/// again after five seconds, so this is time for two tries.
const PATIENCE: Duration = Duration::from_secs(11);

/// Waits until one of the queues is lost for good, and tells why. A broker that is away is waited
/// for without end.
pub(crate) async fn first_lost(
    running: &Running,
    declarations: &Declarations,
) -> (QueueName, String) {
    let mut watches = FuturesUnordered::new();
    for Consumer { queue, status, .. } in &running.consumers {
        let items = declarations.get(queue).map(Vec::as_slice);
        let lost = until_lost(&running.shared, queue, status.clone(), items);
        watches.push(async move { (queue.clone(), lost.await) });
    }
    match watches.next().await {
        Some(lost) => lost,
        None => std::future::pending().await,
    }
}

/// Waits until a queue is lost for good, and tells why. Deleted, it is declared again by `items`.
pub(crate) async fn until_lost(
    shared: &Shared,
    queue: &QueueName,
    status: watch::Receiver<SubscriptionStatus>,
    items: Option<&[Item]>,
) -> String {
    let watch = Watch {
        shared,
        queue,
        declaration: items,
    };
    watch.until_lost(status).await
}

/// The watch over one queue.
struct Watch<'a> {
    shared: &'a Shared,
    queue: &'a QueueName,
    declaration: Option<&'a [Item]>,
}

impl Watch<'_> {
    /// Returns why the queue cannot be consumed: at once when it never was, else after a while.
    async fn until_lost(self, mut status: watch::Receiver<SubscriptionStatus>) -> String {
        let mut was_consumed = false;
        // Why it is not consumed, and until when it has to be.
        let mut trouble: Option<(String, Instant)> = None;
        loop {
            let now = status.borrow_and_update().clone();
            match now {
                SubscriptionStatus::Consuming => (was_consumed, trouble) = (true, None),
                SubscriptionStatus::Down { reason, transient } if !transient => {
                    if !was_consumed {
                        return reason;
                    }
                    let until = trouble.map_or_else(|| Instant::now() + PATIENCE, |t| t.1);
                    trouble = (!self.restore().await).then_some((reason, until));
                }
                SubscriptionStatus::Connecting
                | SubscriptionStatus::Paused
                | SubscriptionStatus::Down { .. } => trouble = None,
                SubscriptionStatus::Cancelled => std::future::pending().await,
            }
            let Some((reason, until)) = &trouble else {
                match status.changed().await {
                    Ok(()) => continue,
                    Err(_) => std::future::pending().await,
                }
            };
            // Too late, or an error: the subscription has ended by itself.
            if !matches!(timeout_at(*until, status.changed()).await, Ok(Ok(()))) {
                return reason.clone();
            }
        }
    }

    /// A queue that is gone is declared again, with its bindings. `true`: it is there.
    async fn restore(&self) -> bool {
        let queue = self.queue;
        // One that only moved, or that may not be looked at, needs nothing but another try.
        if !matches!(self.shared.transport.depth(queue).await, Ok(None)) {
            return false;
        }
        self.shared.guard.orphan(queue);
        let Some(items) = self.declaration else {
            tracing::error!(%queue, "the queue was deleted, and this worker does not declare it");
            return false;
        };
        match declare(self.shared, items).await {
            Ok(()) => {
                tracing::error!(%queue, "the queue was deleted with all that was in it; it has been declared again");
                true
            }
            Err(reason) => {
                tracing::error!(%queue, reason, "the queue was deleted, and could not be declared again");
                false
            }
        }
    }
}

async fn declare(shared: &Shared, items: &[Item]) -> Result<(), String> {
    let findings = apply(&*shared.transport, items.to_vec()).await;
    let findings = findings.map_err(|error| ErrorChain(&error).to_string())?;
    not_applied(&findings).map_or(Ok(()), Err)
}
