//! From deliveries to what the database is told. Nothing here can fail: what cannot be read is
//! set aside with the reason.

pub(crate) mod celery;
mod copies;
mod deaths;
mod events;
mod heartbeats;
pub(crate) mod marker;

pub use deaths::dead_letter;
pub(crate) use events::read as events;

use crate::feeds::Feed;
use crate::said::{Listener, Meaning, Rows};
use celery::Said;
use chrono::{DateTime, Utc};
use counterfoil_store::{
    Batch, CanaryPlace, DeadLetter, MarkerPlace, Parked, Seen, StoredMessage, TrackingCopy,
    WorkerSeen,
};
use counterfoil_toolbox::answer::Answer;
use counterfoil_toolbox::chord::Chord;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::names::DELIVERY_COUNT;
use counterfoil_toolbox::message::{Content, Envelope};
use counterfoil_toolbox::names::{CANARY, TaskName};
use counterfoil_toolbox::revoked::Revoked;
use counterfoil_toolbox::session::{Inquiry, Opening};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::Delivery;
use uuid::Uuid;

/// Why a task of such a name that is no canary and no marker is refused.
const RESERVED: &str = "names that begin with platform are reserved";

/// One thing that a message tells.
#[derive(Debug)]
pub(crate) enum Record {
    /// A task was scheduled, or nobody owns it.
    Copy(Box<TrackingCopy>),
    /// Something happened to a task, as the event's service says: that of the message's key.
    Event(Box<Event>),
    /// A worker of Celery's said something of a task, whose row tells which attempt it is about.
    Said(Box<Said>),
    /// A session was opened, by this message.
    Opening(Box<(Opening, StoredMessage)>),
    /// A worker asks what has become of a session, and was heard at this time of the database's clock, by which
    /// answers come too late. `None`: nobody has looked yet.
    Inquiry(Inquiry, Option<DateTime<Utc>>),
    /// A worker of this service waits for a group of tasks.
    Chord(Box<(Chord, Box<str>, StoredMessage)>),
    /// A worker of this service answers somebody who waits for the result of a task.
    Answer(Box<(Answer, Box<str>, StoredMessage)>),
    /// Tasks were revoked at one worker, of this service.
    Revoked(Box<(Revoked, Box<str>, StoredMessage)>),
    /// A message died.
    Dead(Box<DeadLetter>),
    /// A message cannot be read.
    Parked(Box<Parked>),
    /// A worker lives.
    Worker(Box<WorkerSeen>),
    /// A canary came through.
    Canary(Uuid, CanaryPlace),
    /// A marker came through.
    Marker(Uuid, MarkerPlace),
}

impl Record {
    /// Adds it to what one transaction writes. Questions are, once it is known when they were heard, and what Celery's
    /// workers said once it is an event. Answers are for others.
    pub(crate) fn add_to(&self, batch: &mut Batch) {
        match self {
            Self::Copy(copy) => batch.track(copy),
            Self::Event(event) => batch.event(event),
            Self::Opening(opening) => batch.open_session(&opening.0),
            Self::Chord(chord) => batch.chord(&chord.0, &chord.1),
            Self::Revoked(revoked) => batch.revoked_by_celery(&revoked.0.ids),
            Self::Inquiry(inquiry, Some(at)) => batch.inquire(inquiry, *at),
            Self::Inquiry(_, None) | Self::Said(_) | Self::Answer(_) => {}
            Self::Dead(dead) => batch.dead((**dead).clone()),
            Self::Parked(parked) => batch.park((**parked).clone()),
            Self::Worker(worker) => batch.worker((**worker).clone()),
            Self::Canary(id, place) => batch.canary(*id, *place),
            Self::Marker(id, place) => batch.marker(*id, *place),
        }
    }

    /// What is kept of a record that the database refuses.
    pub(crate) fn into_parked(self, queue: &str, reason: String) -> Option<Parked> {
        let (task_id, name, message) = match self {
            Self::Copy(copy) => (
                Some(copy.envelope.id),
                Some(copy.envelope.name),
                copy.message,
            ),
            Self::Event(event) => return Some(parked_event(&event, queue, reason)),
            Self::Said(said) => (Some(said.task_id), None, said.message),
            Self::Opening(opening) => (None, None, opening.1),
            Self::Chord(chord) => (Some(chord.0.parent_id), None, chord.2),
            Self::Answer(answer) => (Some(answer.0.task_id().clone()), None, answer.2),
            Self::Revoked(revoked) => (None, None, revoked.2),
            Self::Dead(dead) => (dead.task_id, None, dead.message),
            Self::Parked(parked) => (None, None, parked.message),
            // Another sign of life follows, a canary that is not seen is reported anyway, and whoever is not answered
            // goes on without.
            Self::Worker(_) | Self::Inquiry(..) | Self::Canary(..) | Self::Marker(..) => {
                return None;
            }
        };
        Some(Parked {
            queue: queue.into(),
            reason: reason.into(),
            task_id,
            name: name.map(|name: TaskName| name.as_str().into()),
            message,
            waits: false,
        })
    }

    /// What is parked, if something is.
    pub(crate) fn parked(&self) -> Option<&Parked> {
        match self {
            Self::Parked(parked) => Some(parked),
            Self::Copy(_)
            | Self::Event(_)
            | Self::Said(_)
            | Self::Opening(_)
            | Self::Chord(_)
            | Self::Answer(_)
            | Self::Revoked(_)
            | Self::Inquiry(..)
            | Self::Dead(_)
            | Self::Worker(_)
            | Self::Canary(..)
            | Self::Marker(..) => None,
        }
    }

    /// What a worker of Celery's said, if that is what it tells.
    pub(crate) fn said(&self) -> Option<&Said> {
        match self {
            Self::Said(said) => Some(said),
            Self::Copy(_)
            | Self::Event(_)
            | Self::Opening(_)
            | Self::Chord(_)
            | Self::Answer(_)
            | Self::Revoked(_)
            | Self::Inquiry(..)
            | Self::Dead(_)
            | Self::Parked(_)
            | Self::Worker(_)
            | Self::Canary(..)
            | Self::Marker(..) => None,
        }
    }

    /// What a worker of Celery's said as an event of ours, or as what is kept of it while nobody knows its task. `None`: it
    /// is something else, or of a service that Celery's workers do not run, and nothing comes of it.
    pub(crate) fn meant(&self, queue: &str, rows: &Rows, listener: &mut Listener) -> Option<Self> {
        let said = self.said()?;
        match listener.meaning(said, rows.get(&said.task_id)) {
            Meaning::Event(event) => Some(Self::Event(event)),
            Meaning::TooEarly => Some(Self::Parked(Box::new(celery::too_early(said, queue)))),
            Meaning::NotTheirs => None,
        }
    }

    /// The tasks of which somebody says something who may have no say in them.
    pub(crate) fn judged(&self) -> &[TaskId] {
        match self {
            Self::Event(event) => std::slice::from_ref(&event.task_id),
            Self::Answer(answer) => std::slice::from_ref(answer.0.task_id()),
            Self::Revoked(revoked) => &revoked.0.ids,
            Self::Copy(_)
            | Self::Said(_)
            | Self::Opening(_)
            | Self::Chord(_)
            | Self::Inquiry(..)
            | Self::Dead(_)
            | Self::Parked(_)
            | Self::Worker(_)
            | Self::Canary(..)
            | Self::Marker(..) => &[],
        }
    }

    /// What happened to a task, if that is what it tells.
    pub(crate) fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Copy(_)
            | Self::Said(_)
            | Self::Opening(_)
            | Self::Chord(_)
            | Self::Answer(_)
            | Self::Revoked(_)
            | Self::Inquiry(..)
            | Self::Dead(_)
            | Self::Parked(_)
            | Self::Worker(_)
            | Self::Canary(..)
            | Self::Marker(..) => None,
        }
    }
}

/// An event, set aside as a batch of its own.
pub(crate) fn parked_event(event: &Event, queue: &str, reason: String) -> Parked {
    Parked {
        queue: queue.into(),
        reason: reason.into(),
        task_id: Some(event.task_id.clone()),
        name: Some(event.task.as_str().into()),
        message: StoredMessage {
            exchange: "".into(),
            routing_key: event_key(&event.service).as_str().into(),
            content: Content::json(serde_json::to_vec(&[event]).unwrap_or_default()),
        },
        waits: false,
    }
}

/// Reads one message. Its content is taken out of the delivery, which is left to be settled.
pub(crate) fn read(feed: Feed, delivery: &mut Delivery, names: &Names, out: &mut Vec<Record>) {
    let message = stored(delivery);
    read_message(feed, delivery.queue.as_str(), message, names, out);
}

/// The same for a message that came out of `queue` before.
pub(crate) fn read_message(
    feed: Feed,
    queue: &str,
    message: StoredMessage,
    names: &Names,
    out: &mut Vec<Record>,
) {
    match feed {
        Feed::Tracking | Feed::Expired => copies::read(queue, message, Seen::Scheduled, out),
        Feed::Unroutable => copies::read(queue, message, Seen::Unroutable, out),
        Feed::Events => events::read(queue, message, out),
        Feed::Deaths => deaths::read(message, names, out),
        Feed::Heartbeats => heartbeats::read(&message, out),
        Feed::Celery => celery::read(queue, message, out),
    }
}

fn stored(delivery: &mut Delivery) -> StoredMessage {
    let mut content = std::mem::take(&mut delivery.content);
    // How often the platform's own queue delivered it: not a property of the message.
    content.headers.retain(|name| name != DELIVERY_COUNT);
    StoredMessage {
        exchange: delivery.exchange.as_str().into(),
        routing_key: delivery.routing_key.as_str().into(),
        content,
    }
}

fn parked(
    queue: &str,
    reason: impl Into<Box<str>>,
    envelope: Option<&Envelope>,
    message: StoredMessage,
) -> Record {
    Record::Parked(Box::new(Parked {
        queue: queue.into(),
        reason: reason.into(),
        task_id: envelope.map(|envelope| envelope.id.clone()),
        name: envelope.map(|envelope| envelope.name.as_str().into()),
        message,
        waits: false,
    }))
}
