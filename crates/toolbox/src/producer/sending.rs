//! Between handing a task over and knowing that the broker has it.

use super::error::SendError;
use super::permit::Permit;
use super::replies::Waiting;
use super::result::RawHandle;
use super::send::Inner;
use crate::backoff::Backoff;
use crate::error::ErrorChain;
use crate::event::{Event, EventKind, FaultKind, TaskFault};
use crate::ids::TaskId;
use crate::message::{Content, sent_at};
use crate::names::TaskName;
use crate::sent::sending_id;
use crate::state::{Lineage, TaskState};
use crate::telemetry::trace::failed;
use crate::topology::names::event_key;
use crate::transport::{Confirm, Publication, PublishError, PublisherOptions};
use chrono::Utc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

/// How often a task is offered to a queue that is full.
const OFFERS: u32 = 5;

/// The publisher knows best what became of a message, unless older ones hold its answer up.
const GRACE: Duration = Duration::from_secs(1);

/// A task on its way: handed over, not confirmed. Dropping it does not take the task back.
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::producer::{RawTask, SendOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let producer = Producer::new(std::sync::Arc::new(broker), names);
/// let sending = producer.begin(RawTask::of(&Add { x: 2, y: 3 })?, SendOptions::new()).await?;
/// let id = sending.id().clone(); // known before the broker has answered
/// let handle = sending.confirmed().await?;
/// assert_eq!(*handle.id(), id);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a task has been sent only when it is confirmed"]
pub struct Sending {
    pub(super) producer: Arc<Inner>,
    pub(super) permit: Permit,
    pub(super) task: TaskName,
    pub(super) id: TaskId,
    pub(super) publication: Arc<Publication>,
    pub(super) confirm: Confirm,
    /// When trying again ends.
    pub(super) deadline: Instant,
    pub(super) waiting: Option<Waiting>,
    /// When its sender began.
    pub(super) began: Instant,
    pub(super) span: Span,
}

impl Sending {
    /// Id of the task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Waits until the broker has the task; what it did not accept is sent again, with the same id.
    ///
    /// When the circuit breaker opens meanwhile, a task that was certainly not sent is given up at
    /// once. One that the broker may have is tried on: only its confirm tells what became of it.
    ///
    /// # Errors
    /// See [`Producer::send`](super::Producer::send).
    ///
    /// # Cancel safety
    /// Cancelled, the task may still be sent.
    pub async fn confirmed(self) -> Result<RawHandle, SendError> {
        let (producer, began, span) = (self.producer.clone(), self.began, self.span.clone());
        let ended = self.until_confirmed().instrument(span.clone()).await;
        match &ended {
            Ok(_) => producer.metrics.confirmed(began),
            Err(error) => failed(&span, producer.metrics.failed(error, began)),
        }
        ended
    }

    async fn until_confirmed(mut self) -> Result<RawHandle, SendError> {
        let mut outcome = (&mut self.confirm).await;
        let backoff = Backoff::reconnect(Duration::from_secs(1));
        let (mut tries, mut nacks, mut doubtful) = (1, 0, false);
        let last = loop {
            let error = match outcome {
                Ok(()) => {
                    self.permit.succeeded();
                    if let Some(observer) = &self.producer.observer {
                        observer.sent(&self.publication);
                    }
                    return Ok(RawHandle::new(self.id, self.waiting));
                }
                Err(error) => error,
            };
            self.permit.failed(&error);
            let nacked = error == PublishError::Nacked;
            nacks += u32::from(nacked);
            // One try that may have been stored is enough to make the end unknown.
            doubtful |= !nacked && !error.is_certainly_not_sent();
            if nacks == 0
                && !doubtful
                && error.is_transient()
                && let Some(refusal) = self.producer.guard.refusal(&self.task)
            {
                return Err(refusal);
            }
            let again = Instant::now() + backoff.random_wait(tries);
            if !error.is_transient() || nacks == OFFERS || again >= self.deadline {
                break error;
            }
            tokio::time::sleep_until(again).await;
            self.permit.renew();
            outcome = self.once_more(again).await;
            tries += 1;
        };
        Err(self.given_up(last, nacks > 0, doubtful).await)
    }

    /// A nack means that a queue did not take the task; others may have.
    async fn given_up(mut self, source: PublishError, nacked: bool, doubtful: bool) -> SendError {
        if source == PublishError::Disconnected {
            self.permit.broker_failed(&source);
        }
        let full = source == PublishError::Nacked && !doubtful && self.is_rejected().await;
        let Self { task, id, .. } = self;
        if full {
            SendError::QueueFull { task, id }
        } else if nacked || doubtful {
            SendError::Unknown { task, id, source }
        } else {
            SendError::Refused { task, source }
        }
    }

    /// Tells the platform that the queue refused the task. `false`: it does not know, and may send the task
    /// again as one that was lost.
    async fn is_rejected(&self) -> bool {
        let report = Arc::new(self.producer.rejected(self));
        let (backoff, mut tries) = (Backoff::reconnect(Duration::from_secs(1)), 0);
        loop {
            let Err(error) = self.producer.report(report.clone()).await else {
                return true;
            };
            let again = Instant::now() + backoff.random_wait(tries);
            if !error.is_transient() || again >= self.deadline {
                let (task_id, error) = (&self.id, ErrorChain(&error));
                tracing::warn!(%task_id, %error, "the platform was not told of a refused task");
                return false;
            }
            tokio::time::sleep_until(again).await;
            tries += 1;
        }
    }

    async fn once_more(&self, now: Instant) -> Result<(), PublishError> {
        let publisher = &self.producer.publisher;
        let until = self.deadline.min(now + publisher.confirm_timeout());
        let sent = async {
            let confirm = publisher.enqueue_until(self.publication.clone(), until);
            confirm.await?.await
        };
        let after = until - now;
        let in_time = tokio::time::timeout_at(until + GRACE, sent).await;
        in_time.unwrap_or(Err(PublishError::ConfirmTimeout { after }))
    }
}

impl Inner {
    /// That a task which the platform has a copy of was refused by its queue: this sending of it, and no other.
    fn rejected(&self, sending: &Sending) -> Publication {
        let Sending { id, task, .. } = sending;
        let state = TaskState::Rejected;
        let (first, kind) = (Lineage::default(), EventKind::State(state));
        let mut event = Event::new(id.clone(), task.clone(), first, kind, Utc::now());
        let sent_at = sent_at(&sending.publication.content.headers);
        event.event_id = sending_id(id, sent_at.unwrap_or(event.at), state);
        event.error = Some(TaskFault::new(FaultKind::QueueFull, "the queue is full"));
        let mut content = Content::json(serde_json::to_vec(&[event]).expect("events are JSON"));
        content.properties.message_id = Some(TaskId::random().as_str().into());
        Publication {
            exchange: self.names.events.clone(),
            routing_key: event_key(task.service()),
            content,
        }
    }

    async fn report(&self, report: Arc<Publication>) -> Result<(), PublishError> {
        let open = || self.transport.publisher(PublisherOptions::mandatory());
        let reporter = self.reporter.get_or_init(open);
        reporter.enqueue(report).await?.await
    }
}
