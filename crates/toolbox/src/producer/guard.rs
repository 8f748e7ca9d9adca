//! The circuit breaker at work: who may send, and what becomes known of the broker.

use super::availability::{Availability, Trouble};
use super::error::SendError;
use super::metrics::BreakerMetrics;
use super::permit::Permit;
use crate::breaker::{Breaker, Ticket};
use crate::config::BreakerSettings;
use crate::names::TaskName;
use crate::transport::{PublishError, Publisher, PublisherStatus, Transport, spawn_beside};
use chrono::{DateTime, Utc};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A probe should be over when its confirm is; this is for the rest of its way.
const PROBE_GRACE: Duration = Duration::from_secs(1);

/// What a send does while the breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhileOpen {
    Refuse,
    Wait,
}

/// A producer's breaker, and those who are told of it.
#[derive(Debug)]
pub(super) struct Guard {
    watched: Mutex<Watched>,
    while_open: WhileOpen,
    availability: watch::Sender<Availability>,
    /// Something happened that time may change.
    changed: Notify,
    publisher: Publisher,
}

#[derive(Debug)]
struct Watched {
    breaker: Breaker,
    /// `None`: the breaker is closed.
    outage: Option<Outage>,
    metrics: BreakerMetrics,
}

#[derive(Debug, Clone)]
struct Outage {
    since: DateTime<Utc>,
    /// What failed last.
    reason: Trouble,
}

impl Guard {
    /// Guards `publisher` of `transport`. The task that is returned listens to it, until it is aborted.
    pub(super) fn new(
        transport: &dyn Transport,
        publisher: Publisher,
        settings: BreakerSettings,
        while_open: WhileOpen,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let probe_timeout = publisher.confirm_timeout() + PROBE_GRACE;
        let status = publisher.status();
        let breaker = Breaker::new(settings, probe_timeout);
        let guard = Arc::new(Self {
            watched: Mutex::new(Watched {
                breaker,
                outage: None,
                metrics: BreakerMetrics::new(),
            }),
            while_open,
            availability: watch::Sender::new(Availability::Available),
            changed: Notify::new(),
            publisher,
        });
        let listener = spawn_beside(transport, listen(guard.clone(), status));
        (guard, listener)
    }

    pub(super) fn availability(&self) -> watch::Receiver<Availability> {
        self.availability.subscribe()
    }

    /// Leave to send `task`.
    pub(super) fn admit(self: &Arc<Self>, task: &TaskName) -> Result<Permit, SendError> {
        let ticket = self.ticket();
        if ticket.is_none()
            && let Some(refusal) = self.refusal(task)
        {
            return Err(refusal);
        }
        Ok(Permit::new(self.clone(), ticket))
    }

    /// Takes back what waits to be sent.
    pub(super) fn withdraw(&self) {
        self.publisher.withdraw();
    }

    /// Why a task that was certainly not sent is not tried again. `None`: it is.
    pub(super) fn refusal(&self, task: &TaskName) -> Option<SendError> {
        if self.while_open == WhileOpen::Wait {
            return None;
        }
        let watched = self.watched();
        let Outage { since, reason } = watched.outage.clone()?;
        Some(SendError::BrokerUnavailable {
            task: task.clone(),
            since,
            retry_in: watched.breaker.tried_again_in(Instant::now()),
            source: reason,
        })
    }

    pub(super) fn ticket(&self) -> Option<Ticket> {
        let mut watched = self.watched();
        let ticket = watched.breaker.admit(Instant::now());
        if ticket.is_some() && !watched.breaker.is_closed() {
            self.announce(&watched);
        }
        ticket
    }

    pub(super) fn is_current(&self, ticket: Ticket) -> bool {
        self.watched().breaker.is_current(ticket)
    }

    pub(super) fn release(&self, ticket: Ticket) {
        let mut watched = self.watched();
        watched.breaker.release(ticket);
        self.announce(&watched);
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched
            .lock()
            .expect("no code panics while it holds the lock")
    }

    /// Something may have opened the breaker: whoever waits to be sent need not wait any longer.
    pub(super) fn failed(
        &self,
        why: impl FnOnce() -> Trouble,
        count: impl FnOnce(&mut Breaker, Instant),
    ) {
        let mut watched = self.watched();
        count(&mut watched.breaker, Instant::now());
        if watched.breaker.is_closed() {
            return;
        }
        let known = watched.outage.take();
        let opened = known.is_none();
        watched.outage = Some(Outage {
            since: known.map_or_else(Utc::now, |outage| outage.since),
            reason: why(),
        });
        watched.metrics.opened();
        self.announce(&watched);
        if opened && self.while_open == WhileOpen::Refuse {
            self.publisher.withdraw();
        }
    }

    /// Something may have closed the breaker.
    pub(super) fn mended(&self, tell: impl FnOnce(&mut Breaker)) {
        let mut watched = self.watched();
        tell(&mut watched.breaker);
        if watched.breaker.is_closed() && watched.outage.take().is_some() {
            watched.metrics.closed();
            self.announce(&watched);
        }
    }

    /// Tells whether the next send would be tried. One may be as soon as the breaker is due: somebody
    /// whose button stayed grey until a send succeeds could wait for ever.
    fn announce(&self, watched: &Watched) {
        let now = Instant::now();
        let is_free = watched.breaker.free_at().is_some_and(|free| free <= now);
        let availability = match &watched.outage {
            Some(Outage { since, reason }) if !is_free => Availability::Unavailable {
                since: *since,
                reason: reason.clone(),
            },
            Some(_) | None => Availability::Available,
        };
        self.availability.send_if_modified(|known| {
            let news = *known != availability;
            *known = availability;
            news
        });
        self.changed.notify_one();
    }

    /// When time alone will change what was announced.
    fn next_change(&self) -> Option<Instant> {
        let free = self.watched().breaker.free_at();
        free.filter(|_| !self.availability.borrow().is_available())
    }

    fn tell(&self, status: PublisherStatus) {
        match status {
            PublisherStatus::Connecting => {}
            PublisherStatus::Ready => self.mended(Breaker::connected),
            PublisherStatus::Down { reason, again } => self.failed(
                || Trouble::new(reason),
                |breaker, now| breaker.disconnected(now, again),
            ),
            PublisherStatus::Blocked => self.failed(
                || Trouble::new("the broker has blocked publishers (memory or disk alarm)"),
                // Nobody says when the alarm will be over; the broker says when it is.
                |breaker, now| breaker.disconnected(now, now),
            ),
            // Senders are told so by the publisher, in its own words.
            PublisherStatus::Closed => {
                let reason = Trouble::new(PublishError::Closed.to_string());
                let since = Utc::now();
                let closed = Availability::Unavailable { since, reason };
                self.availability.send_replace(closed);
            }
        }
    }
}

async fn listen(guard: Arc<Guard>, mut status: watch::Receiver<PublisherStatus>) {
    loop {
        let now = status.borrow_and_update().clone();
        let is_over = now == PublisherStatus::Closed;
        guard.tell(now);
        let told = until_told(&guard, &mut status).await;
        if is_over || told.is_err() {
            return;
        }
    }
}

/// Waits for news of the publisher, and tells what time changes meanwhile.
async fn until_told(
    guard: &Guard,
    status: &mut watch::Receiver<PublisherStatus>,
) -> Result<(), watch::error::RecvError> {
    loop {
        let next = guard.next_change();
        tokio::select! {
            biased;
            told = status.changed() => return told,
            () = guard.changed.notified() => {}
            () = sleep_until(next) => guard.announce(&guard.watched()),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
