//! Where events wait to be sent. There is room for a burst; beyond it, the oldest make way: how a task ended is of more
//! use than that it began.

use super::event::Event;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// Events that may wait.
const MOST: usize = 10_000;

/// Bytes that they may take.
const MOST_BYTES: usize = 8 << 20;

/// Events on their way to whoever sends them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    bytes: usize,
    /// How many made way since somebody asked.
    dropped: u64,
}

impl Outbox {
    /// Puts an event behind the others. Never waits.
    pub(crate) fn push(&self, event: Event) {
        let mut waiting = self.waiting();
        waiting.bytes += event.size();
        waiting.events.push_back(event);
        while waiting.events.len() > MOST || waiting.bytes > MOST_BYTES {
            waiting.pop();
            waiting.dropped += 1;
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// The next event.
    ///
    /// # Cancel safety
    /// Cancelled, no event is lost.
    pub(crate) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            self.filled.notified().await;
        }
    }

    /// The next event, if one waits.
    pub(crate) fn try_next(&self) -> Option<Event> {
        self.waiting().pop()
    }

    /// How many were dropped since this was asked last.
    pub(crate) fn dropped(&self) -> u64 {
        std::mem::take(&mut self.waiting().dropped)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= event.size();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::{Kind, Origin};
    use crate::node::Node;
    use chrono::DateTime;
    use serde_json::{Value, json};

    fn event(n: usize, padding: usize) -> Event {
        let fields = json!({"n": n, "padding": "x".repeat(padding)});
        let origin = Origin {
            hostname: "w",
            node: &Node::default(),
        };
        Event::new(Kind::TaskStarted, origin, DateTime::UNIX_EPOCH, &fields)
    }

    fn left(outbox: &Outbox) -> Vec<Value> {
        let exchange = || "celeryev".parse().expect("valid");
        let events = std::iter::from_fn(|| outbox.try_next());
        let bodies = events.map(|event| event.to(exchange(), "w").content.body);
        let read = |body: bytes::Bytes| serde_json::from_slice::<Value>(&body).expect("JSON");
        bodies.map(|body| read(body)["n"].clone()).collect()
    }

    #[test]
    fn the_oldest_of_a_burst_make_way_and_are_counted() {
        let outbox = Outbox::default();
        (0..MOST + 3).for_each(|n| outbox.push(event(n, 0)));
        assert_eq!((outbox.dropped(), outbox.dropped()), (3, 0));
        let left = left(&outbox);
        assert_eq!((left.len(), &left[0]), (MOST, &json!(3)));
    }

    #[test]
    fn large_ones_take_no_more_memory_than_many() {
        let outbox = Outbox::default();
        (0..10).for_each(|n| outbox.push(event(n, MOST_BYTES / 4)));
        assert_eq!(left(&outbox), [7, 8, 9]);
        assert_eq!((outbox.dropped(), outbox.waiting().bytes), (7, 0));
    }

    #[tokio::test]
    async fn whoever_waits_gets_the_next_one() {
        let outbox = Outbox::default();
        let (event, ()) = tokio::join!(outbox.next(), async { outbox.push(event(1, 0)) });
        assert!(event.size() > 0);
    }
}
