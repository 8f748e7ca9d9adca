//! What RabbitMQ writes into a message that left its queue without being acknowledged.

use super::queue::{Message, Reason};
use crate::message::{HeaderValue, Headers};
use crate::names::{ExchangeName, QueueName, RoutingKey};

const DEATHS: &str = "x-death";

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::DeliveryLimit => "delivery_limit",
            Self::MaxLen => "maxlen",
        }
    }
}

/// Where and when a message died.
pub(super) struct Death<'a> {
    pub(super) queue: &'a QueueName,
    pub(super) reason: Reason,
    pub(super) unix_seconds: u64,
}

/// The message as it is published again to `exchange`, with its death on record.
pub(super) fn buried(
    message: &Message,
    death: &Death<'_>,
    exchange: &ExchangeName,
    key: Option<&RoutingKey>,
) -> Message {
    let mut content = message.content.clone();
    record(&mut content.headers, message, death);
    // Otherwise it would expire again wherever it goes.
    content.properties.expiration = None;
    if key.is_some() {
        content.headers.retain(|name| name != "CC");
    }
    Message {
        content,
        exchange: exchange.clone(),
        routing_key: key.unwrap_or(&message.routing_key).clone(),
    }
}

fn record(headers: &mut Headers, message: &Message, death: &Death<'_>) {
    let (queue, reason) = (death.queue.as_str(), death.reason.as_str());
    let mut deaths = match headers.get(DEATHS) {
        Some(HeaderValue::List(deaths)) => deaths.clone(),
        _ => {
            // The first death gets headers of its own.
            headers.set("x-first-death-reason", reason);
            headers.set("x-first-death-queue", queue);
            headers.set("x-first-death-exchange", message.exchange.as_str());
            Vec::new()
        }
    };
    let same = deaths.iter().position(|known| {
        text(known, "queue") == Some(queue) && text(known, "reason") == Some(reason)
    });
    let entry = match same.map(|at| deaths.remove(at)) {
        // It keeps the time and the address of the first of its kind.
        Some(HeaderValue::Table(mut known)) => {
            let count = known.int("count").unwrap_or(0);
            known.set("count", count.saturating_add(1));
            known
        }
        Some(_) | None => first_of_its_kind(message, death),
    };
    deaths.insert(0, HeaderValue::Table(entry));
    headers.set(DEATHS, HeaderValue::List(deaths));
}

fn first_of_its_kind(message: &Message, death: &Death<'_>) -> Headers {
    let mut entry = Headers::with_capacity(7);
    entry.push("count", 1_i64);
    entry.push("reason", death.reason.as_str());
    entry.push("queue", death.queue.as_str());
    entry.push("time", HeaderValue::Timestamp(death.unix_seconds));
    entry.push("exchange", message.exchange.as_str());
    let keys = vec![HeaderValue::from(message.routing_key.as_str())];
    entry.push("routing-keys", HeaderValue::List(keys));
    if let Some(expiration) = message.content.properties.expiration.as_deref() {
        entry.push("original-expiration", expiration);
    }
    entry
}

/// Whether a dead message would go round in circles by itself: it died in `queue` before, and
/// nobody rejected it since.
pub(super) fn is_cycle(headers: &Headers, reason: Reason, queue: &QueueName) -> bool {
    let Some(HeaderValue::List(deaths)) = headers.get(DEATHS) else {
        return false;
    };
    let here = |death: &HeaderValue| text(death, "queue") == Some(queue.as_str());
    let Some(last_here) = deaths.iter().position(here) else {
        return false;
    };
    reason != Reason::Rejected
        && deaths[..=last_here]
            .iter()
            .all(|death| text(death, "reason") != Some(Reason::Rejected.as_str()))
}

fn text<'a>(death: &'a HeaderValue, name: &str) -> Option<&'a str> {
    if let HeaderValue::Table(entry) = death {
        entry.get(name)?.as_str()
    } else {
        None
    }
}
