//! The delay levels, held against those that Celery 5.7 declared: whoever comes first, nobody meets a 406.

use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::message::HeaderValue;
use counterfoil_toolbox::topology::{Destination, Item, delay_levels};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What there was at the broker, each thing by a line that names it.
fn captured() -> BTreeMap<String, Value> {
    let text = include_str!("samples/broker-definitions-delayed-delivery.json");
    let capture: Value = serde_json::from_str(text).expect("JSON");
    let each = |kind: &str| capture[kind].as_array().expect("a list").clone();
    let mut found = BTreeMap::new();
    for queue in each("queues") {
        assert_eq!(
            (&queue["durable"], &queue["auto_delete"]),
            (&json!(true), &json!(false))
        );
        found.insert(
            format!("queue {}", queue["name"]),
            queue["arguments"].clone(),
        );
    }
    for exchange in each("exchanges") {
        assert_eq!(
            (&exchange["durable"], &exchange["auto_delete"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&exchange["internal"], &exchange["arguments"]),
            (&json!(false), &json!({}))
        );
        found.insert(
            format!("exchange {}", exchange["name"]),
            exchange["type"].clone(),
        );
    }
    for binding in each("bindings") {
        let line = format!(
            "{} to {} {} by {}",
            binding["source"],
            binding["destination_type"],
            binding["destination"],
            binding["routing_key"]
        );
        found.insert(line, binding["arguments"].clone());
    }
    found
}

/// The same of what we declare.
fn declared() -> BTreeMap<String, Value> {
    let names = BrokerSettings::default().names().expect("the usual ones");
    let items = delay_levels(&names).into_iter();
    let line = |item| match item {
        Item::Queue(queue) => {
            let mut arguments = queue.arguments.clone();
            arguments.set("x-queue-type", HeaderValue::from(queue.kind.as_str()));
            (
                format!("queue {:?}", queue.name.as_str()),
                arguments.to_json(),
            )
        }
        Item::Exchange(exchange) => {
            assert!(!exchange.internal && exchange.alternate.is_none());
            let kind = exchange.kind.as_str();
            (
                format!("exchange {:?}", exchange.name.as_str()),
                json!(kind),
            )
        }
        Item::Binding(binding) => {
            let (kind, to) = match &binding.destination {
                Destination::Queue(queue) => ("queue", queue.as_str()),
                Destination::Exchange(exchange) => ("exchange", exchange.as_str()),
            };
            let (source, key) = (binding.source.as_str(), binding.key.as_str());
            let line = format!("{source:?} to {kind:?} {to:?} by {key:?}");
            (line, binding.arguments.to_json())
        }
    };
    items.map(line).collect()
}

#[test]
fn the_delay_levels_are_those_of_celery_to_the_letter() {
    let mut theirs = captured();
    // What a Python worker binds for a queue of its own: no level, and nothing that we declare.
    let own = r##""celery_delayed_delivery" to "exchange" "proj" by "#.proj.default""##;
    assert!(theirs.remove(own).is_some());
    // Each queue is bound to the default exchange by its name, which nobody declares.
    assert_eq!(declared(), theirs);
}
