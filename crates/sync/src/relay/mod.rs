//! What transactions have put into the outbox goes to the broker: in order, many at a time, each until
//! it is confirmed, and then marked. A crash in between publishes a message twice, with one id.

mod held;
mod publication;

use crate::health::Health;
use crate::leader::Leading;
use counterfoil_store::{OutboxMessage, OutboxWake, Store, StoreError};
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublishError, Publisher, PublisherOptions, Transport};
use held::{Held, chosen};
use publication::{Verdict, publication, verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Messages that are under way at the same time.
const AT_ONCE: u32 = 500;

/// Bytes of them, roughly.
const BYTES: u32 = 4_000_000;

/// How often is looked although nobody told of anything, where somebody should.
const BACKSTOP: Duration = Duration::from_secs(5);

/// Longest pause between two tries while broker or database are away.
const PAUSE_CAP: Duration = Duration::from_secs(5);

/// How often the state of the outbox is noted.
const REPORT: Duration = Duration::from_secs(15);

/// How often what was sent long ago is looked for.
const TIDY: Duration = Duration::from_secs(60 * 60);

/// For how long what was sent is remembered: nothing is sent twice under its key meanwhile.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Rows that are forgotten together.
const FORGOTTEN_AT_ONCE: u32 = 5000;

/// Publishes the outbox. Only the leader does it, so that it is in order.
#[derive(Debug)]
pub(crate) struct Relay {
    names: Names,
    store: Arc<dyn Store>,
    health: Arc<Health>,
    interval: Duration,
    /// For tasks, whose exchange has a queue for all of them.
    publisher: Publisher,
    /// For the rest, and for what may be refused: one at a time, and it must be routed.
    careful: Publisher,
    /// Sent by that one, at most one per queue.
    tried: JoinSet<(OutboxMessage, Result<(), PublishError>)>,
    held: Held,
    /// Confirmed and not marked, since the database went away in between.
    unmarked: Vec<i64>,
    /// How many messages are sent at once: fewer after trouble, so that one that makes the broker
    /// close the channel is found.
    at_once: u32,
    wake: Option<OutboxWake>,
    next_report: Instant,
    next_tidy: Instant,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the outbox cannot be published")]
    Broker(#[from] PublishError),
}

/// Whether there may be more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    More,
    Nothing,
}

impl Relay {
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        health: Arc<Health>,
        interval: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            names,
            store,
            health,
            interval,
            publisher: transport.publisher(PublisherOptions::default()),
            careful: transport.publisher(PublisherOptions::mandatory()),
            tried: JoinSet::new(),
            held: Held::default(),
            unmarked: Vec::new(),
            at_once: AT_ONCE,
            wake: None,
            next_report: now,
            next_tidy: now,
        }
    }

    /// Publishes until the leadership is lost.
    ///
    /// # Cancel safety
    /// Cancelled between publishing and marking, the next leader publishes it once more.
    pub(crate) async fn run(mut self, leading: &Leading) {
        let backoff = Backoff::reconnect(PAUSE_CAP);
        let mut failures = 0;
        while leading.still().await {
            match self.round().await {
                Ok(left) => {
                    failures = 0;
                    self.at_once = (self.at_once * 2).min(AT_ONCE);
                    if left == Left::Nothing {
                        self.wait().await;
                    }
                }
                Err(error) => {
                    if failures == 0 {
                        let error = ErrorChain(&error);
                        tracing::warn!(%error, "the outbox waits; it is tried until it is empty");
                    }
                    self.at_once = (self.at_once / 2).max(1);
                    tokio::time::sleep(backoff.random_wait(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// Publishes what is due, at most so much at once.
    async fn round(&mut self) -> Result<Left, RelayError> {
        while let Some(tried) = self.tried.try_join_next() {
            self.settle(tried).await?;
        }
        self.mark().await?;
        if let Err(error) = self.upkeep().await {
            // What waits is published all the same.
            let error = ErrorChain(&error);
            tracing::warn!(%error, "the outbox is not looked after now; it is tried again later");
        }
        let held = self.held.queues(Instant::now());
        let due = self.store.due_messages(&held, self.at_once, BYTES).await?;
        if due.is_empty() {
            return Ok(Left::Nothing);
        }
        let (together, alone) = chosen(due, &self.held);
        for message in alone {
            self.try_alone(message).await?;
        }
        self.send(together).await?;
        Ok(Left::More)
    }

    /// Sends messages of which nothing bad is expected, all at the same time.
    async fn send(&mut self, messages: Vec<OutboxMessage>) -> Result<(), RelayError> {
        let (mut under_way, mut never) = (Vec::new(), Vec::new());
        let mut trouble = None;
        for message in messages {
            match publication(&self.names, &message) {
                Ok(publication) => match self.publisher.enqueue(publication).await {
                    Ok(confirm) => under_way.push((message, confirm)),
                    Err(error) => {
                        trouble = Some(error);
                        break;
                    }
                },
                Err(why) => never.push((message, why)),
            }
        }
        if !under_way.is_empty() {
            hit(Point::PublishWritten).await;
        }
        let alone = under_way.len() == 1;
        for (message, confirm) in under_way {
            match verdict(confirm.await, alone) {
                Verdict::Sent => self.sent(&message),
                Verdict::Held(error) => self.hold(&message, &error),
                Verdict::Never(why) => never.push((message, why)),
                Verdict::Trouble(error) => trouble = Some(error),
            }
        }
        if !self.unmarked.is_empty() {
            hit(Point::ConfirmSeen).await;
            self.mark().await?;
            hit(Point::RelayMarked).await;
        }
        // Last: a database that goes away now must not make anybody forget what was confirmed.
        for (message, why) in never {
            self.refuse(&message, &why).await?;
        }
        trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Sends a message that may be refused, without waiting for it: others need not.
    async fn try_alone(&mut self, message: OutboxMessage) -> Result<(), RelayError> {
        let publication = match publication(&self.names, &message) {
            Ok(publication) => publication,
            Err(why) => return self.refuse(&message, &why).await,
        };
        self.held.tries(&message.queue);
        let careful = self.careful.clone();
        self.tried.spawn(async move {
            let outcome = careful.publish(publication).await;
            (message, outcome)
        });
        Ok(())
    }

    async fn settle(
        &mut self,
        tried: Result<(OutboxMessage, Result<(), PublishError>), tokio::task::JoinError>,
    ) -> Result<(), RelayError> {
        let Ok((message, outcome)) = tried else {
            // Nothing of ours panics or ends it; its queue would be left out for ever.
            self.held.forget();
            return Ok(());
        };
        match verdict(outcome, true) {
            Verdict::Sent => self.sent(&message),
            Verdict::Held(error) | Verdict::Trouble(error) => self.hold(&message, &error),
            Verdict::Never(why) => {
                self.held.took(&message.queue);
                self.refuse(&message, &why).await?;
            }
        }
        Ok(())
    }

    fn sent(&mut self, message: &OutboxMessage) {
        self.unmarked.push(message.position);
        if self.held.took(&message.queue) {
            tracing::info!(
                queue = message.queue,
                "messages of the outbox are taken again"
            );
        }
    }

    fn hold(&mut self, message: &OutboxMessage, error: &PublishError) {
        if self.held.refused(&message.queue, Instant::now()) {
            tracing::warn!(
                queue = message.queue,
                error = %ErrorChain(error),
                "messages of the outbox are not taken; they wait, and others do not wait for them"
            );
        }
    }

    /// Sets a message aside that can never be published.
    async fn refuse(&mut self, message: &OutboxMessage, why: &str) -> Result<(), RelayError> {
        tracing::error!(
            key = message.key,
            reason = why,
            "a message of the outbox can never be published; it is set aside"
        );
        Ok(self.store.refuse_message(message.position, why).await?)
    }

    async fn mark(&mut self) -> Result<(), StoreError> {
        if !self.unmarked.is_empty() {
            self.store.mark_sent(&self.unmarked).await?;
            self.unmarked.clear();
        }
        Ok(())
    }

    /// Notes how the outbox is doing, and forgets what was sent long ago.
    async fn upkeep(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.next_report <= now {
            self.next_report = now + REPORT;
            self.health.outbox(self.store.outbox_state().await?);
        }
        if self.next_tidy <= now {
            let soon = std::mem::replace(&mut self.next_tidy, now + TIDY);
            let gone = self.store.forget_sent(REMEMBERED, FORGOTTEN_AT_ONCE);
            if gone.await? >= u64::from(FORGOTTEN_AT_ONCE) {
                self.next_tidy = soon;
            }
        }
        Ok(())
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) {
        if self.wake.is_none() {
            match self.store.outbox_wake().await {
                // What came before it listened is looked for at once.
                Ok(wake) => {
                    let hears = wake.hears();
                    self.wake = Some(wake);
                    if hears {
                        return;
                    }
                }
                Err(error) => {
                    let error = ErrorChain(&error);
                    tracing::warn!(%error, "nobody tells of the outbox; it is looked at instead");
                }
            }
        }
        let hears = self.wake.as_ref().is_some_and(OutboxWake::hears);
        let mut pause = if hears { BACKSTOP } else { self.interval };
        // A database that is away is found out by the next round.
        if let Ok(Some(next)) = self.store.next_due().await {
            pause = pause.min(next);
        }
        if let Some(until) = self.held.next() {
            pause = pause.min(until.saturating_duration_since(Instant::now()));
        }
        // Never a busy loop, whatever the clocks say.
        let pause = pause.max(Duration::from_millis(5));
        let news = async {
            match &mut self.wake {
                Some(wake) => wake.news().await,
                None => std::future::pending().await,
            }
        };
        let lost = tokio::select! {
            biased;
            heard = news => heard.is_err(),
            Some(tried) = self.tried.join_next() => self.settle(tried).await.is_err(),
            () = tokio::time::sleep(pause) => match &mut self.wake {
                Some(wake) if pause == BACKSTOP => wake.check().await.is_err(),
                Some(_) | None => false,
            },
        };
        if lost {
            self.wake = None;
        }
    }
}
