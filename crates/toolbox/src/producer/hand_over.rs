//! From a task to a message that the publisher has.

use super::draft::Draft;
use super::error::SendError;
use super::replies::Waiting;
use super::send::{Inner, Producer};
use super::sending::Sending;
use crate::delay::delayed_key;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::transport::{Publication, PublishError};
use chrono::Utc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Span;

/// Confirm time-outs after which a send gives up: a broker that starts again has time to.
const TIMEOUTS: u32 = 3;

/// Below this, a delay is not worth the levels: it would be rounded up to a whole second.
const SHORTEST_DELAY: Duration = Duration::from_millis(500);

impl Producer {
    /// Makes the message of a task and gives it to the publisher, unless the guard refuses.
    pub(super) async fn hand_over(
        &self,
        name: TaskName,
        draft: impl FnOnce() -> Result<Draft, SendError>,
        began: Instant,
        span: Span,
    ) -> Result<Sending, SendError> {
        let deadline = began + self.inner.publisher.confirm_timeout() * TIMEOUTS;
        let mut permit = self.inner.guard.admit(&name)?;
        let prepared = tokio::select! {
            biased;
            prepared = self.prepare(draft) => prepared,
            refusal = permit.revoked(&name) => return Err(refusal),
        };
        let (task, id, publication, waiting) =
            prepared.inspect_err(|error| permit.failed_to_prepare(error))?;
        // Kept for another try.
        let publication = Arc::new(publication);
        let confirm = loop {
            let error = match self.inner.publisher.enqueue(publication.clone()).await {
                Ok(confirm) => break confirm,
                Err(error) => error,
            };
            permit.failed(&error);
            if !matches!(error, PublishError::NotSent { .. }) || Instant::now() >= deadline {
                return Err(SendError::Refused {
                    task,
                    source: error,
                });
            }
            if let Some(refusal) = self.inner.guard.refusal(&task) {
                return Err(refusal);
            }
            permit.renew();
        };
        permit.handed_over(&task);
        Ok(Sending {
            producer: self.inner.clone(),
            permit,
            deadline,
            task,
            id,
            publication,
            confirm,
            waiting,
            began,
            span,
        })
    }

    /// The message, and everything that it needs to be of use.
    async fn prepare(
        &self,
        draft: impl FnOnce() -> Result<Draft, SendError>,
    ) -> Result<(TaskName, TaskId, Publication, Option<Waiting>), SendError> {
        let (task, id, publication) = self.publication(draft()?).await?;
        let waiting = match &self.inner.replies {
            Some(replies) => Some(replies.expect(&id, task.service()).await?),
            None => None,
        };
        Ok((task, id, publication, waiting))
    }

    /// The task as a message with its address, delay levels declared if it needs them.
    async fn publication(
        &self,
        draft: Draft,
    ) -> Result<(TaskName, TaskId, Publication), SendError> {
        let now = Utc::now();
        let Draft {
            id,
            task,
            routing_key,
            content,
            due,
        } = draft;
        let mut publication = Publication {
            exchange: self.inner.names.tasks.clone(),
            routing_key,
            content,
        };
        let delay = due
            .and_then(|due| (due - now).to_std().ok())
            .filter(|delay| *delay >= SHORTEST_DELAY);
        if let Some(delay) = delay {
            publication.routing_key = delayed_key(delay, &publication.routing_key)?;
            publication.exchange = self.inner.names.delay_entry.clone();
            self.levels().await?;
        }
        Ok((task, id, publication))
    }

    /// The delay levels are declared where they are used.
    async fn levels(&self) -> Result<(), SendError> {
        let Inner {
            transport, names, ..
        } = &*self.inner;
        let declared = self.inner.levels.declare(&**transport, names).await;
        declared.map_err(SendError::Levels)
    }
}
