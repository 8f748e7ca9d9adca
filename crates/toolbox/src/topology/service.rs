//! What one service needs: its queue, its dead queue, and their bindings.

use super::names::{DELAY_LEVELS, dead_key};
use super::{Item, Names, Queue, QueueKind, to_queue};
use crate::message::Headers;
use crate::names::{QueueName, ServiceName};
use crate::priority::Priority;
use serde::{Deserialize, Serialize};

/// How often a task may be returned (crashes, lost connections) before it is dead.
pub const SERVICE_DELIVERY_LIMIT: i32 = 20;

/// See `NO_DELIVERY_LIMIT` of the platform's queues.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000;

/// Where the arguments of queues come from.
///
/// ```
/// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
/// use counterfoil_toolbox::topology::{self, QueueSettings, ServiceSettings};
///
/// let export = "export".parse()?;
/// let declared = |settings| {
///     let settings = ServiceSettings { settings, ..ServiceSettings::default() };
///     topology::service(&names, &export, &settings)[0].details()
/// };
/// assert!(declared(QueueSettings::Arguments).starts_with("quorum, x-delivery-limit=20, "));
/// assert_eq!(declared(QueueSettings::Policy), "quorum");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// What is special about one service's queues. [`work_queues`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// How the queue stores. Default: quorum.
    pub kind: QueueKind,
    /// Messages that may wait before publishers are refused; the limit is soft by one. Default:
    /// none. With one, delayed tasks get a queue of their own, `<service>.late`. With classes, each
    /// class may have so many waiting and has such a queue, `<service>~high.late`.
    pub max_length: Option<u32>,
    /// Whether each class of [priority](Priority) has a queue of its own. Default: no.
    pub priorities: bool,
    /// Where the arguments come from.
    pub settings: QueueSettings,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            kind: QueueKind::Quorum,
            max_length: None,
            priorities: false,
            settings: QueueSettings::default(),
        }
    }
}

impl ServiceSettings {
    /// The classes that have a queue, the one without a suffix first.
    fn classes(&self) -> &'static [Priority] {
        match self.priorities {
            true => &[Priority::Normal, Priority::High, Priority::Low],
            false => &[Priority::Normal],
        }
    }
}

/// The queues in which tasks of a service wait for a worker, its own first.
///
/// ```
/// use counterfoil_toolbox::{ServiceName, config::BrokerSettings, topology::{ServiceSettings, work_queues}};
///
/// let names = BrokerSettings::default().names()?;
/// let limited = ServiceSettings { max_length: Some(1000), ..ServiceSettings::default() };
/// let queues = work_queues(&names, &ServiceName::new("export")?, &limited);
/// assert_eq!(queues, ["export", "export.late"]); // delayed tasks have their own
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn work_queues(
    names: &Names,
    service: &ServiceName,
    settings: &ServiceSettings,
) -> Vec<QueueName> {
    let is_limited = settings.max_length.is_some();
    let of_class = |class: &Priority| {
        let late = is_limited.then(|| names.late_queue(service, *class));
        std::iter::once(names.class_queue(service, *class)).chain(late)
    };
    settings.classes().iter().flat_map(of_class).collect()
}

/// Queues and bindings of one service, in the order in which they can be declared: all queues first,
/// so that nobody takes a class that is about to be bound for one that there is not.
///
/// ```
/// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
/// use counterfoil_toolbox::topology::{self, ServiceSettings};
///
/// let settings = ServiceSettings { priorities: true, ..ServiceSettings::default() };
/// let items = topology::service(&names, &"export".parse()?, &settings);
/// let items: Vec<_> = items.iter().map(ToString::to_string).collect();
/// assert_eq!(items[..4], ["queue export", "queue export~high", "queue export~low", "queue export.dead"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn service(names: &Names, service: &ServiceName, settings: &ServiceSettings) -> Vec<Item> {
    let dead = names.dead_queue(service);
    let dead_key = dead_key(service.as_str());
    let mut items = Vec::new();
    let mut bindings = vec![to_queue(&names.dead, &dead, dead_key.as_str())];
    for class in settings.classes() {
        let queue = names.class_queue(service, *class);
        let key = format!("{service}{}.#", class.suffix());
        // A delayed task keeps its 28 bits in the key.
        let delayed = format!("{}{key}", "*.".repeat(DELAY_LEVELS as usize));
        items.push(service_queue(
            names,
            service,
            &queue,
            settings,
            settings.max_length,
        ));
        bindings.push(to_queue(&names.work, &queue, &key));
        if settings.max_length.is_some() {
            // A full queue would block its delay level for everyone.
            let late = names.late_queue(service, *class);
            items.push(service_queue(names, service, &late, settings, None));
            bindings.push(to_queue(&names.work, &late, &delayed));
        } else {
            bindings.push(to_queue(&names.work, &queue, &delayed));
        }
    }
    items.push(dead_queue(&dead, settings));
    items.extend(bindings);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_of_a_service_have_the_same_arguments_and_one_dead_queue() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let export = ServiceName::new("export").expect("valid");
        let settings = ServiceSettings {
            max_length: Some(10),
            priorities: true,
            ..ServiceSettings::default()
        };
        let queues = service(&names, &export, &settings).into_iter();
        let queues = queues.filter_map(|item| match item {
            Item::Queue(queue) => Some((queue.name.to_string(), queue.arguments)),
            Item::Exchange(_) | Item::Binding(_) => None,
        });
        let mut queues: Vec<_> = queues.collect();
        let dead = queues.pop().expect("the last one");
        assert_eq!(dead.0, "export.dead");
        let named: Vec<_> = queues.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            named,
            [
                "export",
                "export.late",
                "export~high",
                "export~high.late",
                "export~low",
                "export~low.late",
            ]
        );
        for (name, arguments) in &queues {
            assert_eq!(arguments.text("x-dead-letter-routing-key"), Some("export"));
            let limit = arguments.int("x-max-length");
            assert_eq!(limit.is_some(), !name.ends_with(".late"), "{name}");
        }
        let all = work_queues(&names, &export, &settings);
        assert_eq!(all.iter().map(QueueName::as_str).collect::<Vec<_>>(), named);
    }
}
