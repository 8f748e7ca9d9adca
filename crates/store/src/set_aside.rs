//! Messages that are kept apart: unreadable ones (parked), and those of the dead queues.

use crate::copy::message_digest;
use crate::stored::StoredMessage;
use crate::text::{INDEXED, LINE, boxed};
use crate::time::clamped;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use uuid::Uuid;

/// Name space of the ids of messages that are set aside.
const SET_ASIDE: Uuid = Uuid::from_u128(0xb1a9_5f04_3e0d_4c55_8f3b_52a8_0e6c_9d17);

/// A message that cannot become rows, kept as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// Queue that it was read from.
    pub queue: Box<str>,
    /// Why it is parked, as half a sentence for people.
    pub reason: Box<str>,
    /// The task, when at least that could be read.
    pub task_id: Option<TaskId>,
    /// Type of the task, when that could be read.
    pub name: Option<Box<str>>,
    /// The message.
    pub message: StoredMessage,
    /// Whether it is a report that waits for the tracking copy of its task.
    pub waits: bool,
}

impl Parked {
    /// Id of the record: the same whenever the same message is parked again, so that a redelivery
    /// is not counted twice. Equal messages share a record, which counts how often it was seen.
    #[must_use]
    pub fn id(&self) -> Uuid {
        record_id("parked", &self.queue, "", &self.message)
    }

    /// The same with text that any column holds.
    pub(crate) fn cleaned(self) -> Self {
        Self {
            queue: boxed(&self.queue, INDEXED),
            reason: boxed(&self.reason, LINE),
            task_id: self.task_id,
            name: self.name.map(|name| boxed(&name, INDEXED)),
            message: self.message.cleaned(),
            waits: self.waits,
        }
    }
}

/// A message of a dead queue, as the platform's copy of it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Service whose dead queue holds the message.
    pub service: Box<str>,
    /// Why it died: an error kind, or the broker's word.
    pub reason: Box<str>,
    /// One line that goes with the reason.
    pub reason_text: Option<Box<str>>,
    /// The task, when that could be read.
    pub task_id: Option<TaskId>,
    /// Type of the task, when that could be read.
    pub name: Option<Box<str>>,
    /// The attempt that died.
    pub lineage: Lineage,
    /// When it died, if the message says so.
    pub died_at: Option<DateTime<Utc>>,
    /// The message.
    pub message: StoredMessage,
}

impl DeadLetter {
    /// Id of the record: the same whenever the same death is told again.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let at = self.died_at.map_or(0, |at| at.timestamp_micros());
        let cause = format!("{} {at}", self.reason);
        record_id("dead", &self.service, &cause, &self.message)
    }

    /// The same with text and times that any column holds.
    pub(crate) fn cleaned(self) -> Self {
        Self {
            service: boxed(&self.service, INDEXED),
            reason: boxed(&self.reason, INDEXED),
            reason_text: self.reason_text.map(|text| boxed(&text, LINE)),
            task_id: self.task_id,
            name: self.name.map(|name| boxed(&name, INDEXED)),
            lineage: self.lineage,
            died_at: self.died_at.map(clamped),
            message: self.message.cleaned(),
        }
    }
}

/// That people took messages out of a dead queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Handled {
    pub(crate) letter: DeadLetter,
    /// How many of these messages.
    pub(crate) messages: i64,
}

fn record_id(what: &str, place: &str, reason: &str, message: &StoredMessage) -> Uuid {
    let mut name = format!("{what}\0{place}\0{reason}\0").into_bytes();
    name.extend_from_slice(&message_digest(message));
    Uuid::new_v5(&SET_ASIDE, &name)
}
