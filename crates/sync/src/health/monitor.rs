//! Asking broker and database how they are, now and then.

use super::Health;
use crate::feeds::Feed;
use counterfoil_store::Store;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often.
const INTERVAL: Duration = Duration::from_secs(5);

/// Queues whose length tells how far the daemon is behind.
const WATCHED: [Feed; 2] = [Feed::Tracking, Feed::Events];

/// Asks until `stop`.
pub(crate) async fn run(
    transport: Arc<dyn Transport>,
    names: Names,
    store: Arc<dyn Store>,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        let look = async {
            // A database that fails may still read: only a write shows that it is well again.
            let asked = if health.database_fails() {
                store.probe().await
            } else {
                store.ping().await
            };
            match asked {
                Ok(()) => health.database_answered(),
                Err(error) => health.database_failed(&error),
            }
            for feed in WATCHED {
                // What is wrong with the broker shows in the subscriptions.
                if let Ok(Some(depth)) = transport.depth(feed.queue(&names)).await {
                    health.backlog(feed, depth.ready);
                }
            }
            if health.is_leading()
                && let Ok(open) = store.open_sessions().await
            {
                health.sessions(open);
            }
            health.measure();
        };
        if stop.run_until_cancelled(look).await.is_none() {
            return;
        }
    }
}
