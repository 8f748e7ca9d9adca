//! Queues that take nothing, and when they are tried again. What waits for one holds up no other.

use counterfoil_store::OutboxMessage;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// First pause after a refusal; each one more doubles it.
const FIRST: Duration = Duration::from_millis(500);

/// Longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// What is known of queues that do not take everything at once.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<String, Pause>);

#[derive(Debug, Clone, Copy)]
struct Pause {
    /// When it may be tried. `None`: it is being tried.
    until: Option<Instant>,
    refusals: u32,
}

impl Held {
    /// Queues for which nothing is to be read now.
    pub(super) fn queues(&self, now: Instant) -> Vec<String> {
        let held = |pause: &Pause| pause.until.is_none_or(|until| until > now);
        let held = self.0.iter().filter(|(_, pause)| held(pause));
        held.map(|(queue, _)| queue.clone()).collect()
    }

    /// When the next of them may be tried.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|pause| pause.until).min()
    }

    /// Whether the queue has refused something, and nothing went well since.
    fn is_doubtful(&self, queue: &str) -> bool {
        self.0.contains_key(queue)
    }

    /// A message is being tried: nothing else of its queue is, until its outcome is known.
    pub(super) fn tries(&mut self, queue: &str) {
        let pause = self.0.entry(queue.to_owned()).or_insert(Pause {
            until: None,
            refusals: 0,
        });
        pause.until = None;
    }

    /// It took a message. Whether that is news.
    pub(super) fn took(&mut self, queue: &str) -> bool {
        self.0.remove(queue).is_some_and(|pause| pause.refusals > 0)
    }

    /// It did not take a message. Whether that is news.
    pub(super) fn refused(&mut self, queue: &str, now: Instant) -> bool {
        let pause = self.0.entry(queue.to_owned()).or_insert(Pause {
            until: None,
            refusals: 0,
        });
        // Of many that were under way, each is refused; that is one refusal.
        if pause.until.is_none_or(|until| until <= now) {
            let doubled = FIRST.saturating_mul(1 << pause.refusals.min(10));
            pause.until = Some(now + doubled.min(LONGEST));
            pause.refusals += 1;
            return pause.refusals == 1;
        }
        false
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Divides what is due: what goes out together, and the first message of each queue of which nobody
/// knows whether it will be taken. The others of those queues wait for that one.
pub(super) fn chosen(
    due: Vec<OutboxMessage>,
    held: &Held,
) -> (Vec<OutboxMessage>, Vec<OutboxMessage>) {
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    let mut tried = HashSet::new();
    for message in due {
        // Only the exchange of tasks has a queue for everything.
        let is_doubtful = held.is_doubtful(&message.queue) || !message.message.exchange.is_empty();
        if tried.contains(&message.queue) {
            continue;
        }
        if is_doubtful {
            tried.insert(message.queue.clone());
            alone.push(message);
        } else {
            together.push(message);
        }
    }
    (together, alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::StoredMessage;
    use counterfoil_toolbox::message::Content;

    fn message(position: i64, exchange: &str, queue: &str) -> OutboxMessage {
        OutboxMessage {
            position,
            key: position.to_string(),
            queue: queue.to_owned(),
            message: StoredMessage {
                exchange: exchange.into(),
                routing_key: format!("{queue}.task").into(),
                content: Content::json("[]"),
            },
        }
    }

    fn positions(messages: &[OutboxMessage]) -> Vec<i64> {
        messages.iter().map(|message| message.position).collect()
    }

    #[test]
    fn a_queue_that_refused_is_tried_with_one_message_while_others_get_all_of_theirs() {
        let now = Instant::now();
        let mut held = Held::default();
        assert!(held.refused("full", now), "news");
        assert!(!held.refused("full", now), "one of many under way");
        assert_eq!(held.queues(now), ["full"]);
        let later = now + FIRST;
        assert_eq!(held.next(), Some(later));
        assert!(held.queues(later).is_empty());
        let due = vec![
            message(1, "", "full"),
            message(2, "", "demo"),
            message(3, "", "full"),
            message(4, "", "demo"),
        ];
        let (together, alone) = chosen(due, &held);
        assert_eq!(
            (positions(&together), positions(&alone)),
            (vec![2, 4], vec![1])
        );
        held.tries("full");
        assert_eq!(held.queues(later), ["full"], "one is under way");
        assert_eq!(held.next(), None);
        assert!(held.took("full"), "news");
        assert!(held.queues(later).is_empty());
    }

    #[test]
    fn pauses_grow_to_an_end() {
        let mut held = Held::default();
        let mut now = Instant::now();
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            held.refused("full", now);
            let pause = held.next().expect("held") - now;
            assert!(pause >= last && pause <= LONGEST);
            (last, now) = (pause, now + pause);
        }
        assert_eq!(last, LONGEST);
    }

    #[test]
    fn what_goes_to_another_exchange_goes_one_by_one() {
        let due = vec![
            message(1, "other", "a"),
            message(2, "other", "a"),
            message(3, "", "b"),
        ];
        let (together, alone) = chosen(due, &Held::default());
        assert_eq!(
            (positions(&together), positions(&alone)),
            (vec![3], vec![1])
        );
    }
}
