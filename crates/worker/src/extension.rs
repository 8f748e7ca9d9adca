//! What else is said about tasks: for those who speak with a task's sender, or its successors, in a protocol of their
//! own.
//!
//! An [`Extension`] is asked at every step of a task's life. What it has to send because of the step is with the broker
//! before the task's end is told and its message acknowledged: a worker that crashes in between sends it once more,
//! and none of it is lost.

use crate::held::Held;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{Progress, TaskFault};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::{Envelope, Payload};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::transport::Publication;
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

/// Says more about tasks than the worker does by itself: see [`WorkerBuilder::extension`](crate::WorkerBuilder::extension).
pub trait Extension: fmt::Debug + Send + Sync + 'static {
    /// What is to be sent because of a step, in this order. Asked when a task has ended, and when it is to be retried.
    /// It is asked again, and all is sent again, where the end could not be told: messages that are tasks should have
    /// ids which follow from the task's own.
    ///
    /// # Errors
    /// Why it cannot be said what is to be sent. The task then fails with this, and its message is kept in the dead queue.
    fn messages(&self, task: &Subject<'_>, step: &Step<'_>) -> Result<Vec<Message>, String>;

    /// Told of every step when it is taken. It must return at once: others wait meanwhile.
    fn heard(&self, task: &Subject<'_>, step: &Step<'_>) {
        let _ = (task, step);
    }
}

/// A task of which something is said.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its headers.
    pub envelope: &'a Envelope,
    /// Its arguments, and what is to happen after it. `None`: they cannot be read.
    pub payload: Option<&'a Payload>,
    /// The queue that it came by.
    pub queue: &'a QueueName,
    /// The exchange that it was published to.
    pub exchange: &'a ExchangeName,
    /// With this key.
    pub routing_key: &'a RoutingKey,
    /// Who has it.
    pub worker: &'a WorkerId,
    /// Which attempt of it this is.
    pub lineage: Lineage,
    /// How long its handler ran. `None`: it has not ended, or was not started.
    pub ran_for: Option<Duration>,
}

/// A step in the life of a task.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// It is in the worker's hands, and waits for a place.
    Received,
    /// Its handler was started.
    Started,
    /// Its handler says how far it is.
    Progress(&'a Progress),
    /// It is to run again, after this and so much time.
    Retried(&'a TaskFault, Duration),
    /// It left this worker as it came: somebody else runs it, or this worker later.
    PutOff,
    /// It succeeded with this output; `None`: null.
    Succeeded(Option<&'a RawValue>),
    /// It will not be tried again.
    Failed(&'a TaskFault),
    /// It was cancelled, or its time was over.
    Revoked(&'a TaskFault),
}

/// Something to send.
#[derive(Debug, Clone)]
pub enum Message {
    /// Another task that follows. The worker does not rest until the broker has it.
    Task {
        /// The task, addressed as if it were due.
        publication: Publication,
        /// When it is due. `None`: now.
        due: Option<DateTime<Utc>>,
    },
    /// Word for somebody who may not be there any more. It is sent until the broker has it or refuses it, which is
    /// logged and has no other consequence.
    Answer(Publication),
}

impl<'a> Subject<'a> {
    pub(crate) fn of(
        held: &'a Held,
        worker: &'a WorkerId,
        executions: i32,
        ran_for: Option<Duration>,
    ) -> Self {
        Self {
            envelope: &held.envelope,
            payload: held.payload.as_ref().ok(),
            queue: &held.queue,
            exchange: &held.exchange,
            routing_key: &held.routing_key,
            worker,
            lineage: held.lineage(executions),
            ran_for,
        }
    }
}
