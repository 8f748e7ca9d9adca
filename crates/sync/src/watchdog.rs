//! Sessions whose time is over are ended, so that their finalizers run whatever became of their subtasks.
//!
//! A session that looks overdue may only look so: what its subtasks reported waits behind a database that was
//! away, or a daemon that was stopped. So nothing is ended before a marker, sent after the look, has come through
//! the same ways as all reports.

use crate::leader::Leading;
use crate::rescue::{SoundError, Sounding};
use counterfoil_store::{Store, StoreError, TimeOut};
use counterfoil_toolbox::SessionId;
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublisherOptions, Transport};
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are ended in one round.
const AT_ONCE: u32 = 500;

/// Ends sessions whose time is over. Only the leader does it.
#[derive(Debug)]
pub(crate) struct Watchdog {
    store: Arc<dyn Store>,
    sounding: Sounding,
    interval: Duration,
    estimate: Duration,
    buffer: Duration,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
enum WatchdogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sound(#[from] SoundError),
}

impl Watchdog {
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        settings: &SyncSettings,
    ) -> Self {
        // What no queue takes must not be taken for sent.
        let publisher = transport.publisher(PublisherOptions::mandatory());
        Self {
            sounding: Sounding::new(names, Arc::clone(&store), publisher),
            store,
            interval: settings.session_interval,
            estimate: settings.session_estimate,
            buffer: settings.session_buffer,
        }
    }

    /// Looks after sessions until it is dropped.
    ///
    /// # Cancel safety
    /// Cancelled, some subtasks of a session may have been ended; the next leader ends the others.
    pub(crate) async fn run(mut self, leading: &Leading) {
        loop {
            tokio::time::sleep(self.interval).await;
            if let Err(error) = self.round(leading).await {
                let error = ErrorChain(&error);
                tracing::warn!(%error, "sessions whose time is over are not ended now; it is tried again");
            }
        }
    }

    async fn round(&mut self, leading: &Leading) -> Result<(), WatchdogError> {
        if self.overdue().await?.is_empty() {
            return Ok(());
        }
        self.sounding.sound().await?;
        for session in self.overdue().await? {
            if !leading.still().await {
                break;
            }
            match self.end(&session).await {
                Err(error) if !error.is_transient() => {
                    let error = ErrorChain(&error);
                    tracing::error!(session_id = %session, %error, "the time of a session is over, and it cannot be ended");
                }
                // It is the first to be tried again, and the others must not wait for it for ever.
                Err(error) if error.is_slow() => {
                    let error = ErrorChain(&error);
                    tracing::warn!(session_id = %session, %error, "the time of a session is over, and to end it takes too long; it is tried again");
                }
                ended => ended?,
            }
        }
        Ok(())
    }

    async fn overdue(&self) -> Result<Vec<SessionId>, StoreError> {
        let overdue = self
            .store
            .overdue_sessions(self.estimate, self.buffer, AT_ONCE);
        overdue.await
    }

    async fn end(&self, session: &SessionId) -> Result<(), StoreError> {
        let now = self.store.clock().await?;
        let by = Some("the session's time limit");
        let mut end = TimeOut::new(session, by, now);
        while let Some(batch) = end.next(&*self.store).await? {
            self.store.apply(&batch).await?;
        }
        let count = end.missing;
        tracing::warn!(session_id = %session, count, "the time of a session is over; what is missing of it counts as failed");
        Ok(())
    }
}
