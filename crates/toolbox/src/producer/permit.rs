//! What one send may do, and what its outcome says about the broker.

use super::availability::Trouble;
use super::error::SendError;
use super::guard::Guard;
use crate::breaker::Ticket;
use crate::error::ErrorChain;
use crate::names::TaskName;
use crate::transport::PublishError;
use std::sync::Arc;

/// Leave to try once. Dropped without a word, it makes room for another probe.
#[derive(Debug)]
pub(super) struct Permit {
    guard: Arc<Guard>,
    /// `None`: told already, or passed without being asked.
    ticket: Option<Ticket>,
}

impl Permit {
    pub(super) fn new(guard: Arc<Guard>, ticket: Option<Ticket>) -> Self {
        Self { guard, ticket }
    }

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
            self.guard.withdraw();
        }
    }

    fn refusal(&self, task: &TaskName) -> Option<SendError> {
        if self
            .ticket
            .is_none_or(|ticket| self.guard.is_current(ticket))
        {
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
        let is_preparing = matches!(error, SendError::Levels(_) | SendError::Results(_));
        if is_preparing && error.is_transient() {
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
            self.ticket = self.guard.ticket();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.release(ticket);
        }
    }
}
