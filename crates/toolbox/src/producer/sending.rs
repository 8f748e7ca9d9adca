//! Between handing a task over and knowing that the broker has it.

use super::result::{RawHandle, Waiting};
use super::send::SendError;
use crate::backoff::Backoff;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::transport::{Confirm, Publication, PublishError, Publisher};
use std::time::Duration;

/// How often a message that was not accepted is sent again, with the same id.
const TRIES: u32 = 5;

/// A task on its way: handed over, not confirmed. Dropping it does not take the task back.
#[derive(Debug)]
#[must_use = "a task has been sent only when it is confirmed"]
pub struct Sending {
    pub(super) publisher: Publisher,
    pub(super) task: TaskName,
    pub(super) id: TaskId,
    pub(super) publication: Publication,
    pub(super) confirm: Confirm,
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
    pub async fn confirmed(self) -> Result<RawHandle, SendError> {
        let Self {
            publisher,
            task,
            id,
            publication,
            confirm,
            waiting,
        } = self;
        let backoff = Backoff::reconnect(Duration::from_secs(1));
        let mut outcome = confirm.await;
        let mut tries = 1;
        // One try that may have reached the broker is enough to make the end unknown.
        let mut may_be_there = false;
        while let Err(error) = &outcome {
            if !error.is_transient() || tries == TRIES {
                break;
            }
            may_be_there |= !error.is_certainly_not_sent() && *error != PublishError::Nacked;
            tokio::time::sleep(backoff.random_wait(tries)).await;
            outcome = publisher.publish(publication.clone()).await;
            tries += 1;
        }
        match outcome {
            Ok(()) => Ok(RawHandle::new(id, waiting)),
            Err(PublishError::Nacked) => Err(SendError::QueueFull { task, id }),
            Err(source) if source.is_certainly_not_sent() && !may_be_there => {
                Err(SendError::Refused { task, source })
            }
            Err(source) => Err(SendError::Unknown { task, id, source }),
        }
    }
}
