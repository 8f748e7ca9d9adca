//! Creating exchanges, queues and bindings, comparing them with what is there, deleting them.

use super::arguments::{exchange_difference, queue_difference, rules};
use super::broker::State;
use super::exchange::Exchange;
use super::queue::Queue;
use crate::message::{HeaderValue, Headers};
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::topology::{self, Binding, Destination, ExchangeKind, Item, QueueKind};
use crate::transport::{Declare, DeclareError, Mailbox, QueueDepth, TransportError};

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
            None if wanted.name.as_str().is_empty() => Err(TransportError::Refused {
                what: item.to_string(),
                reason: "ACCESS_REFUSED - operation not permitted on the default exchange"
                    .to_owned(),
            }
            .into()),
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
                let how = binding
                    .arguments
                    .get("x-match")
                    .and_then(HeaderValue::as_str);
                if source.declared.kind == ExchangeKind::Headers && !knows(how) {
                    return Err(DeclareError::Invalid {
                        item: item.to_string(),
                        reason:
                            "PRECONDITION_FAILED - Invalid x-match field value; expected all, any, \
                                 all-with-x, or any-with-x"
                                .to_owned(),
                    });
                }
                source.bind(binding);
                self.routes.clear();
                Ok(())
            }
        }
    }

    /// A queue that goes with its consumer, bound to its exchange.
    pub(super) fn make_mailbox(&mut self, mailbox: &Mailbox) -> Result<(), TransportError> {
        let (exchange, queue) = (&mailbox.exchange, &mailbox.queue);
        let refused = |reason: String| TransportError::Refused {
            what: format!("mailbox {queue}"),
            reason,
        };
        if self.queue_ids.contains_key(queue) {
            let reason =
                format!("RESOURCE_LOCKED - cannot obtain exclusive access to queue '{queue}'");
            return Err(refused(reason));
        }
        let items = [
            Item::Exchange(topology::Exchange {
                name: exchange.clone(),
                kind: ExchangeKind::Fanout,
                internal: false,
                alternate: None,
            }),
            Item::Queue(topology::Queue {
                name: queue.clone(),
                kind: QueueKind::Classic,
                arguments: mailbox.arguments(),
            }),
            Item::Binding(Binding {
                source: exchange.clone(),
                destination: Destination::Queue(queue.clone()),
                key: RoutingKey::new("").map_err(|error| refused(error.to_string()))?,
                arguments: Headers::new(),
            }),
        ];
        for item in items {
            let declared = self.declare(&item, Declare::Active);
            declared.map_err(|error| refused(error.to_string()))?;
        }
        let made = self.queue_ids.get(queue);
        if let Some(made) = made.and_then(|id| self.queues.get_mut(id)) {
            made.goes_with_consumers = true;
        }
        Ok(())
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

fn knows(x_match: Option<&str>) -> bool {
    matches!(
        x_match,
        None | Some("all" | "any" | "all-with-x" | "any-with-x")
    )
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
