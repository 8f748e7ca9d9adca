//! Creating exchanges, queues and bindings, comparing them with what is there, deleting them.

use super::broker::State;
use super::exchange::Exchange;
use super::queue::{DeadLetter, Queue, Rules};
use crate::message::{HeaderValue, Headers};
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::topology::{self, Binding, Destination, Item, QueueKind};
use crate::transport::{Declare, DeclareError, QueueDepth};
use std::time::Duration;

impl State {
    pub(super) fn declare(&mut self, item: &Item, how: Declare) -> Result<(), DeclareError> {
        match item {
            Item::Exchange(exchange) => self.declare_exchange(item, exchange, how),
            Item::Queue(queue) => self.declare_queue(item, queue, how),
            Item::Binding(binding) => self.bind(item, binding, how),
        }
    }

    fn declare_exchange(
        &mut self,
        item: &Item,
        wanted: &topology::Exchange,
        how: Declare,
    ) -> Result<(), DeclareError> {
        match self.exchanges.get(&wanted.name) {
            Some(_) if how == Declare::Passive => Ok(()),
            Some(found) => same(item, exchange_difference(wanted, &found.declared)),
            None if how == Declare::Passive => Err(missing(item)),
            None if wanted.name.as_str().is_empty() => Err(DeclareError::Invalid {
                item: item.to_string(),
                reason: "ACCESS_REFUSED - operation not permitted on the default exchange"
                    .to_owned(),
            }),
            None => {
                let exchange = Exchange::new(wanted.clone());
                self.exchanges.insert(wanted.name.clone(), exchange);
                self.routes.clear();
                Ok(())
            }
        }
    }

    fn declare_queue(
        &mut self,
        item: &Item,
        wanted: &topology::Queue,
        how: Declare,
    ) -> Result<(), DeclareError> {
        let found = self
            .queue_ids
            .get(&wanted.name)
            .and_then(|id| self.queues.get(id));
        match found {
            Some(_) if how == Declare::Passive => Ok(()),
            Some(found) => same(item, queue_difference(wanted, &found.declared)),
            None if how == Declare::Passive => Err(missing(item)),
            None => {
                let rules = rules(wanted).map_err(|reason| DeclareError::Invalid {
                    item: item.to_string(),
                    reason,
                })?;
                let id = self.new_queue_id();
                self.queue_ids.insert(wanted.name.clone(), id);
                self.queues.insert(id, Queue::new(wanted.clone(), rules));
                self.routes.clear();
                Ok(())
            }
        }
    }

    fn bind(&mut self, item: &Item, binding: &Binding, how: Declare) -> Result<(), DeclareError> {
        let there = match &binding.destination {
            Destination::Queue(queue) => self.queue_ids.contains_key(queue),
            Destination::Exchange(exchange) => self.exchanges.contains_key(exchange),
        };
        if !there {
            return Err(DeclareError::Missing {
                item: binding.destination.to_string(),
            });
        }
        let Some(source) = self.exchanges.get_mut(&binding.source) else {
            return Err(DeclareError::Missing {
                item: format!("exchange {}", binding.source),
            });
        };
        match how {
            Declare::Passive if source.has(binding) => Ok(()),
            Declare::Passive => Err(missing(item)),
            Declare::Active => {
                source.bind(binding);
                self.routes.clear();
                Ok(())
            }
        }
    }

    pub(super) fn depth(&self, queue: &QueueName) -> Option<QueueDepth> {
        let queue = self.queues.get(self.queue_ids.get(queue)?)?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Some(QueueDepth {
            ready: count(queue.len()),
            consumers: count(queue.consumers.len()),
        })
    }

    pub(super) fn delete_queue(&mut self, name: &QueueName) {
        let Some(id) = self.queue_ids.remove(name) else {
            return;
        };
        let Some(queue) = self.queues.remove(&id) else {
            return;
        };
        if let Some(alarm) = queue.alarm {
            self.remove_timer(alarm, id);
        }
        self.unbind(&Destination::Queue(name.clone()));
        self.end_consumers(&queue.consumers, name);
    }

    pub(super) fn delete_exchange(&mut self, name: &ExchangeName) {
        self.exchanges.remove(name);
        self.unbind(&Destination::Exchange(name.clone()));
    }

    fn unbind(&mut self, destination: &Destination) {
        for exchange in self.exchanges.values_mut() {
            exchange.unbind(destination);
        }
        self.routes.clear();
    }
}

fn missing(item: &Item) -> DeclareError {
    DeclareError::Missing {
        item: item.to_string(),
    }
}

fn same(item: &Item, difference: Option<String>) -> Result<(), DeclareError> {
    match difference {
        None => Ok(()),
        Some(difference) => Err(DeclareError::Differs {
            item: item.to_string(),
            difference: format!("PRECONDITION_FAILED - inequivalent arg {difference}"),
        }),
    }
}

fn exchange_difference(wanted: &topology::Exchange, found: &topology::Exchange) -> Option<String> {
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

fn queue_difference(wanted: &topology::Queue, found: &topology::Queue) -> Option<String> {
    let at = format!("for queue '{}' in vhost '/'", wanted.name);
    let (new, old) = (wanted.all_arguments(), found.all_arguments());
    let names = new.iter().chain(old.iter()).map(|(name, _)| name);
    names
        .filter_map(|name| argument_difference(name, &at, new.get(name), old.get(name)))
        .next()
}

fn argument_difference(
    name: &str,
    at: &str,
    wanted: Option<&HeaderValue>,
    found: Option<&HeaderValue>,
) -> Option<String> {
    let differs = wanted != found;
    differs.then(|| {
        let (wanted, found) = (described(wanted), described(found));
        format!("'{name}' {at}: received {wanted} but current is {found}")
    })
}

fn described(value: Option<&HeaderValue>) -> String {
    let kind = match value {
        None => return "none".to_owned(),
        Some(HeaderValue::Text(text)) => {
            return format!("the value '{text}' of type 'longstr'");
        }
        Some(HeaderValue::Bool(_)) => "bool",
        Some(HeaderValue::Int(_)) => "long",
        Some(HeaderValue::Float(_)) => "double",
        Some(HeaderValue::Bytes(_)) => "binary",
        Some(HeaderValue::Timestamp(_)) => "timestamp",
        Some(HeaderValue::List(_)) => "array",
        Some(HeaderValue::Table(_)) => "table",
        Some(HeaderValue::Null) => "void",
    };
    let json = value.map(HeaderValue::to_json).unwrap_or_default();
    format!("the value '{json}' of type '{kind}'")
}

/// Reads a queue's arguments; what this broker does not know is kept for comparison only.
fn rules(queue: &topology::Queue) -> Result<Rules, String> {
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
    let length = number("x-max-length")?;
    Ok(Rules {
        ttl: number("x-message-ttl")?.map(Duration::from_millis),
        max_length: length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)),
        reject_publish,
        delivery_limit: arguments.int("x-delivery-limit").filter(|_| quorum),
        // RabbitMQ falls back to at-most-once when a full queue would drop its head.
        dead_letter: dead_letter(queue, arguments, quorum && reject_publish)?,
    })
}

fn dead_letter(
    queue: &topology::Queue,
    arguments: &Headers,
    may_keep: bool,
) -> Result<Option<DeadLetter>, String> {
    let Some(exchange) = arguments.get("x-dead-letter-exchange") else {
        return Ok(None);
    };
    let wrong = |name| move |value: &HeaderValue| invalid(queue, name, value);
    let name = exchange
        .as_str()
        .and_then(|name| ExchangeName::new(name).ok());
    let key = arguments.get("x-dead-letter-routing-key").map(|value| {
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
