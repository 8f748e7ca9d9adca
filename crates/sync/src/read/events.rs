//! Batches of events. What is wrong with one of them does not touch the others.

use super::{CANARY, RESERVED, Record, parked};
use counterfoil_store::{CanaryPlace, Parked, StoredMessage};
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::message::json::{MAX_DEPTH, inspect};
use counterfoil_toolbox::state::Lineage;
use serde_json::value::RawValue;

/// Highest number of runs, rescues, executions or deliveries that is believed. A higher one would
/// outrank every later event of the task for ever.
const HIGHEST_COUNT: i32 = 1_000_000;

/// Levels of nesting around a result: the array and the event.
const AROUND: usize = 2;

pub(super) fn read(queue: &str, message: StoredMessage, out: &mut Vec<Record>) {
    let Some(service) = service_of(&message.routing_key) else {
        let reason = "the key of a batch of events is not event.<service>.batch";
        out.push(parked(queue, reason, None, message));
        return;
    };
    // Nearly always all of a batch is good, and then it is read in one go.
    if let Some(events) = whole(&message.content) {
        if events.is_empty() {
            out.push(parked(queue, "the batch is empty", None, message));
            return;
        }
        out.extend(
            events
                .into_iter()
                .map(|event| believed(queue, event, service, &message)),
        );
        return;
    }
    match elements(&message.content) {
        Err(reason) => out.push(parked(queue, reason, None, message)),
        Ok(elements) => out.extend(elements.iter().map(|element| match one(element.get()) {
            Ok(event) => believed(queue, event, service, &message),
            Err(reason) => alone(queue, element.get(), reason, None, &message),
        })),
    }
}

/// The event, or what is kept of one that `service` may not say.
fn believed(queue: &str, event: Event, service: &str, batch: &StoredMessage) -> Record {
    match objection(&event, service) {
        None => record(event),
        Some(reason) => {
            let text = serde_json::to_string(&event).unwrap_or_default();
            alone(queue, &text, reason, Some(&event), batch)
        }
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

/// Why `service` may not say this.
fn objection(event: &Event, service: &str) -> Option<String> {
    // Broker permissions bind a service to its own key: this binds the key to its tasks.
    if event.task.service() != service {
        let task = &event.task;
        return Some(format!(
            "service {service:?} reported on {task}, which is not its task"
        ));
    }
    if !is_believable(event.lineage) {
        return Some(format!("attempt {} is not believable", event.lineage));
    }
    if event.task == CANARY && event.task_id.as_uuid().is_none() {
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
    } = lineage;
    [run, rescue, executions, deliveries]
        .iter()
        .all(|count| (0..=HIGHEST_COUNT).contains(count))
}

/// One event of a batch, set aside as a batch of its own.
fn alone(
    queue: &str,
    text: &str,
    reason: String,
    event: Option<&Event>,
    batch: &StoredMessage,
) -> Record {
    let mut message = batch.clone();
    message.content.body = format!("[{text}]").into();
    Record::Parked(Box::new(Parked {
        queue: queue.into(),
        reason: reason.into(),
        task_id: event.map(|event| event.task_id.clone()),
        name: event.map(|event| event.task.as_str().into()),
        message,
    }))
}
