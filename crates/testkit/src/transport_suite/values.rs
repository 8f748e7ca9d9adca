//! Messages, exchanges and queues on one line.

use counterfoil_toolbox::message::{Content, HeaderValue};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::{Exchange, ExchangeKind, Queue, QueueKind};
use counterfoil_toolbox::transport::Publication;

pub(super) fn message(exchange: &ExchangeName, key: &str, body: &str) -> Publication {
    Publication {
        exchange: exchange.clone(),
        routing_key: RoutingKey::new(key).expect("keys of the suite are short"),
        content: Content::json(body.to_owned()),
    }
}

/// Arguments of a queue that refuses what comes when `most` messages wait in it.
pub(super) fn refusing_above(most: i64) -> [(&'static str, HeaderValue); 2] {
    [
        ("x-max-length", most.into()),
        ("x-overflow", "reject-publish".into()),
    ]
}

pub(super) fn exchange(name: &str, kind: ExchangeKind) -> Exchange {
    Exchange {
        name: ExchangeName::new(name).expect("names of the suite are short"),
        kind,
        internal: false,
        alternate: None,
    }
}

pub(super) fn queue(
    name: &str,
    kind: QueueKind,
    arguments: &[(&'static str, HeaderValue)],
) -> Queue {
    Queue {
        name: QueueName::new(name).expect("names of the suite are valid"),
        kind,
        arguments: arguments
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect(),
    }
}
