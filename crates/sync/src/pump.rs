//! The one loop from the broker to the database: gather, write, acknowledge.
//!
//! While one batch is written, the next gathers. A message is acknowledged after the transaction
//! that holds it is committed, never before: a crash in between delivers it again, and writing it
//! again changes nothing. One that brings an answer to a caller of Celery's is acknowledged when that
//! is passed on.

use crate::answers::Answers;
use crate::commit::{Committer, Unwritten};
use crate::error::SyncError;
use crate::feeds::Feeds;
use crate::gather::{Gathered, Rhythm};
use crate::health::Health;
use crate::said::Listener;
use counterfoil_store::Store;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// How long a stopping daemon tries to write what it holds; then the broker keeps it.
const FLUSH: Duration = Duration::from_secs(10);

/// How long a stopping daemon tries to pass on answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How often the loop shows that it is alive when there is nothing to do.
const TICK: Duration = Duration::from_secs(1);

/// Longest pause between two looks whether the database is back.
const PROBE_CAP: Duration = Duration::from_secs(5);

/// Moves messages from the broker into the database.
pub(crate) struct Pump {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) names: Names,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) health: Arc<Health>,
    pub(crate) rhythm: Rhythm,
    pub(crate) listener: Arc<Mutex<Listener>>,
}

type Writing = AbortOnDropHandle<Result<Gathered, Unwritten>>;

/// Why consuming ended.
enum Ended {
    /// The daemon was asked to stop, and everything in hand is written.
    Drained,
    /// The database is away for so long that the messages were given back.
    Suspended,
}

impl Pump {
    /// Runs until `stop`, then writes what it holds.
    ///
    /// # Errors
    /// [`SyncError`] when the broker or the database is lost for good, or when what it held could
    /// not be written before the deadline: then the broker still has it.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), SyncError> {
        loop {
            match self.consume(&stop).await? {
                Ended::Drained => return Ok(()),
                Ended::Suspended if stop.is_cancelled() => {
                    return Err(SyncError::NotFlushed { after: FLUSH });
                }
                Ended::Suspended => self.wait_for_database(&stop).await,
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn consume(&self, stop: &CancellationToken) -> Result<Ended, SyncError> {
        let feeds = Feeds::open(&self.transport, &self.names, self.rhythm.appetite);
        self.health.watch(feeds.statuses());
        let mut shift = Shift {
            pump: self,
            committer: Committer {
                store: Arc::clone(&self.store),
                names: self.names.clone(),
                health: Arc::clone(&self.health),
                give_up: CancellationToken::new(),
                listener: Arc::clone(&self.listener),
            },
            feeds,
            gathered: Gathered::default(),
            answers: Answers::new(&*self.transport),
            writing: None,
            last: None,
        };
        let ended = match shift.work(stop).await {
            Ok(()) => shift.drain().await,
            Err(error) => Err(error),
        };
        if let Some(writing) = shift.writing.take() {
            // Its messages are lost to this process; let it end before they come again.
            shift.committer.give_up.cancel();
            let _ = writing.await;
        }
        shift.feeds.close().await;
        match ended {
            Ok(()) => Ok(Ended::Drained),
            Err(Interruption::Suspend) => Ok(Ended::Suspended),
            Err(Interruption::Fail(error)) => Err(error),
        }
    }

    /// Looks until the database writes again, or the daemon is to stop. To read is not enough: on a
    /// full disk the messages would come, fail and go back, and each time count a delivery.
    async fn wait_for_database(&self, stop: &CancellationToken) {
        let backoff = Backoff::reconnect(PROBE_CAP);
        for tries in 0.. {
            let probe = self.health.while_waiting(self.store.probe());
            match stop.run_until_cancelled(probe).await {
                None => return,
                Some(Ok(())) => return self.health.database_answered(),
                Some(Err(error)) => self.health.database_failed(&error),
            }
            let pause = tokio::time::sleep(backoff.random_wait(tries));
            let pause = self.health.while_waiting(pause);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }
}

/// The time from opening the queues to closing them.
struct Shift<'a> {
    pump: &'a Pump,
    committer: Committer,
    feeds: Feeds,
    gathered: Gathered,
    answers: Answers,
    writing: Option<Writing>,
    /// When the last batch began to be written.
    last: Option<Instant>,
}

enum Interruption {
    Suspend,
    Fail(SyncError),
}

impl Shift<'_> {
    async fn work(&mut self, stop: &CancellationToken) -> Result<(), Interruption> {
        let rhythm = self.pump.rhythm;
        let mut ticks = tokio::time::interval(TICK);
        loop {
            let has_room = !self.gathered.is_full(rhythm.appetite);
            let due = self
                .gathered
                .due(rhythm, self.last)
                .filter(|_| self.writing.is_none());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                written = finished(&mut self.writing) => self.settle(written).await?,
                () = sleep_until(due) => self.write(),
                arrival = self.feeds.next(), if has_room => {
                    let Some((feed, delivery)) = arrival else {
                        return Err(Interruption::Fail(SyncError::BrokerClosed));
                    };
                    self.gathered.take(feed, delivery, &self.pump.names);
                }
                () = self.answers.look() => {}
                _ = ticks.tick() => {}
            }
            self.pump.health.tick();
            self.pump
                .health
                .holds(self.gathered.len(), self.gathered.since());
        }
    }

    /// Begins to write what has gathered.
    fn write(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        let committer = self.committer.clone();
        self.last = Some(Instant::now());
        let span = tracing::debug_span!("batch.write", count = gathered.len());
        let writing = async move { committer.write(gathered).await };
        let writing = tokio::spawn(writing.instrument(span));
        self.writing = Some(AbortOnDropHandle::new(writing));
    }

    async fn settle(
        &mut self,
        written: Result<Result<Gathered, Unwritten>, tokio::task::JoinError>,
    ) -> Result<(), Interruption> {
        self.writing = None;
        match written {
            // A crash before this line delivers the batch again.
            Ok(Ok(gathered)) => {
                let (tally, answers) = gathered.settle();
                self.pump.health.settled(tally);
                for (delivery, answer) in answers {
                    self.answers.pass_on(delivery, &answer);
                }
                hit(Point::Acked).await;
                Ok(())
            }
            Ok(Err(Unwritten::Held(error))) => {
                let error = ErrorChain(&error).to_string();
                tracing::error!(
                    error,
                    "the database is away: messages go back to the broker"
                );
                Err(Interruption::Suspend)
            }
            Ok(Err(Unwritten::Refused(error))) => {
                Err(Interruption::Fail(SyncError::Database(error)))
            }
            Ok(Err(Unwritten::GivenUp)) => {
                Err(Interruption::Fail(SyncError::NotFlushed { after: FLUSH }))
            }
            Err(panic) => Err(Interruption::Fail(SyncError::Panicked(panic))),
        }
    }

    /// Writes everything that has come, after the queues were told to send no more.
    async fn drain(&mut self) -> Result<(), Interruption> {
        self.feeds.cancel().await;
        let give_up = self.committer.give_up.clone();
        let draining = async {
            loop {
                if self.writing.is_some() {
                    let written = finished(&mut self.writing).await;
                    self.settle(written).await?;
                }
                while !self.gathered.is_full(self.pump.rhythm.appetite)
                    && let Some((feed, delivery)) = self.feeds.try_next()
                {
                    self.gathered.take(feed, delivery, &self.pump.names);
                }
                if self.gathered.is_empty() {
                    return Ok(());
                }
                self.write();
                self.pump.health.tick();
            }
        };
        let flushed = {
            tokio::pin!(draining);
            tokio::select! {
                ended = &mut draining => ended,
                () = tokio::time::sleep(FLUSH) => {
                    give_up.cancel();
                    draining.await
                }
            }
        };
        // What is not passed on then comes to the next daemon.
        let answering = async {
            while !self.answers.is_empty() {
                self.answers.look().await;
            }
        };
        let _ = tokio::time::timeout(LAST_ANSWERS, answering).await;
        flushed
    }
}

/// The outcome of the batch that is being written; pends while there is none.
async fn finished(
    writing: &mut Option<Writing>,
) -> Result<Result<Gathered, Unwritten>, tokio::task::JoinError> {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
