//! Copies of messages that died: always a dead letter, and where the broker made it, what that
//! means for the task. A worker that gives up reports on the task itself.

use super::{CANARY, Record};
use chrono::{DateTime, Utc};
use counterfoil_store::{DeadLetter, StoredMessage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::message::names::{REASON, REASON_TEXT};
use counterfoil_toolbox::message::{Envelope, Headers, TaskMessage};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::{Names, SERVICE_DELIVERY_LIMIT};
use uuid::Uuid;

/// Name space of the ids of events that follow from deaths.
const DEATHS: Uuid = Uuid::from_u128(0x3c0e_58a1_9d44_4a0f_8a57_61c5_2f0b_7d29);

pub(super) fn read(message: StoredMessage, names: &Names, out: &mut Vec<Record>) {
    let (event, letter) = understood(message, names);
    out.extend(event.map(|event| Record::Event(Box::new(event))));
    out.push(Record::Dead(Box::new(letter)));
}

/// A message of a service's dead queue as the platform records it: the same record, with the same id,
/// as the daemon makes of its own copy.
#[must_use]
pub fn dead_letter(message: StoredMessage, names: &Names) -> DeadLetter {
    understood(message, names).1
}

/// What happened to the task, unless a worker says that itself, and the dead letter.
fn understood(message: StoredMessage, names: &Names) -> (Option<Event>, DeadLetter) {
    let death = Death::of(&message, names);
    let envelope = match TaskMessage::decode(&message.content) {
        Ok(task) => Some(task.envelope),
        Err(undecodable) => undecodable.envelope.map(|envelope| *envelope),
    };
    let lineage = envelope.as_ref().map(|envelope| Lineage {
        deliveries: death
            .cause
            .deliveries()
            .saturating_add(envelope.deliveries_before),
        ..envelope.lineage
    });
    let event = envelope
        .as_ref()
        .zip(lineage)
        .and_then(|(envelope, lineage)| death.event(envelope, lineage, &message.routing_key));
    let said = death.cause.meaning().map(|(_, fault)| fault.message.into());
    let letter = DeadLetter {
        service: message.routing_key.clone(),
        reason: death.cause.as_str().into(),
        reason_text: death.text.or(said),
        task_id: envelope.as_ref().map(|envelope| envelope.id.clone()),
        name: envelope.map(|envelope| envelope.name.as_str().into()),
        lineage: lineage.unwrap_or_default(),
        died_at: death.at,
        message,
    };
    (event, letter)
}

/// How a message came to its end.
#[derive(Debug, PartialEq)]
struct Death {
    cause: Cause,
    text: Option<Box<str>>,
    at: Option<DateTime<Utc>>,
}

#[derive(Debug, PartialEq)]
enum Cause {
    /// A worker of ours gave up, for this reason.
    Reported(Box<str>),
    /// The broker gave up: every delivery ended with a lost worker.
    DeliveryLimit,
    /// The broker threw it away: its time was over.
    Expired,
    /// A foreign worker did not want it.
    Rejected,
    /// Another word of the broker's.
    Other(Box<str>),
}

impl Death {
    fn of(message: &StoredMessage, names: &Names) -> Self {
        let headers = &message.content.headers;
        if let Some(entry) = entry_of(headers, &message.routing_key, names) {
            return Self {
                cause: Cause::of_broker(entry.text("reason").unwrap_or("unknown")),
                text: None,
                at: entry.time("time"),
            };
        }
        Self {
            cause: Cause::Reported(headers.text(REASON).unwrap_or("unknown").into()),
            text: headers.text(REASON_TEXT).map(Into::into),
            at: None,
        }
    }

    /// What the death means for the task, as said by `service`: its user may publish such messages
    /// too, so this is judged like a report of its workers. `None` when one of those says it.
    fn event(&self, envelope: &Envelope, lineage: Lineage, service: &str) -> Option<Event> {
        let (state, fault) = self.cause.meaning()?;
        if envelope.name == CANARY {
            return None;
        }
        let at = self.at.unwrap_or_else(Utc::now);
        let kind = EventKind::State(state);
        let mut event = Event::new(
            envelope.id.clone(),
            envelope.name.clone(),
            lineage,
            kind,
            at,
        );
        event.event_id = event_id(&event);
        event.service = service.into();
        event.parent_id.clone_from(&envelope.parent_id);
        event.root_id = Some(envelope.root_id.clone());
        event.session_id.clone_from(&envelope.session_id);
        event.error = Some(fault);
        Some(event)
    }
}

impl Cause {
    fn of_broker(word: &str) -> Self {
        match word {
            "delivery_limit" => Self::DeliveryLimit,
            "expired" => Self::Expired,
            "rejected" => Self::Rejected,
            other => Self::Other(other.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Reported(reason) => reason,
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => FaultKind::Expired.as_str(),
            Self::Rejected => FaultKind::Rejected.as_str(),
            Self::Other(word) => word,
        }
    }

    /// How often the message had been delivered before. The copy does not say, but it was more
    /// than any worker can have reported.
    fn deliveries(&self) -> i32 {
        match self {
            Self::DeliveryLimit => SERVICE_DELIVERY_LIMIT + 1,
            Self::Rejected | Self::Other(_) => SERVICE_DELIVERY_LIMIT,
            Self::Reported(_) | Self::Expired => 0,
        }
    }

    fn meaning(&self) -> Option<(TaskState, TaskFault)> {
        let (state, kind, message) = match self {
            Self::Reported(_) => return None,
            Self::DeliveryLimit => (
                TaskState::Failure,
                FaultKind::WorkerCrashed,
                format!(
                    "{} deliveries in a row ended with a lost worker",
                    self.deliveries()
                ),
            ),
            Self::Expired => (
                TaskState::Revoked,
                FaultKind::Expired,
                "it expired before a worker took it".to_owned(),
            ),
            Self::Rejected => (
                TaskState::Failure,
                FaultKind::Rejected,
                "its worker rejected it".to_owned(),
            ),
            Self::Other(word) => (
                TaskState::Failure,
                FaultKind::Rejected,
                format!("the broker threw it away: {word}"),
            ),
        };
        Some((state, TaskFault::new(kind, message)))
    }
}

/// The broker's entry about the death in one of the service's own queues. A delayed task has others, of
/// the levels that it came through, in any order; `x-first-death-*` tells of one of those.
fn entry_of<'a>(headers: &'a Headers, service: &str, names: &Names) -> Option<&'a Headers> {
    let is_own = |queue| names.is_queue_of(service, queue);
    headers
        .deaths()
        .filter(|entry| entry.text("queue").is_some_and(is_own))
        .max_by_key(|entry| entry.time("time"))
}

/// The same id whenever the same death is told: a UUID v7 of the time of death, so that it sorts
/// and is filed like all events.
fn event_id(event: &Event) -> Uuid {
    let name = format!("{}.{} {}", event.lineage.run, event.lineage, event.task_id);
    let hash = Uuid::new_v5(&DEATHS, name.as_bytes());
    let mut chance = [0; 10];
    chance.copy_from_slice(&hash.as_bytes()[..10]);
    let millis = u64::try_from(event.at.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::message::{Content, HeaderValue};

    fn names() -> Names {
        Names::new("", "task_exchange", "platform.fifo").expect("valid")
    }

    fn entry(queue: &str, reason: &str, seconds: u64) -> HeaderValue {
        let mut entry = Headers::new();
        entry.push("queue", queue);
        entry.push("reason", reason);
        entry.push("time", HeaderValue::Timestamp(seconds));
        HeaderValue::Table(entry)
    }

    fn dead(deaths: Vec<HeaderValue>, more: &[(&'static str, &str)]) -> StoredMessage {
        let mut content = Content::json("[[], {}, {}]");
        content.headers.push("task", "demo.add");
        content.headers.push("id", "t1");
        content.headers.push("retries", 2);
        if !deaths.is_empty() {
            content.headers.push("x-death", HeaderValue::List(deaths));
        }
        for (name, value) in more {
            content.headers.push(*name, *value);
        }
        StoredMessage {
            exchange: "task_exchange.dead".into(),
            routing_key: "demo".into(),
            content,
        }
    }

    fn read_all(message: StoredMessage) -> (Option<Event>, DeadLetter) {
        let mut out = Vec::new();
        read(message, &names(), &mut out);
        let (mut event, mut letter) = (None, None);
        for record in out {
            match record {
                Record::Event(found) => event = Some(*found),
                Record::Dead(found) => letter = Some(*found),
                other @ (Record::Copy(_)
                | Record::Said(_)
                | Record::Opening(_)
                | Record::Chord(_)
                | Record::Answer(_)
                | Record::Revoked(_)
                | Record::Inquiry(..)
                | Record::Parked(_)
                | Record::Worker(_)
                | Record::Canary(..)
                | Record::Marker(..)) => panic!("{other:?}"),
            }
        }
        (event, letter.expect("always a dead letter"))
    }

    #[test]
    fn a_message_that_crashed_every_worker_is_a_failure_of_its_last_delivery() {
        let (event, letter) = read_all(dead(vec![entry("demo", "delivery_limit", 100)], &[]));
        let event = event.expect("the broker made it");
        assert_eq!(event.kind, EventKind::State(TaskState::Failure));
        assert_eq!(event.error.expect("a fault").kind, FaultKind::WorkerCrashed);
        assert_eq!(
            (event.lineage.executions, event.lineage.deliveries),
            (2, 21)
        );
        assert_eq!(
            (&*letter.reason, letter.lineage.deliveries),
            ("delivery_limit", 21)
        );
        assert_eq!(
            letter.reason_text.as_deref(),
            Some("21 deliveries in a row ended with a lost worker")
        );
        assert_eq!(letter.died_at, DateTime::from_timestamp(100, 0));
    }

    #[test]
    fn the_death_that_counts_is_the_one_in_the_services_queue_wherever_it_stands() {
        let levels = || entry("celery_delayed_3", "expired", 90);
        for deaths in [
            vec![levels(), entry("demo.late", "delivery_limit", 100)],
            vec![entry("demo.late", "delivery_limit", 100), levels()],
            vec![levels(), entry("demo~high", "delivery_limit", 100)],
            vec![entry("demo~low.late", "delivery_limit", 100), levels()],
        ] {
            let (_, letter) = read_all(dead(deaths, &[("x-first-death-reason", "expired")]));
            assert_eq!(&*letter.reason, "delivery_limit");
        }
    }

    #[test]
    fn an_expired_message_is_revoked_and_a_foreign_reject_a_failure() {
        let (event, _) = read_all(dead(vec![entry("demo", "expired", 100)], &[]));
        assert_eq!(
            event.expect("told").kind,
            EventKind::State(TaskState::Revoked)
        );
        let (event, letter) = read_all(dead(vec![entry("demo", "rejected", 100)], &[]));
        assert_eq!(
            event.expect("told").kind,
            EventKind::State(TaskState::Failure)
        );
        assert_eq!(&*letter.reason, "rejected");
    }

    #[test]
    fn what_a_worker_gave_up_keeps_its_reason_and_says_nothing_of_the_task() {
        let message = dead(
            vec![entry("celery_delayed_0", "expired", 90)],
            &[
                (REASON, "unknown_task"),
                (REASON_TEXT, "nobody knows demo.add"),
            ],
        );
        let body = message.content.body.clone();
        let (event, letter) = read_all(message);
        assert!(event.is_none());
        assert_eq!(&*letter.reason, "unknown_task");
        assert_eq!(letter.reason_text.as_deref(), Some("nobody knows demo.add"));
        assert_eq!(letter.message.content.body, body);
    }

    #[test]
    fn the_same_death_told_twice_is_one_event() {
        let told = || read_all(dead(vec![entry("demo", "delivery_limit", 100)], &[])).0;
        let (first, second) = (told().expect("told"), told().expect("told"));
        assert_eq!(first.event_id, second.event_id);
        assert_eq!(first.event_id.get_version_num(), 7);
    }

    #[test]
    fn a_dead_message_that_is_no_task_is_kept_all_the_same() {
        let mut message = dead(vec![], &[]);
        message.content = Content::json(vec![0xff, 0]);
        let (event, letter) = read_all(message);
        assert!(event.is_none() && letter.task_id.is_none());
        assert_eq!(&*letter.reason, "unknown");
        assert_eq!(&letter.message.content.body[..], [0xff, 0]);
    }
}
