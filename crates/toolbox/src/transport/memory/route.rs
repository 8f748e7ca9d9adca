//! From an exchange to the queues that get a message.

use super::broker::{QueueId, State};
use crate::message::Headers;
use crate::names::{ExchangeName, RoutingKey};
use crate::topology::{Destination, ExchangeKind};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The queues that get one copy each.
pub(super) type Targets = Arc<[QueueId]>;

/// Routes that were looked up since the topology last changed.
#[derive(Debug, Default)]
pub(super) struct RouteCache {
    known: HashMap<ExchangeName, HashMap<RoutingKey, Targets>>,
    entries: usize,
}

/// Keys come from outside: without a limit, a million different ones would fill the memory.
const MAX_CACHED: usize = 10_000;

impl RouteCache {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn get(&self, exchange: &ExchangeName, key: &RoutingKey) -> Option<Targets> {
        self.known.get(exchange)?.get(key).cloned()
    }

    fn insert(&mut self, exchange: &ExchangeName, key: &RoutingKey, targets: Targets) {
        if self.entries >= MAX_CACHED {
            self.clear();
        }
        self.entries += 1;
        self.known
            .entry(exchange.clone())
            .or_default()
            .insert(key.clone(), targets);
    }
}

impl State {
    /// The queues that a message gets to from `exchange`, each once; `None` when there is no such
    /// exchange.
    pub(super) fn route(
        &mut self,
        exchange: &ExchangeName,
        key: &RoutingKey,
        headers: &Headers,
    ) -> Option<Targets> {
        if let Some(targets) = self.routes.get(exchange, key) {
            return Some(targets);
        }
        if exchange.as_str().is_empty() {
            let queue = self.queue_ids.get(key.as_str());
            return Some(queue.copied().into_iter().collect());
        }
        self.exchanges.get(exchange)?;
        let (targets, by_key_alone) = self.walk(exchange, key, headers);
        if by_key_alone {
            self.routes.insert(exchange, key, targets.clone());
        }
        Some(targets)
    }

    /// Follows all bindings. Also tells whether the headers had no say in it.
    fn walk(&self, from: &ExchangeName, key: &RoutingKey, headers: &Headers) -> (Targets, bool) {
        let mut queues = BTreeSet::new();
        let mut seen = BTreeSet::from([from]);
        let mut next = vec![from];
        let mut by_key_alone = true;
        while let Some(name) = next.pop() {
            // A missing alternate exchange is no error.
            let Some(exchange) = self.exchanges.get(name) else {
                continue;
            };
            by_key_alone &= exchange.declared.kind != ExchangeKind::Headers;
            let mut taken = exchange.destinations(key, headers).peekable();
            // The alternate is asked when no binding was taken, not when those that were lead
            // nowhere: that is why the inner exchange of tasks carries it, not the outer one.
            if taken.peek().is_none() {
                next.extend(
                    exchange
                        .declared
                        .alternate
                        .iter()
                        .filter(|a| seen.insert(a)),
                );
            }
            for destination in taken {
                match destination {
                    Destination::Queue(queue) => queues.extend(self.queue_ids.get(queue)),
                    Destination::Exchange(exchange) => {
                        next.extend(Some(exchange).filter(|e| seen.insert(e)));
                    }
                }
            }
        }
        (queues.into_iter().collect(), by_key_alone)
    }
}
