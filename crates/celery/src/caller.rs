//! Whoever waits for a result at a queue of its own, and the way there.

use crate::reply::Reply;
use counterfoil_toolbox::answer::{self, Answer};
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::Publication;
use counterfoil_worker::extension::{Message, Subject};
use uuid::Uuid;

/// How answers come to callers.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// The worker writes to their queues.
    Direct,
    /// The platform's daemon passes them on, which reads this exchange.
    Platform(ExchangeName),
    /// They get none.
    None,
}

/// Somebody who waits for a result.
#[derive(Debug, Clone)]
pub(crate) enum Caller<'a> {
    /// At this queue, to which the worker writes.
    At(&'a str),
    /// At the queue of this name, to which the daemon passes on what it reads.
    Behind {
        /// Where it reads.
        events: ExchangeName,
        /// In whose name it is told.
        key: RoutingKey,
        /// The name.
        queue: Uuid,
    },
}

impl Way {
    /// To whoever waits at this queue. `None`: there is no way.
    pub(crate) fn to<'a>(&self, queue: Option<&'a str>, task: &Subject<'_>) -> Option<Caller<'a>> {
        let queue = queue?;
        match self {
            Self::Direct => Some(Caller::At(queue)),
            Self::Platform(events) => {
                let Some(queue) = answer::caller(queue) else {
                    let task_id = &task.envelope.id;
                    tracing::debug!(%task_id, queue, "the daemon passes no answer on to a queue that is not called by a UUID");
                    return None;
                };
                Some(Caller::Behind {
                    events: events.clone(),
                    key: event_key(task.service),
                    queue,
                })
            }
            Self::None => None,
        }
    }
}

impl Caller<'_> {
    /// The message that tells it this. A caller declares its queue itself: where it is gone, nobody wants the answer.
    ///
    /// # Errors
    /// When no queue can have that name.
    pub(crate) fn publication(&self, reply: &Reply<'_>) -> Result<Publication, String> {
        let body = serde_json::to_vec(reply).map_err(|error| error.to_string())?;
        match self {
            Self::At(queue) => {
                let queue = RoutingKey::new(queue).map_err(|error| error.to_string())?;
                Ok(answer::to_caller(queue, reply.task_id, body))
            }
            Self::Behind { events, key, queue } => Ok(Publication {
                exchange: events.clone(),
                routing_key: key.clone(),
                content: Answer::new(reply.task_id.clone(), *queue, body)?.write(),
            }),
        }
    }

    /// [`Self::publication`], to be sent.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn message(&self, reply: &Reply<'_>) -> Result<Message, String> {
        Ok(Message::Answer {
            publication: self.publication(reply)?,
            instead: None,
        })
    }
}
