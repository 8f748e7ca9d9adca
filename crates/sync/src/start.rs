//! What has to be there before anything is consumed. An outage is waited out; what waiting cannot
//! mend is refused, with the remedy.

use crate::error::SyncError;
use crate::feeds::Feed;
use crate::health::Health;
use counterfoil_store::{FaultClass, Store, StoreError};
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries.
const PAUSE_CAP: Duration = Duration::from_secs(5);

/// Whether something is as it must be.
enum Answer {
    Good,
    /// Ask again.
    Later,
}

/// Waits until broker and database answer, and looks whether all is there. `Ok` also when the
/// daemon was stopped meanwhile.
pub(crate) async fn wait(
    transport: &dyn Transport,
    names: &Names,
    store: &dyn Store,
    health: &Health,
    settings: &SyncSettings,
    stop: &CancellationToken,
) -> Result<(), SyncError> {
    let backoff = Backoff::reconnect(PAUSE_CAP);
    let (mut database, mut broker) = (Answer::Later, Answer::Later);
    for tries in 0.. {
        if matches!(database, Answer::Later) {
            database = health
                .while_waiting(look_at_database(store, health, settings))
                .await?;
        }
        if matches!(broker, Answer::Later) {
            broker = health
                .while_waiting(look_at_broker(transport, names))
                .await?;
        }
        if matches!((&database, &broker), (Answer::Good, Answer::Good)) {
            return Ok(());
        }
        let pause = health.while_waiting(tokio::time::sleep(backoff.random_wait(tries)));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

async fn look_at_database(
    store: &dyn Store,
    health: &Health,
    settings: &SyncSettings,
) -> Result<Answer, SyncError> {
    let looked = async {
        let missing = store.pending_migrations().await?;
        if let (true, Some(encoding)) = (missing.is_empty(), settings.celery_results) {
            store.keep_celery_results(encoding).await?;
        }
        Ok::<_, StoreError>(missing)
    };
    match looked.await {
        Ok(missing) => match missing.first() {
            None => {
                health.database_answered();
                prepare_months(store).await;
                Ok(Answer::Good)
            }
            Some(first) => Err(SyncError::NotMigrated {
                missing: missing.len(),
                first: first.clone(),
            }),
        },
        Err(error) => match error.class() {
            FaultClass::Transient => {
                tracing::warn!(error = %ErrorChain(&error), "waiting for the database");
                health.database_failed(&error);
                Ok(Answer::Later)
            }
            FaultClass::BadData | FaultClass::Fatal => Err(SyncError::DatabaseAtStart(error)),
        },
    }
}

/// Makes room for history. Without it lines go where the odd ones go, which is no reason to wait.
pub(crate) async fn prepare_months(store: &dyn Store) {
    if let Err(error) = store.prepare_months().await {
        tracing::warn!(error = %ErrorChain(&error), "no room was made for the history of coming months");
    }
}

async fn look_at_broker(transport: &dyn Transport, names: &Names) -> Result<Answer, SyncError> {
    for feed in Feed::ALL {
        let queue = feed.queue(names);
        match transport.depth(queue).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(SyncError::NoQueue {
                    queue: queue.clone(),
                });
            }
            // Its queue has no majority, perhaps. All else goes on without; if the broker is away, the others tell.
            Err(error) if error.is_transient() && feed == Feed::Heartbeats => {
                tracing::warn!(%queue, error = %ErrorChain(&error), "beginning without signs of life");
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(error = %ErrorChain(&error), "waiting for the broker");
                return Ok(Answer::Later);
            }
            Err(error) => return Err(SyncError::Broker(error)),
        }
    }
    Ok(Answer::Good)
}
