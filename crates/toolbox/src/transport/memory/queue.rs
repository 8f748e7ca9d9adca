//! One queue: what it holds, in which order, and by which rules messages leave it.

use super::broker::ConsumerId;
use super::letters::Letters;
use crate::message::Content;
use crate::names::{ExchangeName, RoutingKey};
use crate::topology::{self, QueueKind};
use crate::transport::StreamOffset;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A message as it was published, shared by the queues that hold it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) content: Content,
    pub(super) exchange: ExchangeName,
    pub(super) routing_key: RoutingKey,
}

/// A message in one queue.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    /// Place in the queue.
    place: u64,
    /// How often it was delivered and came back.
    pub(super) returns: i64,
    expires: Option<Instant>,
}

/// Why a message left its queue without being acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Rejected,
    Expired,
    DeliveryLimit,
    MaxLen,
}

/// How a delivered message comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// Its consumer said so.
    Nacked,
    /// Its consumer is gone.
    Lost,
}

/// A queue's arguments, read.
#[derive(Debug, Default, Clone)]
pub(super) struct Rules {
    pub(super) ttl: Option<Duration>,
    pub(super) max_length: Option<usize>,
    pub(super) reject_publish: bool,
    pub(super) delivery_limit: Option<i64>,
    pub(super) dead_letter: Option<DeadLetter>,
}

/// Where a queue's dead messages go.
#[derive(Debug, Clone)]
pub(super) struct DeadLetter {
    pub(super) exchange: ExchangeName,
    /// Instead of the key that the message came with.
    pub(super) key: Option<RoutingKey>,
    /// Messages wait in the queue until another one has taken them.
    pub(super) at_least_once: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) declared: topology::Queue,
    pub(super) rules: Rules,
    /// Never delivered, or put back in their old place (classic queues).
    ready: VecDeque<Entry>,
    /// Came back to a quorum queue; they go before all others.
    returned: VecDeque<Entry>,
    /// What a stream holds, and since when.
    pub(super) log: Vec<(Instant, Arc<Message>)>,
    pub(super) letters: Letters,
    next_place: u64,
    full: bool,
    /// Consumers that can take a message, the longest waiting first.
    pub(super) idle: VecDeque<ConsumerId>,
    pub(super) consumers: Vec<ConsumerId>,
    /// When the clock comes back for this queue.
    pub(super) alarm: Option<Instant>,
    /// It goes with its last consumer.
    pub(super) goes_with_consumers: bool,
}

/// What became of a message that was routed to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    Stored,
    /// The queue is full and says so.
    Rejected,
}

impl Queue {
    pub(super) fn new(declared: topology::Queue, rules: Rules) -> Self {
        Self {
            declared,
            rules,
            ready: VecDeque::new(),
            returned: VecDeque::new(),
            log: Vec::new(),
            letters: Letters::default(),
            next_place: 0,
            full: false,
            idle: VecDeque::new(),
            consumers: Vec::new(),
            alarm: None,
            goes_with_consumers: false,
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        self.declared.kind == QueueKind::Stream
    }

    fn is_quorum(&self) -> bool {
        self.declared.kind == QueueKind::Quorum
    }

    /// Messages that wait for a consumer.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.returned.len() + self.log.len()
    }

    /// Length as the maximum counts it: a quorum queue's dead letters that nobody took are in it.
    fn counted_len(&self) -> usize {
        self.ready.len() + self.returned.len() + self.letters.len()
    }

    pub(super) fn push(
        &mut self,
        message: Arc<Message>,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Push {
        if self.is_stream() {
            self.log.push((now, message));
            return Push::Stored;
        }
        if self.rules.reject_publish && self.is_full() {
            return Push::Rejected;
        }
        let ttl = [ttl, self.rules.ttl].into_iter().flatten().min();
        self.ready.push_back(Entry {
            message,
            place: self.next_place,
            returns: 0,
            // A time that the clock cannot express is never.
            expires: ttl.and_then(|ttl| now.checked_add(ttl)),
        });
        self.next_place += 1;
        Push::Stored
    }

    /// Whether a message more is refused. A classic queue counts exactly; a quorum queue notices
    /// when it is over its limit, and then stays closed until it is 80 % full.
    fn is_full(&mut self) -> bool {
        let Some(max) = self.rules.max_length else {
            return false;
        };
        let len = self.counted_len();
        if !self.is_quorum() {
            return len >= max;
        }
        self.full = if self.full {
            len * 5 > max * 4
        } else {
            len > max
        };
        self.full
    }

    /// Takes the oldest message out when there are too many.
    pub(super) fn drop_head(&mut self) -> Option<Entry> {
        let max = self
            .rules
            .max_length
            .filter(|_| !self.rules.reject_publish)?;
        (self.counted_len() > max).then(|| self.take()).flatten()
    }

    fn next(&self) -> Option<&Entry> {
        self.returned.front().or_else(|| self.ready.front())
    }

    /// The message to deliver next.
    pub(super) fn take(&mut self) -> Option<Entry> {
        self.returned.pop_front().or_else(|| self.ready.pop_front())
    }

    /// The next message, when its time is over: only the head expires, whatever is behind it.
    pub(super) fn take_expired(&mut self, over: impl Fn(Instant) -> bool) -> Option<Entry> {
        self.next()?.expires.filter(|at| over(*at))?;
        self.take()
    }

    /// Takes a delivered message back. `Some`: it came back too often and is dead.
    pub(super) fn put_back(&mut self, mut entry: Entry, how: Back) -> Option<Entry> {
        entry.returns += 1;
        if !self.is_quorum() {
            let at = self
                .ready
                .partition_point(|other| other.place < entry.place);
            self.ready.insert(at, entry);
            return None;
        }
        match (self.rules.delivery_limit, how) {
            (Some(limit), _) if entry.returns > limit => return Some(entry),
            // Without a limit, RabbitMQ writes it anew, at the end, so that its log does not grow.
            (None, Back::Nacked) => self.ready.push_back(entry),
            (None, Back::Lost) | (Some(_), _) => self.returned.push_back(entry),
        }
        None
    }

    /// Where a new consumer begins in a stream.
    pub(super) fn position(&self, from: Option<StreamOffset>, now: Instant) -> usize {
        match from {
            // RabbitMQ's default: what comes from now on.
            None => self.log.len(),
            Some(StreamOffset::First) => 0,
            Some(StreamOffset::Last) => self.log.len().saturating_sub(1),
            Some(StreamOffset::Age(age)) => {
                let kept = |at: Instant| now.saturating_duration_since(at) <= age;
                self.log.partition_point(|(at, _)| !kept(*at))
            }
        }
    }

    /// Whether a delivery tells how often the message came back before.
    pub(super) fn counts_deliveries(&self) -> bool {
        self.is_quorum()
    }

    /// When something happens here without anybody doing anything.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let expiry = self.next().and_then(|entry| entry.expires);
        [expiry, self.letters.next_try()]
            .into_iter()
            .flatten()
            .min()
    }
}
