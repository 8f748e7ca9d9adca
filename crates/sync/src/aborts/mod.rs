//! Sessions that somebody aborted end when it is known what became of every subtask.
//!
//! Workers report most of it themselves: whoever meets the message of a subtask after the order says REVOKED, and
//! whoever ran one before says how it ended. What is left over is what nobody meets: never sent, purged, waiting
//! for a worker that does not run, or for its time. Rows alone do not tell those from what runs this very moment,
//! because rows are behind. So a subtask is only written off when, in this order,
//! - the order was published;
//! - every living worker of its service has said that it read the order, and that it has told of all that it had
//!   begun before; and the broker counts no other consumers, and this daemon has seen none for `sync.lost_after`;
//! - a marker that was sent then came through the ways of all reports;
//! - its row still says that nobody has started it, or that a worker has which is gone: silent, or not known any more
//!   for `sync.lost_after`.
//!
//! Where that never comes true, as beside workers that cannot be told, the session waits for their reports, at
//! most until its time is over.

mod crew;
mod lookout;
mod strangers;

use crate::leader::Leading;
use crate::missing::workers::Told as Workers;
use crate::rescue::{SoundError, Sounding};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{AbortingSession, Batch, Store, StoreError, SubtaskRow};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::{SessionId, WorkerId};
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublisherOptions, Transport, TransportError};
use crew::Crew;
use lookout::Lookout;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often sessions are looked for: one look into an index that is mostly empty.
const LOOK: Duration = Duration::from_millis(250);

/// The same while all that there are have been waiting for long.
const LONG_LOOK: Duration = Duration::from_secs(5);

/// When a session has been waiting for long.
const LONG: TimeDelta = TimeDelta::seconds(60);

/// Shortest and longest time between two looks at who consumes the queues of all services.
const WATCHES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];

/// Sessions that are looked at in one round, and subtasks that are read together.
const AT_ONCE: u32 = 500;

/// Ends what is left over of aborted sessions. Only the leader does it.
#[derive(Debug)]
pub(crate) struct Aborter {
    names: Names,
    store: Arc<dyn Store>,
    sounding: Sounding,
    lookout: Lookout,
    /// When all services are looked at next, and how often.
    watch_at: Instant,
    watch_every: Duration,
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
    /// `bound`: how long nobody may have been seen who may run something unheard.
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        bound: Duration,
    ) -> Self {
        let [shortest, longest] = WATCHES;
        // What no queue takes must not be taken for sent.
        let publisher = transport.publisher(PublisherOptions::mandatory());
        let watch_every = (bound / 12).clamp(shortest, longest);
        Self {
            sounding: Sounding::new(names.clone(), Arc::clone(&store), publisher),
            lookout: Lookout::new(transport, names.clone(), bound, watch_every),
            names,
            store,
            watch_at: Instant::now(),
            watch_every,
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
        if self.watch_at <= Instant::now() {
            self.watch().await?;
            self.watch_at = Instant::now() + self.watch_every;
        }
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

    /// Looks who consumes the queues of all services: who stops now may run something that is aborted later.
    async fn watch(&mut self) -> Result<(), AbortError> {
        let rows = self.store.workers().await?;
        let workers = Workers::new(&self.names, &rows, self.store.clock().await?);
        let names = self.store.services().await?;
        for service in self.lookout.turn(names, &workers) {
            self.lookout.watch(&service, &workers).await?;
        }
        Ok(())
    }

    /// Those of which something can be said, with what workers and the broker say before the marker is sent.
    async fn told(
        &mut self,
        sessions: &[AbortingSession],
        now: DateTime<Utc>,
    ) -> Result<Vec<Told>, AbortError> {
        let workers = self.store.workers().await?;
        let known: BTreeSet<_> = workers.iter().map(|row| row.id.as_str()).collect();
        self.lookout.strangers.know(&known);
        let all = Workers::new(&self.names, &workers, now);
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
                let counted = match consumers.get(&service) {
                    Some(counted) => *counted,
                    None => self.lookout.consumers(&service, &all).await?,
                };
                let strangers = &self.lookout.strangers;
                let count =
                    counted.filter(|_| strangers.has_none(service.as_str(), Instant::now()));
                if let Some(count) = count {
                    crew.sees(&service, count);
                }
                consumers.insert(service, counted);
            }
            if !crew.is_unsettled() {
                let id = session.id.clone();
                told.push(Told { id, crew });
            }
        }
        Ok(told)
    }

    /// Writes off what nobody will run any more, as far as the rows know by now.
    async fn write_off(&mut self, session: &Told) -> Result<(), StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self
                .store
                .unfinished_subtasks(&session.id, after, AT_ONCE)
                .await?;
            after = page.last().map(|row| row.position);
            let is_last = page.len() < AT_ONCE as usize;
            let strangers = &mut self.lookout.strangers;
            let mut is_gone = |id: &WorkerId| strangers.is_gone(id.as_str(), Instant::now());
            let lost = |row: &SubtaskRow| session.crew.leaves_over(row, &mut is_gone);
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
