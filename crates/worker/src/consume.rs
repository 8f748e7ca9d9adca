//! The loop of one queue: every delivery becomes an execution of its own, begun in `lanes.rs`.

use crate::lanes::Lanes;
use crate::shared::Shared;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::{
    Requeue, SubscribeOptions, Subscription, SubscriptionStatus, spawn_beside,
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
    /// Nothing is left to settle: the loop may close its channel and end.
    settled: CancellationToken,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Starts to consume `queue`, with at most `prefetch` tasks in hand.
    pub(crate) fn start(shared: &Arc<Shared>, queue: QueueName, prefetch: u16) -> Self {
        let options = SubscribeOptions::new(queue.clone(), prefetch);
        let subscription = Subscription::open(shared.transport.clone(), options);
        let status = subscription.status();
        let settled = CancellationToken::new();
        let consuming = consume(shared.clone(), subscription, settled.clone());
        Self {
            queue,
            status,
            task: spawn_beside(&*shared.transport, consuming),
            settled,
        }
    }

    /// Sends what was settled and closes the channel.
    pub(crate) async fn close(self) {
        self.settled.cancel();
        // A loop that panicked has dropped its subscription, which closes the channel too.
        let _ = self.task.await;
    }
}

async fn consume(shared: Arc<Shared>, mut subscription: Subscription, settled: CancellationToken) {
    let stop = shared.stop.clone();
    let lanes = Lanes::new(shared);
    {
        // One future for the whole loop: making one registers it with the token.
        let mut draining = std::pin::pin!(stop.draining().cancelled());
        loop {
            let look_at = lanes.look_at();
            let first = tokio::select! {
                biased;
                () = &mut draining => break,
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                    lanes.look();
                    continue;
                }
                delivery = subscription.next() => delivery,
            };
            let Some(first) = first else { break };
            let more = std::iter::from_fn(|| subscription.try_next());
            lanes.begin(std::iter::once(first).chain(more));
        }
    }
    lanes.give_back();
    let cancelled = tokio::time::timeout(FAREWELL, subscription.cancel()).await;
    if cancelled.is_err() {
        tracing::warn!("the broker did not confirm the end of a consumer");
    }
    while let Some(delivery) = subscription.try_next() {
        let _ = delivery.nack(Requeue::Yes);
    }
    settled.cancelled().await;
    if tokio::time::timeout(FAREWELL, subscription.close())
        .await
        .is_err()
    {
        tracing::warn!("the broker did not confirm the end of a channel");
    }
}
