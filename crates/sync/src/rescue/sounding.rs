//! Whether what workers and senders say gets through: markers that are sent the same ways.

use super::flow::Flow;
use crate::read::marker;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublishError, Publisher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// A marker that takes longer than this does not count for anything.
const LATE: Duration = Duration::from_secs(60);

/// How often a marker that is under way is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// Sends markers and remembers how they came through.
#[derive(Debug)]
pub(crate) struct Sounding {
    names: Names,
    store: Arc<dyn Store>,
    publisher: Publisher,
    flow: Flow,
}

/// Why nobody can tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the broker does not take what the daemon sends")]
    Publish(#[from] PublishError),
    #[error("what the daemon sent did not come through within {0:?}")]
    Late(Duration),
}

impl Sounding {
    pub(crate) fn new(names: Names, store: Arc<dyn Store>, publisher: Publisher) -> Self {
        Self {
            names,
            store,
            publisher,
            flow: Flow::default(),
        }
    }

    /// Sends a marker the ways that tracking copies, events and signs of life go, and waits until all came
    /// through: what was sent before it is in the database then.
    ///
    /// # Errors
    /// [`SoundError`]: whatever goes wrong, silence means nothing now.
    pub(crate) async fn sound(&mut self) -> Result<(), SoundError> {
        let sent_at = Instant::now();
        let id = Uuid::now_v7();
        let there_and_back = async {
            self.store.marker_sent(id).await?;
            for publication in marker::publications(&self.names, id) {
                self.publisher.publish(publication).await?;
            }
            while !self.store.marker_seen(id).await? {
                sleep(GLANCE).await;
            }
            Ok::<_, SoundError>(())
        };
        timeout(LATE, there_and_back)
            .await
            .map_err(|_| SoundError::Late(LATE))??;
        self.flow.came_through(sent_at, sent_at.elapsed());
        Ok(())
    }

    /// Nothing is known any more.
    pub(crate) fn broke_off(&mut self) {
        self.flow.broke_off();
    }

    /// Whether all came through promptly for so long.
    pub(crate) fn is_steady_for(&self, time: Duration, now: Instant) -> bool {
        self.flow.is_steady_for(time, now)
    }
}
