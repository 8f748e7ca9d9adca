//! Dead letters: from the queue in which a message died to where that queue sends its dead.

use super::broker::{LETTER_RETRY, QueueId, State};
use super::death::{Death, buried, is_cycle};
use super::queue::{Entry, Message, Push, Reason};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// RabbitMQ sends no further dead letter of a queue while so many found no place.
const MAX_STUCK: usize = 32;

/// Dead messages of a queue that sends them at least once, until another queue has them.
#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: VecDeque<Letter>,
    stuck: VecDeque<(Instant, Letter)>,
}

#[derive(Debug)]
struct Letter {
    message: Arc<Message>,
    reason: Reason,
    /// Queues that have it already.
    taken_by: Vec<QueueId>,
}

/// A dead message of a queue that sends it once, come what may.
#[derive(Debug)]
pub(super) struct Outbound {
    message: Arc<Message>,
    reason: Reason,
}

impl Letters {
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.stuck.len()
    }

    pub(super) fn next_try(&self) -> Option<Instant> {
        self.stuck.front().map(|(at, _)| *at)
    }

    fn next(&mut self, now: Instant) -> Option<Letter> {
        match self.stuck.front() {
            Some((at, _)) if *at <= now => self.stuck.pop_front().map(|(_, letter)| letter),
            _ if self.stuck.len() < MAX_STUCK => self.waiting.pop_front(),
            _ => None,
        }
    }
}

impl State {
    /// A message left its queue unacknowledged: on to where its queue sends the dead, if anywhere.
    pub(super) fn bury(&mut self, id: QueueId, entry: Entry, reason: Reason) {
        let unix_seconds = self.unix_seconds();
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let Some(to) = &queue.rules.dead_letter else {
            return;
        };
        let death = Death {
            queue: &queue.declared.name,
            reason,
            unix_seconds,
        };
        let key = to.key.as_ref();
        let message = Arc::new(buried(&entry.message, &death, &to.exchange, key));
        if to.at_least_once {
            queue.letters.waiting.push_back(Letter {
                message,
                reason,
                taken_by: Vec::new(),
            });
            self.touch(id);
        } else {
            self.outbound.push_back(Outbound { message, reason });
        }
    }

    pub(super) fn send_once(&mut self, letter: &Outbound) {
        for queue in self.places(&letter.message, letter.reason) {
            // Whoever sends once does not ask.
            let _ = self.store(queue, &letter.message, None);
        }
    }

    /// Sends what is due. A letter that found no place, or only full ones, is tried again later.
    pub(super) fn send_letters(&mut self, id: QueueId) {
        let now = self.now;
        while let Some(mut letter) = self.queues.get_mut(&id).and_then(|q| q.letters.next(now)) {
            let places = self.places(&letter.message, letter.reason);
            let mut arrived = !places.is_empty();
            for place in places {
                if !letter.taken_by.contains(&place) {
                    match self.store(place, &letter.message, None) {
                        Push::Stored => letter.taken_by.push(place),
                        Push::Rejected => arrived = false,
                    }
                }
            }
            if !arrived && let Some(queue) = self.queues.get_mut(&id) {
                queue.letters.stuck.push_back((now + LETTER_RETRY, letter));
            }
        }
    }

    /// Where a dead letter goes: not back to where it died by itself. A letter that only a cycle
    /// would take has no place, and waits as if nothing were bound.
    fn places(&mut self, message: &Message, reason: Reason) -> Vec<QueueId> {
        let headers = &message.content.headers;
        let bound = self.route(&message.exchange, &message.routing_key, headers);
        let cycles = |id: &&QueueId| {
            let queue = self.queues.get(id);
            queue.is_some_and(|queue| is_cycle(headers, reason, &queue.declared.name))
        };
        let bound = bound.unwrap_or_default();
        bound.iter().filter(|id| !cycles(id)).copied().collect()
    }
}
