//! The circuit breaker at work: who may send, and what becomes known of the broker.

use super::availability::{Availability, Trouble};
use super::error::SendError;
use crate::breaker::{Breaker, Ticket};
use crate::config::BreakerSettings;
use crate::error::ErrorChain;
use crate::names::TaskName;
use crate::transport::{DeclareError, PublishError, Publisher, PublisherStatus};
use chrono::Utc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
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
    breaker: Mutex<Breaker>,
    while_open: WhileOpen,
    availability: watch::Sender<Availability>,
    publisher: Publisher,
}

impl Guard {
    /// Guards `publisher`. The task that is returned listens to it, until it is aborted.
    pub(super) fn new(
        publisher: Publisher,
        settings: BreakerSettings,
        while_open: WhileOpen,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let probe_timeout = publisher.confirm_timeout() + PROBE_GRACE;
        let status = publisher.status();
        let guard = Arc::new(Self {
            breaker: Mutex::new(Breaker::new(settings, probe_timeout)),
            while_open,
            availability: watch::Sender::new(Availability::Available),
            publisher,
        });
        let listener = tokio::spawn(listen(guard.clone(), status));
        (guard, listener)
    }

    pub(super) fn availability(&self) -> watch::Receiver<Availability> {
        self.availability.subscribe()
    }

    /// Leave to send `task`.
    pub(super) fn admit(self: &Arc<Self>, task: &TaskName) -> Result<Permit, SendError> {
        let ticket = self.breaker().admit(Instant::now());
        if ticket.is_none()
            && let Some(refusal) = self.refusal(task)
        {
            return Err(refusal);
        }
        Ok(Permit {
            guard: self.clone(),
            ticket,
        })
    }

    /// Why a task that was certainly not sent is not tried again. `None`: it is.
    pub(super) fn refusal(&self, task: &TaskName) -> Option<SendError> {
        if self.while_open == WhileOpen::Wait {
            return None;
        }
        let breaker = self.breaker();
        let Availability::Unavailable { since, reason } = self.availability.borrow().clone() else {
            return None;
        };
        Some(SendError::BrokerUnavailable {
            task: task.clone(),
            since,
            retry_in: breaker.tried_again_in(Instant::now()),
            source: reason,
        })
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker
            .lock()
            .expect("no code panics while it holds the lock")
    }

    /// Something may have opened the breaker: whoever waits to be sent need not wait any longer.
    fn failed(&self, why: impl FnOnce() -> Trouble, count: impl FnOnce(&mut Breaker, Instant)) {
        let mut breaker = self.breaker();
        count(&mut breaker, Instant::now());
        if breaker.is_closed() {
            return;
        }
        let reason = why();
        let mut opened = false;
        self.availability.send_if_modified(|known| {
            let since = match known {
                Availability::Available => Utc::now(),
                Availability::Unavailable { reason: same, .. } if *same == reason => return false,
                Availability::Unavailable { since, .. } => *since,
            };
            opened = known.is_available();
            *known = Availability::Unavailable { since, reason };
            true
        });
        if opened && self.while_open == WhileOpen::Refuse {
            self.publisher.withdraw();
        }
    }

    /// Something may have closed the breaker.
    fn mended(&self, tell: impl FnOnce(&mut Breaker)) {
        let mut breaker = self.breaker();
        let was_closed = breaker.is_closed();
        tell(&mut breaker);
        if !was_closed && breaker.is_closed() {
            self.availability.send_replace(Availability::Available);
        }
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
        if is_over || status.changed().await.is_err() {
            return;
        }
    }
}

/// Leave to try once. Dropped without a word, it makes room for another probe.
#[derive(Debug)]
pub(super) struct Permit {
    guard: Arc<Guard>,
    /// `None`: told already, or passed without being asked.
    ticket: Option<Ticket>,
}

impl Permit {
    /// Waits until the breaker has opened since, and says why the task is not sent.
    pub(super) async fn revoked(&self, task: &TaskName) -> SendError {
        let mut availability = self.guard.availability();
        loop {
            if let Some(refusal) = self.refusal(task) {
                return refusal;
            }
            if availability.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What was handed over with it may have come too late to be withdrawn with the others.
    pub(super) fn handed_over(&self, task: &TaskName) {
        if self.refusal(task).is_some() {
            self.guard.publisher.withdraw();
        }
    }

    fn refusal(&self, task: &TaskName) -> Option<SendError> {
        let is_current = |ticket| self.guard.breaker().is_current(ticket);
        if self.ticket.is_none_or(is_current) {
            return None;
        }
        self.guard.refusal(task)
    }

    /// The broker has the task.
    pub(super) fn succeeded(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.mended(|breaker| breaker.succeeded(ticket));
        }
    }

    /// One try has failed; that may be the broker's fault.
    pub(super) fn failed(&mut self, error: &PublishError) {
        match error {
            PublishError::ConfirmTimeout { .. }
            | PublishError::NotSent { .. }
            | PublishError::Blocked { .. } => self.broker_failed(error),
            // It answers.
            PublishError::Nacked | PublishError::Unroutable { .. } => self.succeeded(),
            // A lost connection is mostly made again at once; if it cannot be, that is the failure.
            PublishError::Disconnected => {}
            // The fault of the message, the sender, or the permissions of a user.
            PublishError::Refused { .. }
            | PublishError::Invalid { .. }
            | PublishError::Withdrawn
            | PublishError::Closed => {}
        }
    }

    /// Something could not be declared that the task needs.
    pub(super) fn failed_to_prepare(&mut self, error: &SendError) {
        let is_away = match error {
            SendError::Levels(error) | SendError::Results(DeclareError::Transport(error)) => {
                error.is_transient()
            }
            SendError::Results(_)
            | SendError::Name(_)
            | SendError::Arguments { .. }
            | SendError::TooLarge { .. }
            | SendError::Delay(_)
            | SendError::QueueFull { .. }
            | SendError::BrokerUnavailable { .. }
            | SendError::Unknown { .. }
            | SendError::Refused { .. } => false,
        };
        if is_away {
            self.broker_failed(error);
        }
    }

    /// The broker is to blame.
    pub(super) fn broker_failed(&mut self, error: &dyn std::error::Error) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.failed(
                || Trouble::new(ErrorChain(error).to_string()),
                |breaker, now| breaker.failed(ticket, now),
            );
        }
    }

    /// Before another try, which is made whether it gets leave or not.
    pub(super) fn renew(&mut self) {
        if self.ticket.is_none() {
            self.ticket = self.guard.breaker().admit(Instant::now());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.breaker().release(ticket);
        }
    }
}
