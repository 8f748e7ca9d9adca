//! The loop of one queue: every delivery becomes an execution of its own, begun in `lanes.rs`.

use crate::lanes::Lanes;
use crate::queues::until_lost;
use crate::shared::Shared;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Item;
use counterfoil_toolbox::transport::{
    InHand, Requeue, SubscribeOptions, Subscription, SubscriptionStatus, spawn_beside,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Longest time for taking leave of the broker.
const FAREWELL: Duration = Duration::from_secs(5);

/// A queue that is being consumed.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) queue: QueueName,
    pub(crate) status: watch::Receiver<SubscriptionStatus>,
    pub(crate) hand: Arc<InHand>,
    /// Nothing is left to settle: the loop may close its channel and end.
    settled: CancellationToken,
    /// Nothing more is taken out of the queue: the worker drains, or somebody asked for it.
    pub(crate) ended: CancellationToken,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Starts to consume `queue`, which somebody watches over.
    pub(crate) fn start(shared: &Arc<Shared>, queue: QueueName) -> Self {
        Self::start_with(shared, queue, |_| std::future::ready(()))
    }

    /// Starts to consume one queue more. Deleted, it is declared again by `items`. Where it is lost for good the worker goes
    /// on without it.
    pub(crate) fn start_beside(
        shared: &Arc<Shared>,
        queue: QueueName,
        items: Option<Vec<Item>>,
    ) -> Self {
        let (shared_of_watch, of_watch) = (shared.clone(), queue.clone());
        Self::start_with(shared, queue, move |status| async move {
            let (shared, queue) = (&shared_of_watch, of_watch);
            let reason = until_lost(shared, &queue, status, items.as_deref()).await;
            tracing::error!(%queue, reason, "a queue that the worker was asked to consume cannot be consumed: it is left");
            shared.consumers.leave(&queue);
        })
    }

    fn start_with<F: Future<Output = ()> + Send + 'static>(
        shared: &Arc<Shared>,
        queue: QueueName,
        watch: impl FnOnce(watch::Receiver<SubscriptionStatus>) -> F,
    ) -> Self {
        let mut prefetch = shared.consumers.prefetch();
        let options = SubscribeOptions::new(queue.clone(), *prefetch.borrow_and_update());
        let subscription = Subscription::open_paused(shared.transport.clone(), options);
        let status = subscription.status();
        let hand = subscription.in_hand();
        let settled = CancellationToken::new();
        let ended = shared.stop.draining().child_token();
        let taking = Taking {
            shared: shared.clone(),
            queue: queue.clone(),
            subscription,
            prefetch,
            ended: ended.clone(),
        };
        let (watching, until) = (watch(status.clone()), ended.clone());
        let consuming = consume(taking, settled.clone());
        let consuming = async move {
            futures::join!(consuming, until.run_until_cancelled(watching));
        };
        let consumer = Self {
            status,
            hand,
            task: spawn_beside(&*shared.transport, consuming),
            settled,
            ended,
            queue,
        };
        shared.consumers.note(&consumer);
        consumer
    }

    /// Whether its channel is closed.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Sends what was settled and closes the channel.
    pub(crate) async fn close(self) {
        self.settled.cancel();
        // A loop that panicked has dropped its subscription, which closes the channel too.
        let _ = self.task.await;
    }
}

/// What a loop has.
struct Taking {
    shared: Arc<Shared>,
    queue: QueueName,
    subscription: Subscription,
    prefetch: watch::Receiver<u16>,
    ended: CancellationToken,
}

async fn consume(mut taking: Taking, settled: CancellationToken) {
    let lanes = Lanes::new(taking.shared.clone());
    loop {
        let open = taking.shared.control.until_open(&taking.queue);
        if taking.ended.run_until_cancelled(open).await.is_none() {
            break;
        }
        taking.subscription.resume();
        if take(&mut taking, &lanes).await == Why::Ended {
            break;
        }
        let Taking {
            queue,
            subscription,
            ..
        } = &mut taking;
        tracing::info!(%queue, "nothing more is taken out of the queue for now");
        lanes.give_back();
        if tokio::time::timeout(FAREWELL, subscription.pause())
            .await
            .is_err()
        {
            tracing::warn!(%queue, "the broker did not confirm that a consumer pauses");
        }
        give_back(subscription);
    }
    let mut subscription = taking.subscription;
    lanes.give_back();
    let cancelled = tokio::time::timeout(FAREWELL, subscription.cancel()).await;
    if cancelled.is_err() {
        tracing::warn!("the broker did not confirm the end of a consumer");
    }
    give_back(&mut subscription);
    let shared = &taking.shared;
    tokio::select! {
        () = settled.cancelled() => {}
        // Left while the worker goes on: nobody needs the channel once everything in hand is settled.
        () = subscription.settled(), if !shared.stop.draining().is_cancelled() => {}
    }
    shared.consumers.forget(&subscription.in_hand());
    if tokio::time::timeout(FAREWELL, subscription.close())
        .await
        .is_err()
    {
        tracing::warn!("the broker did not confirm the end of a channel");
    }
}

/// Gives back what had come and was not taken yet.
fn give_back(subscription: &mut Subscription) {
    while let Some(delivery) = subscription.try_next() {
        // Stale: it goes back anyway.
        let _ = delivery.nack(Requeue::Yes);
    }
}

/// Why a queue is not consumed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Ended,
    /// Its service is paused, or the worker was asked to be quiet.
    Paused,
}

/// Begins what comes out of the queue.
async fn take(taking: &mut Taking, lanes: &Lanes) -> Why {
    let Taking {
        shared,
        queue,
        subscription,
        prefetch,
        ended,
    } = taking;
    // One future each for the whole loop: making one registers it.
    let mut ended = std::pin::pin!(ended.cancelled());
    let mut closed = std::pin::pin!(shared.control.until_closed(queue));
    loop {
        let look_at = lanes.look_at();
        let first = tokio::select! {
            biased;
            () = &mut ended => return Why::Ended,
            () = &mut closed => return Why::Paused,
            () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                lanes.look();
                continue;
            }
            delivery = subscription.next() => delivery,
            // Last: it is not even looked at while deliveries come.
            Ok(()) = prefetch.changed() => {
                subscription.set_prefetch(*prefetch.borrow_and_update());
                continue;
            }
        };
        let Some(first) = first else {
            return Why::Ended;
        };
        let more = std::iter::from_fn(|| subscription.try_next());
        lanes.begin(std::iter::once(first).chain(more));
    }
}
