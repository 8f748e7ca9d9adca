//! The queues that a worker consumes, and others that it is to consume.

use super::answer::{Raised, ok};
use super::arguments::Arguments;
use super::panel::{Done, Outcome, Panel, no_name};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::message::Headers;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::{
    Binding, Destination, Exchange, ExchangeKind, Item, Names, Queue, QueueKind,
};
use counterfoil_toolbox::transport::{Declare, DeclareError, Transport};
use serde_json::{Value, json};

/// A queue that a worker is to consume, and how it is made where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewQueue {
    pub(super) queue: QueueName,
    exchange: ExchangeName,
    kind: ExchangeKind,
    key: RoutingKey,
}

impl NewQueue {
    fn of(arguments: &Arguments, names: &Names) -> Result<Self, Raised> {
        let queue = arguments.text("queue");
        let queue = queue.ok_or_else(|| Raised::missing("add_consumer", "queue"))?;
        let exchange = arguments.text("exchange").unwrap_or(queue);
        let key = arguments.text("routing_key").unwrap_or(queue);
        let kind = match arguments.text("exchange_type").unwrap_or("direct") {
            "direct" => ExchangeKind::Direct,
            "topic" => ExchangeKind::Topic,
            "fanout" => ExchangeKind::Fanout,
            "headers" => ExchangeKind::Headers,
            other => return Err(Raised::key_error(other)),
        };
        let queue = QueueName::new(queue).map_err(|error| no_name(&error))?;
        // A worker that consumed it would set aside as unreadable what the platform waits for.
        if names.is_of_platform(&queue) {
            return Err(Raised::value_error(&format!(
                "{queue} is one of the platform's own queues, which no worker consumes: name a queue of tasks"
            )));
        }
        Ok(Self {
            queue,
            exchange: ExchangeName::new(exchange).map_err(|error| no_name(&error))?,
            key: RoutingKey::new(key).map_err(|error| no_name(&error))?,
            kind,
        })
    }

    /// Makes it as Celery does, unless it is there, and tells what it made.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn ensure(&self, transport: &dyn Transport) -> Result<Vec<Item>, String> {
        let queue = Item::Queue(Queue {
            name: self.queue.clone(),
            kind: QueueKind::Classic,
            arguments: Headers::new(),
        });
        match transport.declare(&queue, Declare::Passive).await {
            Ok(()) => return Ok(Vec::new()),
            Err(DeclareError::Missing { .. }) => {}
            Err(error) => return Err(ErrorChain(&error).to_string()),
        }
        let exchange = Item::Exchange(Exchange {
            name: self.exchange.clone(),
            kind: self.kind,
            internal: false,
            alternate: None,
        });
        let binding = Item::Binding(Binding {
            source: self.exchange.clone(),
            destination: Destination::Queue(self.queue.clone()),
            key: self.key.clone(),
            arguments: Headers::new(),
        });
        let items = vec![exchange, queue, binding];
        for item in &items {
            let declared = transport.declare(item, Declare::Active).await;
            declared.map_err(|error| ErrorChain(&error).to_string())?;
        }
        Ok(items)
    }
}

impl Panel {
    pub(super) fn add_consumer(&self, arguments: &Arguments) -> Outcome {
        let new = NewQueue::of(arguments, &self.facts.names)?;
        let answer = ok(format!("add consumer {}", new.queue));
        Ok(Done::Consume(answer, new))
    }

    pub(super) fn cancel_consumer(&self, arguments: &Arguments) -> Result<Value, Raised> {
        let queue = arguments.text("queue");
        let queue = queue.ok_or_else(|| Raised::missing("cancel_consumer", "queue"))?;
        if let Ok(queue) = QueueName::new(queue) {
            self.inside.leave(&queue);
        }
        Ok(ok(format!("no longer consuming from {queue}")))
    }

    /// As kombu tells of queues.
    pub(super) fn active_queues(&self) -> Value {
        let queues = self.inside.queues().into_iter();
        queues.map(|queue| self.queue(&queue)).collect()
    }

    /// As an application says it that has counterfoil's settings: by which exchange and key the queue is reached. Who
    /// uses one that is made as Celery makes queues has none of those.
    fn queue(&self, queue: &QueueName) -> Value {
        let names = &self.facts.names;
        let declared = self.inside.declared(queue);
        let is_celerys = declared.as_ref().is_some_and(|declared| {
            declared.kind == QueueKind::Classic && declared.arguments.is_empty()
        });
        let arguments = declared.map(|declared| declared.all_arguments());
        let arguments = arguments.filter(|arguments| !arguments.is_empty());
        let (exchange, kind, key) = match is_celerys {
            true => (queue.as_str(), "direct", queue.as_str()),
            false => (names.tasks.as_str(), "topic", names.service_of(queue)),
        };
        json!({
            "name": queue.as_str(),
            "exchange": {
                "name": exchange,
                "type": kind,
                "arguments": null,
                "durable": true,
                "passive": false,
                "auto_delete": false,
                "delivery_mode": null,
                "no_declare": !is_celerys,
            },
            "routing_key": key,
            "queue_arguments": arguments.map(|arguments| arguments.to_json()),
            "binding_arguments": null,
            "consumer_arguments": null,
            "durable": true,
            "exclusive": false,
            "auto_delete": false,
            "no_ack": false,
            "alias": null,
            "bindings": [],
            "no_declare": (!is_celerys).then_some(true),
            "expires": null,
            "message_ttl": null,
            "max_length": null,
            "max_length_bytes": null,
            "max_priority": null,
        })
    }
}
