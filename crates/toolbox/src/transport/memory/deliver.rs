//! From queues to consumers that have room, in turn.

use super::broker::{ChannelId, ConsumerId, QueueId, State};
use super::channel::Parcel;
use super::queue::{Back, Entry, Queue, Reason};
use crate::message::names::DELIVERY_COUNT;

/// Place of a message in its stream, as RabbitMQ adds it.
const STREAM_OFFSET: &str = "x-stream-offset";

/// A message that a consumer has in hand, or soon will.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) queue: QueueId,
    pub(super) consumer: ConsumerId,
    /// `None`: from a stream, which keeps its messages anyway.
    pub(super) entry: Option<Entry>,
}

impl State {
    /// Hands out messages while there are some and somebody has room.
    pub(super) fn deliver(&mut self, id: QueueId) {
        let now = self.now;
        match self.queues.get(&id) {
            None => return,
            Some(queue) if queue.is_stream() => return self.deliver_stream(id),
            Some(_) => {}
        }
        while let Some(entry) = self.queues.get_mut(&id).and_then(Queue::drop_head) {
            self.bury(id, entry, Reason::MaxLen);
        }
        loop {
            // A message whose time is over just now may still be taken by somebody who waits.
            self.expire(id, |at| at < now);
            let Some(queue) = self.queues.get_mut(&id) else {
                return;
            };
            let Some(consumer) = queue.idle.front().copied() else {
                break;
            };
            let Some(entry) = queue.take() else { break };
            queue.idle.pop_front();
            let count = (entry.returns > 0 && queue.counts_deliveries()).then_some(entry.returns);
            let parcel = Parcel {
                tag: 0,
                consumer: consumer.number,
                message: entry.message.clone(),
                extra: count.map(|count| (DELIVERY_COUNT, count)),
                redelivered: entry.returns > 0,
            };
            let unacked = Unacked {
                queue: id,
                consumer,
                entry: Some(entry),
            };
            if self.hand_out(unacked, parcel)
                && let Some(queue) = self.queues.get_mut(&id)
            {
                queue.idle.push_back(consumer);
            }
        }
        self.expire(id, |at| at <= now);
    }

    /// Every consumer of a stream reads all of it, at its own pace.
    fn deliver_stream(&mut self, id: QueueId) {
        let readers = self.queues.get(&id).map(|queue| queue.consumers.clone());
        for consumer in readers.unwrap_or_default() {
            while let Some(parcel) = self.next_of_stream(id, consumer) {
                let unacked = Unacked {
                    queue: id,
                    consumer,
                    entry: None,
                };
                self.hand_out(unacked, parcel);
            }
        }
    }

    fn next_of_stream(&mut self, id: QueueId, consumer: ConsumerId) -> Option<Parcel> {
        let queue = self.queues.get(&id)?;
        let number = consumer.number;
        let consumer = self
            .channels
            .get_mut(&consumer.channel)?
            .consumer(consumer)?;
        let (_, message) = queue
            .log
            .get(consumer.position)
            .filter(|_| consumer.has_room())?;
        let offset = i64::try_from(consumer.position).unwrap_or(i64::MAX);
        consumer.position += 1;
        Some(Parcel {
            tag: 0,
            consumer: number,
            message: message.clone(),
            extra: Some((STREAM_OFFSET, offset)),
            redelivered: false,
        })
    }

    fn expire(&mut self, id: QueueId, over: impl Fn(tokio::time::Instant) -> bool + Copy) {
        while let Some(entry) = self.queues.get_mut(&id).and_then(|q| q.take_expired(over)) {
            self.bury(id, entry, Reason::Expired);
        }
    }

    /// Gives one message to a consumer. True: it has room for another.
    fn hand_out(&mut self, unacked: Unacked, parcel: Parcel) -> bool {
        let Some(channel) = self.channels.get_mut(&unacked.consumer.channel) else {
            return false;
        };
        let has_room = channel.consumer(unacked.consumer).is_some_and(|consumer| {
            consumer.in_hand += 1;
            consumer.has_room()
        });
        self.wakers.extend(channel.hand_out(unacked, parcel));
        has_room
    }

    /// Takes messages back that a consumer had in hand, in the order of their delivery.
    pub(super) fn give_back(&mut self, messages: impl IntoIterator<Item = Unacked>, how: Back) {
        for Unacked {
            queue: id, entry, ..
        } in messages
        {
            let dead = match (self.queues.get_mut(&id), entry) {
                (Some(queue), Some(entry)) => queue.put_back(entry, how),
                // The queue is gone, or it is a stream.
                (None, _) | (_, None) => None,
            };
            if let Some(entry) = dead {
                self.bury(id, entry, Reason::DeliveryLimit);
            }
            self.touch(id);
        }
    }

    /// A consumer has one message less in hand.
    pub(super) fn give_credit(&mut self, channel: ChannelId, unacked: &Unacked) {
        let consumer = self
            .channels
            .get_mut(&channel)
            .and_then(|channel| channel.consumer(unacked.consumer));
        let Some(consumer) = consumer else { return };
        let was_full = !consumer.has_room();
        consumer.in_hand -= 1;
        if was_full && consumer.has_room() {
            // Those of a stream do not take turns.
            let queue = self.queues.get_mut(&unacked.queue);
            if let Some(queue) = queue.filter(|queue| !queue.is_stream()) {
                queue.idle.push_back(unacked.consumer);
            }
            self.touch(unacked.queue);
        }
    }
}

impl Parcel {
    /// The message as its consumer sees it.
    pub(super) fn content(&self) -> crate::message::Content {
        let mut content = self.message.content.clone();
        if let Some((name, value)) = self.extra {
            content.headers.set(name, value);
        }
        content
    }
}
