//! Sessions that somebody aborted end when it is known what became of every subtask.
//!
//! Workers report most of it themselves: whoever meets the message of a subtask after the order says REVOKED, and
//! whoever ran one before says how it ended. What is left over is what nobody meets: never sent, purged, waiting
//! for a worker that does not run, or for its time. Rows alone do not tell those from what runs this very moment,
//! because rows are behind. So a subtask is only written off when, in this order,
//! - the order was published;
//! - every living worker of its service has said that it read the order, and that it has told of all that it had
//!   begun before; and the broker counts no other consumers;
//! - a marker that was sent then came through the ways of all reports;
//! - its row still says that nobody has started it, or that a worker has which is gone.
//!
//! Where that never comes true, as beside workers that cannot be told, the session waits for their reports, at
//! most until its time is over.

mod crew;

use crate::leader::Leading;
use crate::missing::depth_of;
use crate::rescue::{SoundError, Sounding};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{AbortingSession, Batch, Store, StoreError, SubtaskRow};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublisherOptions, Transport, TransportError};
use crew::Crew;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often sessions are looked for: one look into an index that is mostly empty.
const LOOK: Duration = Duration::from_millis(250);

/// The same while all that there are have been waiting for long.
const LONG_LOOK: Duration = Duration::from_secs(5);

/// When a session has been waiting for long.
const LONG: TimeDelta = TimeDelta::seconds(60);

/// Sessions that are looked at in one round, and subtasks that are read together.
const AT_ONCE: u32 = 500;

/// Ends what is left over of aborted sessions. Only the leader does it.
#[derive(Debug)]
pub(crate) struct Aborter {
    transport: Arc<dyn Transport>,
    names: Names,
    store: Arc<dyn Store>,
    sounding: Sounding,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
enum AbortError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Sound(#[from] SoundError),
}

/// A session of which something can be said, and what was known then of who may run its subtasks.
#[derive(Debug)]
struct Told {
    id: SessionId,
    crew: Crew,
}

impl Aborter {
    pub(crate) fn new(transport: &Arc<dyn Transport>, names: Names, store: Arc<dyn Store>) -> Self {
        // What no queue takes must not be taken for sent.
        let publisher = transport.publisher(PublisherOptions::mandatory());
        Self {
            transport: Arc::clone(transport),
            sounding: Sounding::new(names.clone(), Arc::clone(&store), publisher),
            names,
            store,
        }
    }

    /// Looks after aborted sessions until it is dropped.
    ///
    /// # Cancel safety
    /// Cancelled, some subtasks of a session may have been written off; the next leader goes on.
    pub(crate) async fn run(mut self, leading: &Leading) {
        let (mut is_told, mut pause) = (false, LOOK);
        loop {
            sleep(pause).await;
            match self.round(leading).await {
                Ok(next) => (pause, is_told) = (next, false),
                Err(error) => {
                    if !is_told {
                        let error = ErrorChain(&error);
                        tracing::warn!(%error, "nobody can tell what became of the subtasks of aborted sessions; it is tried again");
                    }
                    (pause, is_told) = (LONG_LOOK, true);
                }
            }
        }
    }

    /// One look at all of them; when to look again.
    async fn round(&mut self, leading: &Leading) -> Result<Duration, AbortError> {
        let sessions = self.store.aborting_sessions(AT_ONCE).await?;
        if sessions.is_empty() {
            return Ok(LOOK);
        }
        let now = self.store.clock().await?;
        let told = self.told(&sessions, now).await?;
        if !told.is_empty() {
            self.sounding.sound().await?;
        }
        for session in told {
            if !leading.still().await {
                return Ok(LOOK);
            }
            self.write_off(&session).await?;
        }
        let is_new = |told_at: DateTime<Utc>| now - told_at < LONG;
        let any_new = sessions.iter().any(|it| it.told_at.is_none_or(is_new));
        Ok(if any_new { LOOK } else { LONG_LOOK })
    }

    /// Those of which something can be said, with what workers and the broker say before the marker is sent.
    async fn told(
        &self,
        sessions: &[AbortingSession],
        now: DateTime<Utc>,
    ) -> Result<Vec<Told>, AbortError> {
        let workers = self.store.workers().await?;
        let mut consumers = HashMap::new();
        let mut told = Vec::new();
        for session in sessions {
            let Some(told_at) = session.told_at else {
                continue;
            };
            let mut crew = Crew::new(&self.names, &workers, told_at, now);
            let subtasks = self.store.unfinished_subtasks(&session.id, None, AT_ONCE);
            for subtask in subtasks.await? {
                let Ok(service) = ServiceName::new(subtask.service()) else {
                    continue;
                };
                let count = match consumers.get(&service) {
                    Some(count) => *count,
                    None => {
                        let depth = depth_of(&*self.transport, &self.names, &service);
                        depth.await?.consumers
                    }
                };
                crew.sees(&service, count);
                consumers.insert(service, count);
            }
            if !crew.is_unsettled() {
                let id = session.id.clone();
                told.push(Told { id, crew });
            }
        }
        Ok(told)
    }

    /// Writes off what nobody will run any more, as far as the rows know by now.
    async fn write_off(&self, session: &Told) -> Result<(), StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self
                .store
                .unfinished_subtasks(&session.id, after, AT_ONCE)
                .await?;
            after = page.last().map(|row| row.position);
            let is_last = page.len() < AT_ONCE as usize;
            let lost = |row: &SubtaskRow| session.crew.leaves_over(row);
            let lost: Vec<_> = page.into_iter().filter(lost).collect();
            if !lost.is_empty() {
                count += lost.len();
                let mut batch = Batch::new();
                batch.revoke_subtasks(&session.id, &lost, self.store.clock().await?);
                self.store.apply(&batch).await?;
            }
            if is_last {
                break;
            }
        }
        if count > 0 {
            let session_id = &session.id;
            tracing::info!(%session_id, count, "subtasks of an aborted session are written off: nobody will run them");
        }
        Ok(())
    }
}
