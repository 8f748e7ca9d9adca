//! Batches of events, openings of sessions, and questions about them, which come the same way. What is wrong with one of them does not touch the others.

use super::{CANARY, RESERVED, Record, marker, parked, parked_event};
use counterfoil_store::{CanaryPlace, MarkerPlace, StoredMessage};
use counterfoil_toolbox::answer::Answer;
use counterfoil_toolbox::chord::Chord;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::message::json::{MAX_DEPTH, inspect};
use counterfoil_toolbox::revoked::Revoked;
use counterfoil_toolbox::session::{Inquiry, Opening};
use counterfoil_toolbox::state::Lineage;
use serde_json::value::RawValue;

/// Highest number of runs, rescues, executions or deliveries that is believed. A higher one would
/// outrank every later event of the task for ever.
const HIGHEST_COUNT: i32 = 1_000_000;

/// Levels of nesting around a result: the array and the event.
const AROUND: usize = 2;

pub(crate) fn read(queue: &str, message: StoredMessage, out: &mut Vec<Record>) {
    let Some(service) = service_of(&message.routing_key) else {
        let reason = "the key of a batch of events is not event.<service>.batch";
        out.push(parked(queue, reason, None, message));
        return;
    };
    if let Some(id) = marker::read(service, &message.content) {
        out.push(Record::Marker(id, MarkerPlace::Events));
        return;
    }
    if Inquiry::is_one(&message.content.body) {
        out.push(match Inquiry::read(&message.content.body) {
            Ok(inquiry) => Record::Inquiry(inquiry, None),
            Err(reason) => parked(queue, reason, None, message),
        });
        return;
    }
    if Chord::is_one(&message.content.body) {
        out.push(match Chord::read(&message.content.body) {
            Ok(chord) => Record::Chord(Box::new((chord, service.into(), message.clone()))),
            Err(reason) => parked(queue, reason, None, message),
        });
        return;
    }
    if Answer::is_one(&message.content.body) {
        out.push(match Answer::read(&message.content.body) {
            Ok(answer) => Record::Answer(Box::new((answer, service.into(), message.clone()))),
            Err(reason) => parked(queue, reason, None, message),
        });
        return;
    }
    if Revoked::is_one(&message.content.body) {
        out.push(match Revoked::read(&message.content.body) {
            Ok(revoked) => Record::Revoked(Box::new((revoked, service.into(), message.clone()))),
            Err(reason) => parked(queue, reason, None, message),
        });
        return;
    }
    if message.content.body.first() == Some(&b'{') {
        out.push(match Opening::read(&message.content.body, service) {
            Ok(opening) => Record::Opening(Box::new((opening, message))),
            Err(bad) => parked(queue, bad.to_string(), None, message),
        });
        return;
    }
    // Nearly always all of a batch is good, and then it is read in one go.
    if let Some(events) = whole(&message.content) {
        if events.is_empty() {
            out.push(parked(queue, "the batch is empty", None, message));
            return;
        }
        out.extend(
            events
                .into_iter()
                .map(|event| believed(queue, event, service)),
        );
        return;
    }
    match elements(&message.content) {
        Err(reason) => out.push(parked(queue, reason, None, message)),
        Ok(elements) => out.extend(elements.iter().map(|element| match one(element.get()) {
            Ok(event) => believed(queue, event, service),
            Err(reason) => alone(queue, element.get(), reason, &message),
        })),
    }
}

/// The event as said by `service`, or what is kept of one that nobody may say.
fn believed(queue: &str, mut event: Event, service: &str) -> Record {
    // Whatever it says itself: the broker binds services to their keys.
    event.service = service.into();
    match objection(&event) {
        None => record(event),
        Some(reason) => Record::Parked(Box::new(parked_event(&event, queue, reason))),
    }
}

/// The service that a key speaks for.
fn service_of(key: &str) -> Option<&str> {
    key.strip_prefix("event.")?.strip_suffix(".batch")
}

fn whole(content: &Content) -> Option<Vec<Event>> {
    let text = std::str::from_utf8(&content.body).ok()?;
    if inspect(text).depth > MAX_DEPTH + AROUND {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn elements(content: &Content) -> Result<Vec<&RawValue>, String> {
    let text = std::str::from_utf8(&content.body)
        .map_err(|error| format!("the batch is not UTF-8 (byte {})", error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| format!("the batch is not a JSON array: {error}"))
}

fn one(text: &str) -> Result<Event, String> {
    if inspect(text).depth > MAX_DEPTH + AROUND {
        return Err(format!(
            "the event is nested deeper than {MAX_DEPTH} levels"
        ));
    }
    serde_json::from_str(text).map_err(|error| format!("not an event: {error}"))
}

/// Why nobody may say this. Whether its service may is asked later: see `trust`.
fn objection(event: &Event) -> Option<String> {
    if !is_believable(event.lineage) {
        return Some(format!("attempt {} is not believable", event.lineage));
    }
    let is_canary = event.task.service() == &*event.service && event.task_id.as_uuid().is_some();
    if event.task == CANARY && !is_canary {
        return Some(RESERVED.to_owned());
    }
    None
}

fn record(event: Event) -> Record {
    match event.task_id.as_uuid() {
        Some(id) if event.task == CANARY => Record::Canary(id, CanaryPlace::Events),
        _ => Record::Event(Box::new(event)),
    }
}

fn is_believable(lineage: Lineage) -> bool {
    let Lineage {
        run,
        rescue,
        executions,
        deliveries,
        tries,
    } = lineage;
    [run, rescue, executions, deliveries, tries]
        .iter()
        .all(|count| (0..=HIGHEST_COUNT).contains(count))
}

/// A part of a batch that is no event, set aside as a batch of its own.
fn alone(queue: &str, text: &str, reason: String, batch: &StoredMessage) -> Record {
    let mut message = batch.clone();
    message.content.body = format!("[{text}]").into();
    parked(queue, reason, None, message)
}
