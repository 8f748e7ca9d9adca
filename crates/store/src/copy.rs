//! A tracking copy: the message of a task as the platform saw it go by.

use crate::json::JsonText;
use crate::merge::{Fill, StateColumns, TaskChange};
use crate::stored::{StoredMessage, properties_to_json, senders_headers_to_json};
use crate::text::{INDEXED, boxed};
use crate::time::clamped;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::delay::{addressee, delay_of};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::retention::within_limits;
use counterfoil_toolbox::sent::sending_id;
use counterfoil_toolbox::state::{Lineage, StateKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// Name space of the ids of history lines that are derived from messages.
const LINES: Uuid = Uuid::from_u128(0x6f2d_1c1e_54b0_4f39_9a55_0d0c_91f7_2b6e);

/// A copy of a task's message, as it came from one of the platform's queues.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackingCopy {
    /// What its headers say.
    pub envelope: Envelope,
    /// `{"args": […], "kwargs": {…}}`; `None` when the body is not a task's. What `jsonb` cannot
    /// hold is left out of the row; the body keeps it.
    pub input: Option<String>,
    /// The message, with the address that it was published to.
    pub message: StoredMessage,
    /// In which queue it lay.
    pub seen: Seen,
}

/// What a copy of a message says about its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// It was scheduled: the copy in the tracking queue.
    Scheduled,
    /// No service owns its key: the copy in the queue for those.
    Unroutable,
}

impl Seen {
    const fn state(self) -> TaskState {
        match self {
            Self::Scheduled => TaskState::Pending,
            Self::Unroutable => TaskState::Unroutable,
        }
    }
}

/// Which copy describes a task: that of the latest attempt. Equal attempts are told apart by their
/// content (a delayed message passes by twice, with two keys), so that no order of arrival matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyKey {
    /// See [`Lineage::run`].
    pub run: i32,
    /// See [`Lineage::rescue`].
    pub rescue: i32,
    /// See [`Lineage::executions`].
    pub executions: i32,
    /// First bytes of a hash of address and content.
    pub digest: i64,
}

/// Columns that follow the tracking copy.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyColumns {
    /// Which copy they come from.
    pub key: CopyKey,
    /// Type of the task.
    pub name: TaskName,
    /// The arguments.
    pub input: Option<JsonText>,
    /// What the sender set, as a JSON object.
    pub options: String,
    /// The body, as it was on the wire.
    pub body: bytes::Bytes,
    /// The headers, as a JSON object.
    pub headers: String,
    /// The properties, as a JSON object.
    pub properties: String,
    /// Exchange that it was published to.
    pub exchange: Box<str>,
    /// Key that it was published with.
    pub routing_key: Box<str>,
    /// Service whose queue that key leads to.
    pub addressee: Box<str>,
    /// See [`Envelope::creator_id`].
    pub creator_id: Option<Box<str>>,
    /// Type of the object that the task is about.
    pub related_content_type: Option<Box<str>>,
    /// Id of that object.
    pub related_object_id: Option<Box<str>>,
    /// See [`Envelope::identifier`].
    pub identifier: Option<Box<str>>,
    /// See [`Envelope::parent_id`].
    pub parent_id: Option<TaskId>,
    /// See [`Envelope::root_id`].
    pub root_id: TaskId,
    /// See [`Envelope::session_id`].
    pub session_id: Option<Box<str>>,
    /// See [`Envelope::is_result`].
    pub is_result: bool,
    /// See [`Envelope::retention`].
    pub retention: Option<Duration>,
    /// See [`Envelope::eta`].
    pub eta: Option<DateTime<Utc>>,
    /// See [`Envelope::expires`].
    pub expires: Option<DateTime<Utc>>,
}

impl TrackingCopy {
    /// The attempt that the message is. How often the platform's own queue delivered the copy says
    /// nothing about the task.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        Lineage {
            deliveries: self.envelope.deliveries_before,
            ..self.envelope.lineage
        }
    }

    /// The history lines that the copy stands for: scheduled (or unroutable), and before that, when
    /// it is a retry of a worker that does not report it, the retry of the execution before. One of ours
    /// says itself whether the retry counts, before it acknowledges.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Uuid, Lineage, TaskState)> {
        let lineage = self.lineage();
        let line =
            |lineage: Lineage, state: TaskState| (self.line_id(lineage, state), lineage, state);
        let untold = is_retry(lineage) && !self.is_by_a_reporting_worker();
        let retry = untold.then(|| Lineage {
            executions: lineage.executions - 1,
            ..lineage
        });
        let retry = retry.map(|before| line(before, TaskState::Retry));
        std::iter::once(line(lineage, self.seen.state())).chain(retry)
    }

    /// Id of a line that the copy stands for. A task that was refused may be sent again as the same attempt, so
    /// there each sending counts by itself; copies of one sending say the same.
    fn line_id(&self, lineage: Lineage, state: TaskState) -> Uuid {
        let id = &self.envelope.id;
        let is_first = state == TaskState::Pending && lineage == Lineage::default();
        match self.envelope.sent_at.filter(|_| is_first) {
            Some(sent_at) => sending_id(id, sent_at, state),
            None => line_id(id, lineage, state),
        }
    }

    /// The copy as a change of its task.
    pub(crate) fn change(&self) -> TaskChange {
        let columns = self.columns(self.lineage());
        TaskChange {
            task_id: self.envelope.id.clone(),
            state: self.state(),
            fill: Fill {
                name: columns.name.clone(),
                parent_id: columns.parent_id.clone(),
                root_id: Some(columns.root_id.clone()),
                session_id: columns.session_id.clone(),
            },
            copy: Some(Box::new(columns)),
            delayed_until: self.delayed_until(),
            delay_bits: self.delay_bits(),
        }
    }

    /// Which delay levels keep it on its way: the broker holds a message in those alone whose bits are set, for as
    /// long as it takes, whatever clocks say and however often it is away.
    fn delay_bits(&self) -> i32 {
        let delay = delay_of(&self.message.routing_key).unwrap_or_default();
        i32::try_from(delay.as_secs()).unwrap_or(i32::MAX)
    }

    /// When it comes out of the delay levels, if it went into them: by the clocks of its sender, which
    /// are not exact.
    fn delayed_until(&self) -> Option<DateTime<Utc>> {
        let delay = TimeDelta::from_std(delay_of(&self.message.routing_key)?).ok()?;
        let sent_at = self.message.content.properties.timestamp;
        let sent_at = sent_at.and_then(|at| DateTime::from_timestamp(i64::try_from(at).ok()?, 0));
        // The time of sending is in whole seconds.
        let comes_out = sent_at.and_then(|at| at.checked_add_signed(delay + TimeDelta::seconds(1)));
        comes_out.max(self.envelope.eta).map(clamped)
    }

    /// The state that the copy puts its task into: a copy of a retry says that the execution before
    /// it will be repeated, and when.
    fn state(&self) -> StateColumns {
        let (lineage, state) = (self.lineage(), self.seen.state());
        if state != TaskState::Pending || !is_retry(lineage) {
            // Who does not tell when he sent it has said nothing that is later than what others say.
            let is_dated = state != TaskState::Pending || self.envelope.sent_at.is_some();
            let id = is_dated.then(|| self.line_id(lineage, state));
            let id = id.unwrap_or_default();
            return StateColumns::bare(StateKey::new(lineage, state, id), state);
        }
        let retry_at = self.envelope.eta.map(clamped);
        // The lowest ids: whatever else is said of the same step comes first.
        let micros = retry_at.map_or(0, |at| at.timestamp_micros().unsigned_abs());
        let id = Uuid::from_u64_pair(0, micros);
        let key = if self.is_by_a_reporting_worker() {
            // What the worker itself reports of its retry, the error too, comes first.
            let tries = self.envelope.tries_before.min(lineage.executions - 1);
            let before = Lineage {
                executions: lineage.executions - 1 - tries,
                tries,
                ..lineage
            };
            StateKey::new(before, TaskState::Retry, id)
        } else {
            // A copy does not tell which delivery of the execution before it was retried, and nobody
            // else will: in the order of merging only the coming execution lies above all of them.
            StateKey::new(lineage, TaskState::Pending, id)
        };
        StateColumns {
            retry_at,
            ..StateColumns::bare(key, TaskState::Retry)
        }
    }

    /// Whether one of our workers sent it, which reports its retries, and not one of Celery's.
    fn is_by_a_reporting_worker(&self) -> bool {
        self.message.content.headers.text("lang") == Some("rs")
    }

    fn columns(&self, lineage: Lineage) -> CopyColumns {
        let envelope = &self.envelope;
        let indexed = |text: &Option<Box<str>>| text.as_deref().map(|text| boxed(text, INDEXED));
        let related = envelope.related_parts();
        let headers = senders_headers_to_json(&self.message.content.headers);
        let properties = properties_to_json(&self.message.content.properties);
        CopyColumns {
            key: CopyKey {
                run: lineage.run,
                rescue: lineage.rescue,
                executions: lineage.executions,
                digest: first_bytes(digest(&self.message, &headers, &properties)),
            },
            name: envelope.name.clone(),
            input: self.input.as_deref().and_then(JsonText::storable),
            options: options_to_json(envelope),
            body: self.message.content.body.clone(),
            headers,
            properties,
            exchange: boxed(&self.message.exchange, INDEXED),
            routing_key: boxed(&self.message.routing_key, INDEXED),
            addressee: addressee(&boxed(&self.message.routing_key, INDEXED)).into(),
            creator_id: indexed(&envelope.creator_id),
            related_content_type: related.map(|(kind, _)| boxed(kind, INDEXED)),
            related_object_id: related.map(|(_, id)| boxed(id, INDEXED)),
            identifier: indexed(&envelope.identifier),
            parent_id: envelope.parent_id.clone(),
            root_id: envelope.root_id.clone(),
            session_id: indexed(&envelope.session_id),
            is_result: envelope.is_result,
            retention: envelope.retention.map(within_limits),
            eta: envelope.eta.map(clamped),
            expires: envelope.expires.map(clamped),
        }
    }
}

/// Whether the message says for the first time that the execution before it is repeated: one that was
/// delivered and put off since says only that.
const fn is_retry(attempt: Lineage) -> bool {
    attempt.executions > 0 && attempt.deliveries == 0
}

/// Hash of address and content. What the broker adds when it delivers again does not count.
pub(crate) fn message_digest(message: &StoredMessage) -> [u8; 32] {
    let headers = senders_headers_to_json(&message.content.headers);
    let properties = properties_to_json(&message.content.properties);
    digest(message, &headers, &properties)
}

fn digest(message: &StoredMessage, headers: &str, properties: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [
        &*message.exchange,
        &*message.routing_key,
        headers,
        properties,
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(&message.content.body);
    hash.finalize().into()
}

fn first_bytes(hash: [u8; 32]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = hash;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Id of a history line that a message stands for: the same whenever the message is seen again.
///
/// It begins with the time in the task's id, where there is one, so that the ids of lines that are
/// written together lie together in the index; the rest is a hash.
pub(crate) fn line_id(task_id: &TaskId, lineage: Lineage, state: TaskState) -> Uuid {
    let Lineage {
        run,
        rescue,
        executions,
        deliveries,
        tries,
    } = lineage;
    let tries = match tries {
        0 => String::new(),
        tries => format!(".{tries}"),
    };
    // The id comes last: it may hold any character.
    let name = format!("{run}.{rescue}.{executions}.{deliveries}{tries} {state} {task_id}");
    let hash = Uuid::new_v5(&LINES, name.as_bytes());
    match task_id.as_uuid().filter(|id| id.get_version_num() == 7) {
        None => hash,
        Some(id) => {
            let mut bytes = hash.into_bytes();
            bytes[..6].copy_from_slice(&id.as_bytes()[..6]);
            uuid::Builder::from_custom_bytes(bytes).into_uuid()
        }
    }
}

/// What the sender set, without what has a column of its own.
fn options_to_json(envelope: &Envelope) -> String {
    let mut options = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    let time = |at: DateTime<Utc>| Value::from(crate::time::to_text(clamped(at)));
    let text = |text: &str| Value::from(&*boxed(text, INDEXED));
    let limits = envelope.time_limits;
    set("retries", Some(envelope.retries.into()));
    set("eta", envelope.eta.map(time));
    set("expires", envelope.expires.map(time));
    if limits.hard.is_some() || limits.soft.is_some() {
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
        set(
            "timelimit",
            Some(serde_json::json!([
                seconds(limits.hard),
                seconds(limits.soft)
            ])),
        );
    }
    set("ignore_result", envelope.ignore_result.map(Value::from));
    set("max_retries", envelope.max_retries.map(Value::from));
    set("priority", envelope.priority.map(Value::from));
    set("reply_to", envelope.reply_to.as_deref().map(text));
    set("origin", envelope.origin.as_deref().map(text));
    Value::Object(options).to_string()
}
