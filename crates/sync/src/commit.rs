//! Writing a batch: waiting for a database that is away, finding the one record that it refuses, and
//! writing less at once where it is slow.

use crate::gather::{Gathered, Item, kept_as};
use crate::health::Health;
use crate::said::{self, Listener, Rows};
use crate::trust::Known;
use counterfoil_store::{Applied, Batch, FaultClass, Store, StoreError};
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::topology::Names;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long messages are held while the database is away. Well below the 30 minutes after which
/// the broker takes them back by itself, each time counting a delivery.
const HOLD: Duration = Duration::from_secs(600);

/// How long an error that waiting should not mend (a missing table, a lost permission) is waited
/// out all the same: a server that is being restored says such things.
const FATAL_PATIENCE: Duration = Duration::from_secs(60);

/// Longest pause between two tries.
const RETRY_CAP: Duration = Duration::from_secs(2);

/// How seldom the log repeats that the database does not take a batch.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// What writing needs.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) names: Names,
    pub(crate) health: Arc<Health>,
    /// Ends the waiting: the daemon stops.
    pub(crate) give_up: CancellationToken,
    /// Who hears what Celery's workers say.
    pub(crate) listener: Arc<Mutex<Listener>>,
}

/// A batch was not written; its messages are still the broker's.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The database was away for longer than messages are held.
    Held(StoreError),
    /// The database says that waiting does not help.
    Refused(StoreError),
    /// The daemon stops.
    GivenUp,
}

impl Committer {
    /// Writes a batch and returns it to be settled.
    ///
    /// # Cancel safety
    /// Cancelled, it may or may not be written; writing it again is safe.
    pub(crate) async fn write(&self, mut gathered: Gathered) -> Result<Gathered, Unwritten> {
        hit(Point::Buffered).await;
        self.understand(&mut gathered).await?;
        self.judge(&mut gathered).await?;
        self.hear(&mut gathered).await?;
        let batch = std::mem::take(&mut gathered.batch);
        if batch.is_empty() {
            return Ok(gathered);
        }
        match self.persist(&batch, Slow::Denied).await {
            Ok(()) => Ok(gathered),
            Err(Denied::Unwritten(unwritten)) => Err(unwritten),
            Err(Denied::BadData(_) | Denied::TooSlow) => {
                drop(batch);
                self.bisect(&mut gathered).await?;
                Ok(gathered)
            }
        }
    }

    /// Asks which tasks Celery's workers mean, where they said something.
    async fn understand(&self, gathered: &mut Gathered) -> Result<(), Unwritten> {
        let is_heard = !self.listener().services.is_empty();
        if !is_heard || !gathered.records().any(|record| record.said().is_some()) {
            return Ok(());
        }
        let rows = self
            .insist(Slow::Again, || {
                Box::pin(said::rows(&*self.store, gathered.records()))
            })
            .await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(Denied::Unwritten(unwritten)) => return Err(unwritten),
            // What is said of them is kept.
            Err(Denied::BadData(_) | Denied::TooSlow) => Rows::new(),
        };
        gathered.understand(&rows, &mut self.listener(), &self.names);
        Ok(())
    }

    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.listener
            .lock()
            .expect("no code panics while it holds the lock")
    }

    /// Asks who has a say in the tasks that are reported on.
    async fn judge(&self, gathered: &mut Gathered) -> Result<(), Unwritten> {
        let subjects = gathered.subjects();
        if subjects.is_empty() {
            return Ok(());
        }
        let known = self
            .insist(Slow::Again, || self.store.owners(&subjects))
            .await;
        let known = match known {
            Ok(known) => known,
            Err(Denied::Unwritten(unwritten)) => return Err(unwritten),
            // Whatever the database dislikes about the ids, it says again when they are written.
            Err(Denied::BadData(_) | Denied::TooSlow) => Known::new(),
        };
        gathered.judge(&known, &self.names);
        Ok(())
    }

    /// Asks when questions in it are heard. This machine's clock may be another than the database's, by which they are
    /// answered.
    async fn hear(&self, gathered: &mut Gathered) -> Result<(), Unwritten> {
        if !gathered.asks() {
            return Ok(());
        }
        match self.insist(Slow::Again, || self.store.clock()).await {
            Ok(now) => gathered.hear(now),
            Err(Denied::Unwritten(unwritten)) => return Err(unwritten),
            // Whoever asks goes on without an answer.
            Err(Denied::BadData(_) | Denied::TooSlow) => {}
        }
        Ok(())
    }

    /// Writes halves, and halves of halves, until the culprits are alone; they are parked.
    async fn bisect(&self, gathered: &mut Gathered) -> Result<(), Unwritten> {
        let mut parts = vec![std::mem::take(&mut gathered.items)];
        while let Some(mut part) = parts.pop() {
            let mut batch = Batch::new();
            part.iter().for_each(|item| item.record.add_to(&mut batch));
            let slow = if part.len() > 1 {
                Slow::Denied
            } else {
                Slow::Again
            };
            match self.persist(&batch, slow).await {
                Ok(()) => {}
                Err(Denied::Unwritten(unwritten)) => return Err(unwritten),
                Err(Denied::BadData(_) | Denied::TooSlow) if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.push(rest);
                    parts.push(part);
                }
                Err(Denied::BadData(error)) => {
                    for culprit in part {
                        self.park(culprit, &error, gathered).await?;
                    }
                }
                // A single record is waited for.
                Err(Denied::TooSlow) => parts.push(part),
            }
        }
        Ok(())
    }

    /// Keeps a record that cannot be written as it came: first with its headers, else its body.
    async fn park(
        &self,
        culprit: Item,
        error: &StoreError,
        gathered: &mut Gathered,
    ) -> Result<(), Unwritten> {
        let queue = match culprit.record.event() {
            Some(_) => kept_as(culprit.feed, &self.names),
            None => culprit.feed.queue(&self.names),
        };
        let queue = queue.as_str();
        let reason = format!("the database refused it: {}", ErrorChain(error));
        tracing::error!(queue, reason, "a message is parked");
        let Some(mut parked) = culprit.record.into_parked(queue, reason) else {
            return Ok(());
        };
        for _ in 0..2 {
            let mut batch = Batch::new();
            batch.park(parked.clone());
            match self.persist(&batch, Slow::Again).await {
                Ok(()) => {
                    gathered.count_parked();
                    return Ok(());
                }
                Err(Denied::Unwritten(unwritten)) => return Err(unwritten),
                Err(Denied::TooSlow) => {}
                Err(Denied::BadData(error)) => {
                    tracing::error!(queue, error = %ErrorChain(&error), "a message could not be parked");
                    let body = std::mem::take(&mut parked.message.content.body);
                    parked.message.content = Content::json(body);
                    parked.reason = "the database refused it".into();
                    (parked.task_id, parked.name) = (None, None);
                }
            }
        }
        gathered.give_up(culprit.delivery);
        Ok(())
    }

    /// Writes until it is written, or known to be impossible.
    async fn persist(&self, batch: &Batch, slow: Slow) -> Result<(), Denied> {
        let started = Instant::now();
        let applied = self.insist(slow, || self.store.apply(batch)).await?;
        hit(Point::Committed).await;
        self.health.committed();
        let elapsed = started.elapsed();
        self.health.metrics().wrote_in(elapsed);
        let elapsed_ms = elapsed.as_millis();
        tracing::debug!(?applied, elapsed_ms, "batch written");
        tell_of_sessions(&applied);
        self.health.foreign_canaries(&applied.foreign_canaries);
        Ok(())
    }

    /// Asks the database until it answers, or it is known that it will not.
    async fn insist<'a, T>(
        &self,
        slow: Slow,
        ask: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, Denied> {
        let started = Instant::now();
        let backoff = Backoff::reconnect(RETRY_CAP);
        let mut tries = 0;
        let mut told_at: Option<Instant> = None;
        loop {
            let error = match self.give_up.run_until_cancelled(ask()).await {
                None => return Err(Denied::Unwritten(Unwritten::GivenUp)),
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(error)) => error,
            };
            let (patience, unwritten): (_, fn(StoreError) -> Unwritten) = match error.class() {
                FaultClass::BadData => return Err(Denied::BadData(error)),
                FaultClass::Transient => (HOLD, Unwritten::Held),
                FaultClass::Fatal => (FATAL_PATIENCE, Unwritten::Refused),
            };
            self.health.database_failed(&error);
            if told_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
                tracing::warn!(error = %ErrorChain(&error), tries, "batch not written, trying again");
                told_at = Some(Instant::now());
            }
            if slow == Slow::Denied && error.is_slow() {
                return Err(Denied::TooSlow);
            }
            if started.elapsed() >= patience {
                return Err(Denied::Unwritten(unwritten(error)));
            }
            let pause = tokio::time::sleep(backoff.random_wait(tries));
            if self.give_up.run_until_cancelled(pause).await.is_none() {
                return Err(Denied::Unwritten(Unwritten::GivenUp));
            }
            tries += 1;
        }
    }
}

/// One line for all tasks of a batch that no session lists: whoever sends them must not flood the log.
fn tell_of_sessions(applied: &Applied) {
    for (session_id, state) in &applied.finished_sessions {
        tracing::info!(%session_id, %state, "a session is over");
    }
    for session_id in &applied.unreadable_finalizers {
        tracing::error!(%session_id, "a session is over, and its finalizer cannot run: what the column session.finalizer holds of it is none; send the finalizer by hand");
    }
    if let Some((session_id, task_id)) = applied.strange_subtasks.first() {
        let count = applied.strange_subtasks.len();
        tracing::warn!(count, %session_id, %task_id, "tasks call themselves subtasks of sessions that do not list them; they count for nothing there");
    }
}

/// What to do about a database that does not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    /// Ask again.
    Again,
    /// Take it for an answer: less may be asked of it.
    Denied,
}

enum Denied {
    BadData(StoreError),
    TooSlow,
    Unwritten(Unwritten),
}
