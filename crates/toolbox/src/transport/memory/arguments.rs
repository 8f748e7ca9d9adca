//! Arguments of exchanges and queues: read, and compared in RabbitMQ's words.

use super::queue::{DeadLetter, Rules};
use crate::message::{HeaderValue, Headers};
use crate::names::{ExchangeName, RoutingKey};
use crate::topology::{self, QueueKind};
use std::time::Duration;

pub(super) fn exchange_difference(
    wanted: &topology::Exchange,
    found: &topology::Exchange,
) -> Option<String> {
    let at = format!("for exchange '{}' in vhost '/'", wanted.name);
    let (new, old) = (wanted.kind.as_str(), found.kind.as_str());
    if new != old {
        return Some(format!(
            "'type' {at}: received '{new}' but current is '{old}'"
        ));
    }
    let (new, old) = (wanted.internal, found.internal);
    if new != old {
        return Some(format!(
            "'internal' {at}: received '{new}' but current is '{old}'"
        ));
    }
    let alternate = |exchange: &topology::Exchange| {
        let name = exchange.alternate.as_ref();
        name.map(|name| HeaderValue::from(name.as_str()))
    };
    argument_difference(
        "alternate-exchange",
        &at,
        alternate(wanted).as_ref(),
        alternate(found).as_ref(),
    )
}

pub(super) fn queue_difference(
    wanted: &topology::Queue,
    found: &topology::Queue,
) -> Option<String> {
    let at = format!("for queue '{}' in vhost '/'", wanted.name);
    let (new, old) = (wanted.all_arguments(), found.all_arguments());
    // RabbitMQ keeps arguments that it does not know, but does not compare them.
    let others = new.iter().chain(old.iter()).map(|(name, _)| name);
    let mut names = std::iter::once("x-queue-type").chain(others);
    names.find_map(|name| {
        let known = name.starts_with("x-");
        argument_difference(name, &at, new.get(name), old.get(name)).filter(|_| known)
    })
}

fn argument_difference(
    name: &str,
    at: &str,
    wanted: Option<&HeaderValue>,
    found: Option<&HeaderValue>,
) -> Option<String> {
    let (wanted, found) = match (wanted, found) {
        (wanted, found) if wanted == found => return None,
        (Some(wanted), Some(found)) => (quoted(wanted), quoted(found)),
        (wanted, found) => (described(wanted), described(found)),
    };
    Some(format!(
        "'{name}' {at}: received {wanted} but current is {found}"
    ))
}

fn quoted(value: &HeaderValue) -> String {
    match value.as_str() {
        Some(text) => format!("'{text}'"),
        None => format!("'{}'", value.to_json()),
    }
}

fn described(value: Option<&HeaderValue>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| format!("the value {} of type '{}'", quoted(value), wire_type(value)),
    )
}

fn wire_type(value: &HeaderValue) -> &'static str {
    match value {
        HeaderValue::Text(_) => "longstr",
        HeaderValue::Bool(_) => "bool",
        // The width that our AMQP transport gives it.
        HeaderValue::Int(number) if i32::try_from(*number).is_ok() => "signedint",
        HeaderValue::Int(_) => "long",
        HeaderValue::Float(_) => "double",
        HeaderValue::Bytes(_) => "binary",
        HeaderValue::Timestamp(_) => "timestamp",
        HeaderValue::List(_) => "array",
        HeaderValue::Table(_) => "table",
        HeaderValue::Null => "void",
    }
}

/// Reads a queue's arguments; what this broker does not know is kept for comparison only.
///
/// # Errors
/// In RabbitMQ's words: an argument has the wrong type, or makes no sense for the queue.
pub(super) fn rules(queue: &topology::Queue) -> Result<Rules, String> {
    let arguments = &queue.arguments;
    let number = |name: &str| {
        let value = arguments.get(name).map(|value| {
            let number = value.as_int().and_then(|n| u64::try_from(n).ok());
            number.ok_or_else(|| invalid(queue, name, value))
        });
        value.transpose()
    };
    let reject_publish = match arguments.get("x-overflow") {
        None => false,
        Some(value) => match value.as_str() {
            Some("drop-head") => false,
            Some("reject-publish" | "reject-publish-dlx") => true,
            _ => return Err(invalid(queue, "x-overflow", value)),
        },
    };
    let quorum = queue.kind == QueueKind::Quorum;
    if let Some(limit) = arguments.get("x-delivery-limit").filter(|_| !quorum) {
        return Err(invalid(queue, "x-delivery-limit", limit));
    }
    let length = number("x-max-length")?;
    Ok(Rules {
        ttl: number("x-message-ttl")?.map(Duration::from_millis),
        max_length: length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)),
        reject_publish,
        delivery_limit: arguments.int("x-delivery-limit"),
        // RabbitMQ falls back to at-most-once when a full queue would drop its head.
        dead_letter: dead_letter(queue, arguments, quorum && reject_publish)?,
    })
}

fn dead_letter(
    queue: &topology::Queue,
    arguments: &Headers,
    may_keep: bool,
) -> Result<Option<DeadLetter>, String> {
    let key = arguments.get("x-dead-letter-routing-key");
    let Some(exchange) = arguments.get("x-dead-letter-exchange") else {
        return match key {
            Some(key) => Err(invalid(queue, "x-dead-letter-routing-key", key)),
            None => Ok(None),
        };
    };
    let wrong = |name| move |value: &HeaderValue| invalid(queue, name, value);
    let name = exchange
        .as_str()
        .and_then(|name| ExchangeName::new(name).ok());
    let key = key.map(|value| {
        let key = value.as_str().and_then(|key| RoutingKey::new(key).ok());
        key.ok_or_else(|| wrong("x-dead-letter-routing-key")(value))
    });
    let strategy = arguments.text("x-dead-letter-strategy");
    Ok(Some(DeadLetter {
        exchange: name.ok_or_else(|| wrong("x-dead-letter-exchange")(exchange))?,
        key: key.transpose()?,
        at_least_once: may_keep && strategy == Some("at-least-once"),
    }))
}

fn invalid(queue: &topology::Queue, name: &str, value: &HeaderValue) -> String {
    format!(
        "PRECONDITION_FAILED - invalid arg '{name}' for queue '{}' in vhost '/': {}",
        queue.name,
        value.to_json()
    )
}
