//! What only this broker promises; what both transports promise is in `counterfoil_testkit`.

mod clients;
mod conservation;
mod faults;
mod letters;
mod settling;
mod time;

use super::MemoryBroker;
use crate::message::{Content, HeaderValue};
use crate::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use crate::topology::{
    self, Binding, Destination, Exchange, ExchangeKind, Item, ItemState, Names, Queue, QueueKind,
    QueueSettings, ServiceSettings,
};
use crate::transport::{
    Declare, Publication, PublisherOptions, SubscribeOptions, Subscription, Transport,
};
use std::sync::Arc;

type Arguments<'a> = &'a [(&'static str, HeaderValue)];

/// A broker with the whole topology and the service `export`.
async fn platform() -> (MemoryBroker, Names) {
    let broker = MemoryBroker::new();
    let names = Names::new("", "task_exchange", "platform.fifo").expect("the defaults are valid");
    let export = ServiceName::new("export").expect("valid");
    let mut items = topology::platform(&names, QueueSettings::Arguments);
    items.extend(topology::delay_levels(&names));
    items.extend(topology::service(
        &names,
        &export,
        &ServiceSettings::default(),
    ));
    let findings = topology::apply(&broker, items).await;
    for finding in findings.expect("the broker is here") {
        assert_eq!(finding.state, ItemState::Applied, "{}", finding.item);
    }
    (broker, names)
}

async fn declare(broker: &MemoryBroker, item: Item) {
    broker
        .declare(&item, Declare::Active)
        .await
        .expect("declared");
}

async fn queue(
    broker: &MemoryBroker,
    name: &str,
    kind: QueueKind,
    arguments: Arguments<'_>,
) -> QueueName {
    let arguments = arguments.iter().cloned();
    let queue = Queue {
        name: QueueName::new(name).expect("valid"),
        kind,
        arguments: arguments
            .map(|(name, value)| (name.into(), value))
            .collect(),
    };
    let name = queue.name.clone();
    declare(broker, Item::Queue(queue)).await;
    name
}

async fn fanout(broker: &MemoryBroker, name: &str) -> ExchangeName {
    let exchange = Exchange {
        name: ExchangeName::new(name).expect("valid"),
        kind: ExchangeKind::Fanout,
        internal: false,
        alternate: None,
    };
    let name = exchange.name.clone();
    declare(broker, Item::Exchange(exchange)).await;
    name
}

async fn bind(broker: &MemoryBroker, source: &ExchangeName, queue: &QueueName) {
    let binding = Binding {
        source: source.clone(),
        destination: Destination::Queue(queue.clone()),
        key: RoutingKey::new("").expect("short"),
        arguments: crate::message::Headers::new(),
    };
    declare(broker, Item::Binding(binding)).await;
}

fn message(exchange: &ExchangeName, key: &str, body: &str) -> Publication {
    Publication {
        exchange: exchange.clone(),
        routing_key: RoutingKey::new(key).expect("short"),
        content: Content::json(body.to_owned()),
    }
}

fn to_queue(queue: &QueueName, body: &str) -> Publication {
    message(&ExchangeName::default_exchange(), queue.as_str(), body)
}

async fn fill(broker: &MemoryBroker, queue: &QueueName, bodies: impl IntoIterator<Item = String>) {
    let publisher = broker.publisher(PublisherOptions::default());
    for body in bodies {
        let published = publisher.publish(to_queue(queue, &body)).await;
        published.expect("confirmed");
    }
}

fn subscribe(broker: &MemoryBroker, queue: &QueueName, prefetch: u16) -> Subscription {
    let options = SubscribeOptions::new(queue.clone(), prefetch);
    Subscription::open(Arc::new(broker.clone()), options)
}

async fn ready(broker: &MemoryBroker, queue: &QueueName) -> u32 {
    let depth = broker.depth(queue).await.expect("reachable");
    depth.expect("declared").ready
}
