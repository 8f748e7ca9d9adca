//! What the platform needs, whatever services there are.

use super::names::DELAY_LEVELS;
use super::service::{QueueSettings, delivery_limit};
use super::{
    Binding, Destination, Exchange, ExchangeKind, Item, Names, Queue, QueueKind, exchange,
    to_exchange, to_queue, topic,
};
use crate::message::Headers;
use crate::names::{ExchangeName, QueueName, RoutingKey, TaskName};
use crate::text::InvalidText;

/// How often a message of the platform's queues may be returned before it is set aside.
const PLATFORM_DELIVERY_LIMIT: i64 = 50;

/// Never set aside: RabbitMQ 4 would drop a dead task after 20 looks at it, and −1 loses it at the
/// first return on 3.10.
const NO_DELIVERY_LIMIT: i64 = 1_000_000;

/// Milliseconds that a sign of life is worth reading: one lease.
const HEARTBEAT_TTL_MS: i64 = 30_000;

/// The platform's exchanges, queues and bindings, in the order in which they can be declared.
///
/// ```
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::topology::{self, QueueSettings};
///
/// let names = BrokerSettings::default().names()?;
/// let items = topology::platform(&names, QueueSettings::Arguments);
/// let lines: Vec<_> = items.iter().map(|item| format!("{item}: {}", item.details())).collect();
/// assert_eq!(lines[0], "exchange task_exchange: topic");
/// assert!(lines.iter().any(|line| line.starts_with("queue platform.fifo: quorum"))); // the tracking queue
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn platform(names: &Names, settings: QueueSettings) -> Vec<Item> {
    let mut items = exchanges(names);
    items.extend(queues(names, settings));
    items.extend(bindings(names));
    items
}

fn exchanges(names: &Names) -> Vec<Item> {
    let with_alternate = |name: &ExchangeName, kind, internal, alternate: &ExchangeName| {
        Item::Exchange(Exchange {
            name: name.clone(),
            kind,
            internal,
            alternate: Some(alternate.clone()),
        })
    };
    vec![
        topic(&names.tasks),
        exchange(&names.unroutable, ExchangeKind::Fanout),
        // The inner exchange carries the alternate: on the outer one, the tracking queue's `#`
        // matches everything, and an alternate exchange would never fire.
        with_alternate(&names.work, ExchangeKind::Topic, true, &names.unroutable),
        topic(&names.requeue),
        topic(&names.dead),
        topic(&names.events),
        topic(&names.heartbeats),
        exchange(&names.control, ExchangeKind::Fanout),
        exchange(&names.platform_dead, ExchangeKind::Fanout),
        with_alternate(
            &names.platform_deadletter,
            ExchangeKind::Headers,
            false,
            &names.platform_dead,
        ),
        topic(&names.celeryev),
        topic(&names.delay_entry),
        topic(&names.delay_exit),
    ]
}

fn queues(names: &Names, settings: QueueSettings) -> Vec<Item> {
    let kept = |name: &QueueName, limit: i64, dead_letter: Option<&ExchangeName>| {
        let mut arguments = delivery_limit(limit);
        if let Some(exchange) = dead_letter {
            arguments.push("x-dead-letter-exchange", exchange.as_str());
            arguments.push("x-dead-letter-strategy", "at-least-once");
        }
        // At-least-once dead-lettering asks for it, and a full queue must say so.
        arguments.push("x-overflow", "reject-publish");
        Item::Queue(settings.adjust(Queue {
            name: name.clone(),
            kind: QueueKind::Quorum,
            arguments,
        }))
    };
    let limit = PLATFORM_DELIVERY_LIMIT;
    let mut heartbeat = delivery_limit(limit);
    heartbeat.push("x-message-ttl", HEARTBEAT_TTL_MS);
    let mut stream = Headers::new();
    stream.push("x-max-age", "7D");
    stream.push("x-stream-max-segment-size-bytes", 1_000_000_i64);
    vec![
        kept(
            &names.tracking_queue,
            limit,
            Some(&names.platform_deadletter),
        ),
        // Directly to the last resort: over platform.deadletter a poison in platform.expired would
        // be dropped as a cycle.
        kept(&names.events_queue, limit, Some(&names.platform_dead)),
        kept(&names.deaths_queue, limit, Some(&names.platform_dead)),
        kept(&names.expired_queue, limit, Some(&names.platform_dead)),
        kept(&names.celeryev_queue, limit, Some(&names.platform_dead)),
        kept(&names.unroutable_queue, NO_DELIVERY_LIMIT, None),
        kept(&names.platform_dead_queue, NO_DELIVERY_LIMIT, None),
        Item::Queue(Queue {
            name: names.heartbeats_queue.clone(),
            // A classic queue would be gone with its node, and so would be all judgement about workers.
            kind: QueueKind::Quorum,
            arguments: heartbeat,
        }),
        Item::Queue(Queue {
            name: names.control_queue.clone(),
            kind: QueueKind::Stream,
            arguments: stream,
        }),
    ]
}

/// Queue of the tokens by which `task` is run. Declared for the tasks that workers tell of, by the
/// leader of the daemons.
///
/// ```
/// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
/// use counterfoil_toolbox::topology::{QueueSettings, token_queue};
///
/// let queue = token_queue(&names, &"export.project".parse()?, QueueSettings::Arguments)?;
/// assert_eq!(queue.name, "platform.tokens.export.project");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InvalidText`] when the task's name leaves no room for the rest.
pub fn token_queue(
    names: &Names,
    task: &TaskName,
    settings: QueueSettings,
) -> Result<Queue, InvalidText> {
    Ok(settings.adjust(Queue {
        name: names.token_queue(task)?,
        kind: QueueKind::Quorum,
        // Each execution returns its token once.
        arguments: delivery_limit(NO_DELIVERY_LIMIT),
    }))
}

fn bindings(names: &Names) -> Vec<Item> {
    let mut expired = Headers::new();
    expired.push("x-match", "all-with-x");
    expired.push("x-first-death-reason", "expired");
    expired.push("x-first-death-queue", names.tracking_queue.as_str());
    vec![
        to_queue(&names.tasks, &names.tracking_queue, "#"),
        to_exchange(&names.tasks, &names.work, "#"),
        to_exchange(&names.requeue, &names.work, "#"),
        to_queue(&names.unroutable, &names.unroutable_queue, ""),
        to_queue(&names.dead, &names.deaths_queue, "#"),
        to_queue(&names.events, &names.events_queue, "#"),
        to_queue(&names.heartbeats, &names.heartbeats_queue, "#"),
        to_queue(&names.control, &names.control_queue, ""),
        to_queue(&names.platform_dead, &names.platform_dead_queue, ""),
        Item::Binding(Binding {
            source: names.platform_deadletter.clone(),
            destination: Destination::Queue(names.expired_queue.clone()),
            key: RoutingKey::new("").expect("the empty key is valid"),
            arguments: expired,
        }),
        to_queue(&names.celeryev, &names.celeryev_queue, "task.#"),
        to_queue(&names.celeryev, &names.celeryev_queue, "worker.#"),
        // A delayed task is tracked when it is sent, not when it is due.
        to_queue(&names.delay_entry, &names.tracking_queue, "#"),
        // Past the tracked exchange, and through the one with an alternate: bound straight to
        // service queues, tasks of one missing service would stop all delayed tasks.
        to_exchange(&names.delay_exit, &names.work, "#"),
    ]
}

/// The 28 levels that hold delayed tasks, argument for argument as Celery ≥ 5.5 declares them.
///
/// ```
/// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
/// use counterfoil_toolbox::topology::{Item, delay_levels};
///
/// let levels = delay_levels(&names);
/// let queues = levels.iter().filter(|item| matches!(item, Item::Queue(_)));
/// assert_eq!(queues.count(), 28); // 2^0 to 2^27 seconds: any delay of up to 8.5 years
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn delay_levels(names: &Names) -> Vec<Item> {
    let level_exchange =
        |level| ExchangeName::new(&names.delay_level(level)).expect("prefix and a short name");
    let level_queue =
        |level| QueueName::new(&names.delay_level(level)).expect("prefix and a short name");
    let mut items = vec![topic(&names.delay_exit)];
    items.extend((0..DELAY_LEVELS).map(|level| topic(&level_exchange(level))));
    for level in (0..DELAY_LEVELS).rev() {
        let next = if level == 0 {
            names.delay_exit.clone()
        } else {
            level_exchange(level - 1)
        };
        let mut arguments = Headers::new();
        arguments.push("x-dead-letter-exchange", next.as_str());
        arguments.push("x-dead-letter-strategy", "at-least-once");
        arguments.push("x-message-ttl", (1_i64 << level) * 1000);
        arguments.push("x-overflow", "reject-publish");
        items.push(Item::Queue(Queue {
            name: level_queue(level),
            kind: QueueKind::Quorum,
            arguments,
        }));
        let skipped = "*.".repeat((DELAY_LEVELS - 1 - level) as usize);
        items.push(to_queue(
            &level_exchange(level),
            &level_queue(level),
            &format!("{skipped}1.#"),
        ));
        items.push(to_exchange(
            &level_exchange(level),
            &next,
            &format!("{skipped}0.#"),
        ));
    }
    items
}
