//! Everything that counterfoil needs at a broker, as values: exchanges, queues, bindings.
//!
//! The picture and its reasons are in ARCHITECTURE.md. Nothing here talks to a broker:
//! [`plan`](plan()) and [`apply`] do, over any [`Transport`](crate::transport::Transport).

mod item;
mod levels;
pub mod names;
mod plan;
mod platform;
mod service;

pub use item::{Binding, Destination, Exchange, ExchangeKind, Item, Queue, QueueKind};
pub use levels::DelayLevels;
pub use names::Names;
pub use plan::{Finding, ItemState, apply, not_applied, plan};
pub use platform::{delay_levels, platform, token_queue};
pub use service::{QueueSettings, SERVICE_DELIVERY_LIMIT, ServiceSettings, service, work_queues};

use crate::message::Headers;
use crate::names::{ExchangeName, QueueName, RoutingKey};

fn topic(name: &ExchangeName) -> Item {
    exchange(name, ExchangeKind::Topic)
}

fn exchange(name: &ExchangeName, kind: ExchangeKind) -> Item {
    Item::Exchange(Exchange {
        name: name.clone(),
        kind,
        internal: false,
        alternate: None,
    })
}

fn to_queue(source: &ExchangeName, queue: &QueueName, key: &str) -> Item {
    binding(source, Destination::Queue(queue.clone()), key)
}

fn to_exchange(source: &ExchangeName, target: &ExchangeName, key: &str) -> Item {
    binding(source, Destination::Exchange(target.clone()), key)
}

fn binding(source: &ExchangeName, destination: Destination, key: &str) -> Item {
    let key = RoutingKey::new(key).expect("patterns here are 56 bits and a service name at most");
    Item::Binding(Binding {
        source: source.clone(),
        destination,
        key,
        arguments: Headers::new(),
    })
}
