//! What one service needs: its queue, its dead queue, and their bindings.

use super::names::{DELAY_LEVELS, dead_key};
use super::{Item, Names, Queue, QueueKind, to_queue};
use crate::message::Headers;
use crate::names::{QueueName, ServiceName};
use serde::{Deserialize, Serialize};

/// How often a task may be returned (crashes, lost connections) before it is dead.
pub const SERVICE_DELIVERY_LIMIT: i32 = 20;

/// See `NO_DELIVERY_LIMIT` of the platform's queues.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000;

/// Where the arguments of queues come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueSettings {
    /// From the declaration: works over AMQP alone.
    #[default]
    Arguments,
    /// From the policies in `deploy/rabbitmq`: a queue is declared with nothing but its type, as a
    /// Python application declares it.
    Policy,
}

impl QueueSettings {
    pub(super) fn adjust(self, mut queue: Queue) -> Queue {
        if self == Self::Policy {
            queue.arguments = Headers::new();
        }
        queue
    }
}

/// What is special about one service's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// How the queue stores. Default: quorum.
    pub kind: QueueKind,
    /// Messages that may wait before publishers are refused; the limit is soft by one. Default:
    /// none. With one, delayed tasks get a queue of their own, `<service>.late`.
    pub max_length: Option<u32>,
    /// Where the arguments come from.
    pub settings: QueueSettings,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            kind: QueueKind::Quorum,
            max_length: None,
            settings: QueueSettings::default(),
        }
    }
}

/// Queues and bindings of one service, in the order in which they can be declared.
#[must_use]
pub fn service(names: &Names, service: &ServiceName, settings: &ServiceSettings) -> Vec<Item> {
    let queue = names.service_queue(service);
    let dead = names.dead_queue(service);
    let mut items = vec![
        service_queue(names, service, &queue, settings, settings.max_length),
        dead_queue(&dead, settings),
        to_queue(&names.work, &queue, &format!("{service}.#")),
        to_queue(&names.dead, &dead, dead_key(service.as_str()).as_str()),
    ];
    // A delayed task keeps its 28 bits in the key.
    let delayed = format!("{}{service}.#", "*.".repeat(DELAY_LEVELS as usize));
    if settings.max_length.is_some() {
        // A full queue would block its delay level for everyone.
        let late = names.late_queue(service);
        items.push(service_queue(names, service, &late, settings, None));
        items.push(to_queue(&names.work, &late, &delayed));
    } else {
        items.push(to_queue(&names.work, &queue, &delayed));
    }
    items
}

fn service_queue(
    names: &Names,
    service: &ServiceName,
    queue: &QueueName,
    settings: &ServiceSettings,
    max_length: Option<u32>,
) -> Item {
    let mut arguments = Headers::new();
    // Celery's own default queue has no arguments; with any, Python workers could not declare it.
    if settings.kind == QueueKind::Quorum {
        arguments = delivery_limit(SERVICE_DELIVERY_LIMIT.into());
        arguments.push("x-dead-letter-exchange", names.dead.as_str());
        arguments.push(
            "x-dead-letter-routing-key",
            dead_key(service.as_str()).as_str(),
        );
        arguments.push("x-dead-letter-strategy", "at-least-once");
        arguments.push("x-overflow", "reject-publish");
        if let Some(max) = max_length {
            arguments.push("x-max-length", i64::from(max));
        }
    }
    Item::Queue(settings.settings.adjust(Queue {
        name: queue.clone(),
        kind: settings.kind,
        arguments,
    }))
}

fn dead_queue(queue: &QueueName, settings: &ServiceSettings) -> Item {
    let arguments = delivery_limit(DEAD_DELIVERY_LIMIT);
    Item::Queue(settings.settings.adjust(Queue {
        name: queue.clone(),
        kind: QueueKind::Quorum,
        arguments,
    }))
}

pub(super) fn delivery_limit(limit: i64) -> Headers {
    let mut arguments = Headers::new();
    arguments.push("x-delivery-limit", limit);
    arguments
}
