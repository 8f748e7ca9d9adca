//! Between handing a task over and knowing that the broker has it.

use super::error::SendError;
use super::replies::Waiting;
use super::result::RawHandle;
use super::send::Inner;
use crate::backoff::Backoff;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::transport::{Confirm, Publication, PublishError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a task is offered to a queue that is full.
const OFFERS: u32 = 5;

/// A task on its way: handed over, not confirmed. Dropping it does not take the task back.
#[derive(Debug)]
#[must_use = "a task has been sent only when it is confirmed"]
pub struct Sending {
    pub(super) producer: Arc<Inner>,
    pub(super) task: TaskName,
    pub(super) id: TaskId,
    pub(super) publication: Arc<Publication>,
    pub(super) confirm: Confirm,
    /// When trying again ends.
    pub(super) deadline: Instant,
    pub(super) waiting: Option<Waiting>,
}

impl Sending {
    /// Id of the task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Waits until the broker has the task; what it did not accept is sent again, with the same id.
    ///
    /// # Errors
    /// See [`Producer::send`](super::Producer::send).
    ///
    /// # Cancel safety
    /// Cancelled, the task may still be sent.
    pub async fn confirmed(mut self) -> Result<RawHandle, SendError> {
        let mut outcome = (&mut self.confirm).await;
        let backoff = Backoff::reconnect(Duration::from_secs(1));
        let (mut tries, mut offers) = (1, 0);
        // One try that may have reached the broker is enough to make the end unknown.
        let mut may_be_there = false;
        while let Err(error) = &outcome {
            offers += u32::from(*error == PublishError::Nacked);
            let again = Instant::now() + backoff.random_wait(tries);
            if !error.is_transient() || offers == OFFERS || again >= self.deadline {
                break;
            }
            may_be_there |= !error.is_certainly_not_sent() && *error != PublishError::Nacked;
            tokio::time::sleep_until(again).await;
            outcome = self.once_more(again).await;
            tries += 1;
        }
        if outcome == Err(PublishError::Nacked) {
            self.producer.report_rejected(&self.id, &self.task).await;
        }
        let Self {
            task, id, waiting, ..
        } = self;
        match outcome {
            Ok(()) => Ok(RawHandle::new(id, waiting)),
            Err(PublishError::Nacked) => Err(SendError::QueueFull { task, id }),
            Err(source) if source.is_certainly_not_sent() && !may_be_there => {
                Err(SendError::Refused { task, source })
            }
            Err(source) => Err(SendError::Unknown { task, id, source }),
        }
    }

    async fn once_more(&self, now: Instant) -> Result<(), PublishError> {
        let publisher = &self.producer.publisher;
        let until = self.deadline.min(now + publisher.confirm_timeout());
        let confirm = publisher.enqueue_until(self.publication.clone(), until);
        confirm.await?.await
    }
}
