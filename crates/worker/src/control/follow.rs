//! Reading the platform's stream, and when not to wait for it.

use super::Following;
use super::progress::{LONGEST_WAIT, Patience, Progress};
use crate::outcome::cut;
use crate::shared::Shared;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::control::{self, Instruction, KEPT, Order, Standing};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::{
    Delivery, StreamOffset, SubscribeOptions, Subscription, SubscriptionStatus, TransportError,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a broker that has just started may say that there is no such stream.
const STARTING: Duration = Duration::from_secs(3);

/// Pause between two tries while the stream is not there.
const PAUSE: Duration = Duration::from_millis(500);

/// The same when the worker has begun without.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Messages of some hundred instructions that are held at a time.
const PREFETCH: u16 = 50;

/// Longest reason in the log, in bytes.
const MAX_REASON: usize = 200;

/// What is older than this may be left out by the first reader already, so it is not waited for.
const SURELY_KEPT: TimeDelta = TimeDelta::days(6);

/// Reads what is asked, until it is dropped. Until it has caught up, the worker starts nothing: neither at
/// first nor after the stream could not be read for a while. Where there is nothing to read, or it may not
/// be read, the worker works without.
pub(crate) async fn follow(shared: Arc<Shared>) {
    until_readable(&shared).await;
    read(&shared).await;
}

async fn until_readable(shared: &Shared) {
    let began = Instant::now();
    // Since when the broker answers, but not about the stream.
    let mut since = None;
    loop {
        let error = match look(shared).await {
            Ok(()) => return,
            Err(error) => error,
        };
        let now = Instant::now();
        // A broker that is away delivers no tasks either, so there is no hurry.
        let is_there = !error.is_transient() || shared.transport.server().await.is_ok();
        since = is_there.then(|| since.unwrap_or(now));
        let patience = if error.is_transient() {
            LONGEST_WAIT
        } else {
            STARTING
        };
        if since.is_some_and(|since| now - since.max(began) >= patience) {
            let why = ErrorChain(&error).to_string();
            give_up(shared, &why);
        }
        let is_behind = *shared.control.following().borrow() == Following::CatchingUp;
        sleep(if is_behind { PAUSE } else { LONG_PAUSE }).await;
    }
}

/// Whether the stream can be read, without a word in the log where it cannot.
async fn look(shared: &Shared) -> Result<(), TransportError> {
    let mut link = shared.transport.link(&shared.names.control_queue).await?;
    let looked = link.consume("look", 1, Some(StreamOffset::Last)).await;
    link.close().await;
    looked
}

fn give_up(shared: &Shared, why: &str) {
    if *shared.control.following().borrow() == Following::CatchingUp {
        let queue = &shared.names.control_queue;
        tracing::warn!(%queue, reason = why, "what was cancelled, paused or held is not known to this worker: it works without");
        shared.control.follows(Following::No(why.to_owned()));
    }
}

/// The readers of the stream.
struct Readers<'a> {
    shared: &'a Shared,
    /// Reads all of it, for ever.
    all: Subscription,
    status: watch::Receiver<SubscriptionStatus>,
    /// Begins at its end, and is of no use once the other has caught up.
    end: Option<Subscription>,
    end_status: watch::Receiver<SubscriptionStatus>,
    progress: Progress,
    patience: Patience,
}

/// What happens to the readers.
enum Happened {
    Read(Delivery),
    IsThere(Delivery),
    StatusChanged,
    CaughtUp,
    LookAgain,
    /// The transport was closed.
    Ended,
}

async fn read(shared: &Shared) {
    let mut readers = Readers::open(shared);
    loop {
        match readers.happens().await {
            Happened::Read(delivery) => readers.read(delivery),
            Happened::IsThere(delivery) => readers.is_there(delivery),
            Happened::StatusChanged => readers.status_changed(),
            Happened::CaughtUp => readers.caught_up(),
            Happened::LookAgain => readers.look_again().await,
            Happened::Ended => return,
        }
    }
}

fn open(shared: &Shared, from: StreamOffset) -> Subscription {
    let options = SubscribeOptions {
        from: Some(from),
        ..SubscribeOptions::new(shared.names.control_queue.clone(), PREFETCH)
    };
    Subscription::open(shared.transport.clone(), options)
}

impl<'a> Readers<'a> {
    fn open(shared: &'a Shared) -> Self {
        let all = open(shared, StreamOffset::Age(KEPT));
        let end = open(shared, StreamOffset::Last);
        let now = Instant::now();
        Self {
            shared,
            status: all.status(),
            all,
            end_status: end.status(),
            end: Some(end),
            progress: Progress::new(now),
            patience: Patience::new(now),
        }
    }

    async fn happens(&mut self) -> Happened {
        let consuming = SubscriptionStatus::Consuming;
        let both = *self.status.borrow() == consuming && *self.end_status.borrow() == consuming;
        let is_behind = self.end.is_some();
        let done_at = self.progress.done_at().filter(|_| is_behind && both);
        tokio::select! {
            biased;
            // First: what is read next is not all that was asked before.
            Ok(()) = self.status.changed() => Happened::StatusChanged,
            Ok(()) = self.end_status.changed(), if is_behind => Happened::StatusChanged,
            delivery = self.all.next() => delivery.map_or(Happened::Ended, Happened::Read),
            Some(delivery) = next(&mut self.end) => Happened::IsThere(delivery),
            () = at(done_at) => Happened::CaughtUp,
            () = at(self.patience.look_at) => Happened::LookAgain,
        }
    }

    fn read(&mut self, first: Delivery) {
        let more = std::iter::from_fn(|| self.all.try_next());
        let read: Vec<_> = std::iter::once(first).chain(more).collect();
        for delivery in &read {
            self.progress.read(offset(delivery), Instant::now());
        }
        // What begins at the end of the stream does not know what was before.
        if let Some(sent_at) = self.take_in(read) {
            self.shared.control.has_heard(sent_at);
        }
    }

    fn is_there(&mut self, delivery: Delivery) {
        let now = Utc::now();
        let sent_at = delivery.content.properties.timestamp;
        let sent_at = sent_at.and_then(|seconds| i64::try_from(seconds).ok());
        let sent_at = sent_at.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
        if sent_at.is_some_and(|sent_at| now - sent_at < SURELY_KEPT) {
            self.progress.is_there(offset(&delivery), Instant::now());
        }
        let _ = self.take_in(vec![delivery]);
    }

    /// Does what is asked; when the latest end of a session among it was published.
    fn take_in(&self, deliveries: Vec<Delivery>) -> Option<DateTime<Utc>> {
        let shared = self.shared;
        let mut asked = Vec::new();
        for delivery in deliveries {
            let (understood, skipped) = control::read(&delivery.content.body);
            asked.extend(understood);
            for why in skipped {
                let queue = &shared.names.control_queue;
                tracing::warn!(%queue, reason = cut(&why, MAX_REASON), "something is asked of workers that this one does not understand; it goes on without");
            }
            // Nothing is taken out of a stream: this makes room for more.
            let _ = delivery.ack();
        }
        let is_end = |one: &&Instruction| matches!(one.order, Order::RevokeSession { .. });
        let ends = asked.iter().filter(is_end);
        let latest = ends.map(|end| end.sent_at).max();
        let before = shared.control.standing();
        shared.control.apply(asked, Utc::now());
        shared.guard.look_again();
        match shared.control.standing() {
            now if now == before => {}
            Standing::AtWork => {}
            Standing::Quiet => tracing::info!("asked to be quiet: nothing new is taken"),
            Standing::Stopped => {
                tracing::info!("asked to stop: draining");
                shared.stop.drain();
            }
        }
        latest
    }

    fn status_changed(&mut self) {
        self.progress.disturbed(Instant::now());
        if self.end.is_none() {
            // Even when it is read again by now: something may have been asked between.
            self.begin_again();
        }
    }

    /// The stream could not be read for a while, so what was asked meanwhile is still to come: it is read
    /// from its beginning, as at first.
    fn begin_again(&mut self) {
        let end = open(self.shared, StreamOffset::Last);
        self.end_status = end.status();
        self.end = Some(end);
        let now = Instant::now();
        self.progress = Progress::new(now);
        self.patience = Patience::new(now);
        self.shared.control.follows(Following::CatchingUp);
    }

    fn caught_up(&mut self) {
        self.end = None;
        self.patience.look_at = None;
        self.shared.control.follows(Following::Yes);
    }

    async fn look_again(&mut self) {
        let is_there = self.shared.transport.server().await.is_ok();
        if self.patience.is_over(is_there, Instant::now()) {
            let why = match &*self.status.borrow() {
                SubscriptionStatus::Down { reason, .. } => reason.clone(),
                SubscriptionStatus::Consuming
                | SubscriptionStatus::Connecting
                | SubscriptionStatus::Paused
                | SubscriptionStatus::Cancelled => {
                    "the broker does not hand out all of it in time".to_owned()
                }
            };
            give_up(self.shared, &why);
        }
    }
}

async fn next(subscription: &mut Option<Subscription>) -> Option<Delivery> {
    subscription.as_mut()?.next().await
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn offset(delivery: &Delivery) -> Option<i64> {
    delivery.content.headers.int("x-stream-offset")
}
