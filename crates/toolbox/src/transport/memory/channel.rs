//! Channels: their consumers, what those have in hand, and how it is settled.

use super::broker::{ChannelId, ConsumerId, QueueId, State, unreachable};
use super::client::ClientId;
use super::deliver::Unacked;
use super::queue::{Back, Message, Reason};
use crate::names::QueueName;
use crate::transport::delivery::{Requeue, Settlement};
use crate::transport::link::Frame;
use crate::transport::{StreamOffset, TransportError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

/// One channel, in the broker.
#[derive(Debug)]
pub(super) struct Channel {
    /// Whose it is.
    client: ClientId,
    consumers: Vec<Consumer>,
    unacked: BTreeMap<u64, Unacked>,
    last_tag: u64,
    last_consumer: u64,
    /// Delivered, not picked up yet.
    pub(super) parcels: VecDeque<Parcel>,
    pub(super) waker: Option<Waker>,
    gone: Option<Gone>,
}

#[derive(Debug)]
pub(super) struct Consumer {
    id: ConsumerId,
    tag: Box<str>,
    queue: QueueId,
    /// 0: no limit.
    prefetch: u16,
    pub(super) in_hand: u32,
    /// In a stream: the next message to read.
    pub(super) position: usize,
}

/// A message on its way to its consumer.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) tag: u64,
    /// Number of the channel's consumer.
    pub(super) consumer: u64,
    pub(super) message: Arc<Message>,
    /// A header that only this delivery has.
    pub(super) extra: Option<(&'static str, i64)>,
    pub(super) redelivered: bool,
}

/// Why a channel ended before it was closed.
#[derive(Debug, Clone)]
pub(super) enum Gone {
    /// The connection broke.
    Lost,
    /// A queue that it consumed was deleted.
    Deleted(QueueName),
    /// It broke the protocol.
    Refused { what: &'static str, reason: String },
    /// The broker was closed.
    Closed,
}

impl Gone {
    fn refused(what: &'static str, reason: String) -> Self {
        Self::Refused { what, reason }
    }

    fn error(&self) -> TransportError {
        match self {
            Self::Lost => unreachable(),
            Self::Deleted(queue) => TransportError::NoQueue {
                queue: queue.clone(),
            },
            Self::Refused { what, reason } => TransportError::Refused {
                what: (*what).to_owned(),
                reason: reason.clone(),
            },
            Self::Closed => TransportError::Closed,
        }
    }
}

impl Consumer {
    pub(super) fn has_room(&self) -> bool {
        self.prefetch == 0 || self.in_hand < u32::from(self.prefetch)
    }
}

impl Channel {
    pub(super) fn of(client: ClientId) -> Self {
        Self {
            client,
            consumers: Vec::new(),
            unacked: BTreeMap::new(),
            last_tag: 0,
            last_consumer: 0,
            parcels: VecDeque::new(),
            waker: None,
            gone: None,
        }
    }

    pub(super) fn consumer(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.id == id)
    }

    /// Puts a message on its way; returns whom to wake.
    pub(super) fn hand_out(&mut self, unacked: Unacked, parcel: Parcel) -> Option<Waker> {
        self.last_tag += 1;
        let tag = self.last_tag;
        self.unacked.insert(tag, unacked);
        self.parcels.push_back(Parcel { tag, ..parcel });
        self.waker.take()
    }
}

impl State {
    pub(super) fn channel(&mut self, id: ChannelId) -> Result<&mut Channel, TransportError> {
        match self.channels.get_mut(&id) {
            Some(Channel {
                gone: Some(gone), ..
            }) => Err(gone.error()),
            Some(channel) => Ok(channel),
            None => Err(TransportError::Closed),
        }
    }

    pub(super) fn consume(
        &mut self,
        id: ChannelId,
        name: &QueueName,
        (tag, prefetch): (&str, u16),
        from: Option<StreamOffset>,
    ) -> Result<(), TransportError> {
        let now = self.now;
        self.channel(id)?;
        let queue_id = self.queue_ids.get(name).copied();
        let (Some(queue_id), Some(channel)) = (queue_id, self.channels.get_mut(&id)) else {
            return Err(self.end_with(id, Gone::Deleted(name.clone())));
        };
        let Some(queue) = self.queues.get_mut(&queue_id) else {
            return Err(self.end_with(id, Gone::Deleted(name.clone())));
        };
        if channel.consumers.iter().any(|known| &*known.tag == tag) {
            let reason = format!("NOT_ALLOWED - attempt to reuse consumer tag '{tag}'");
            return Err(self.end_with(id, Gone::refused("a consumer", reason)));
        }
        if from.is_some() && !queue.is_stream() {
            let kind = queue.declared.kind.as_str();
            let reason = format!(
                "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{name}' in vhost '/' \
                 of queue type rabbit_{kind}_queue"
            );
            return Err(self.end_with(id, Gone::refused("a consumer", reason)));
        }
        channel.last_consumer += 1;
        let consumer = ConsumerId {
            channel: id,
            number: channel.last_consumer,
        };
        channel.consumers.push(Consumer {
            id: consumer,
            tag: tag.into(),
            queue: queue_id,
            prefetch,
            in_hand: 0,
            position: queue.position(from, now),
        });
        queue.consumers.push(consumer);
        if !queue.is_stream() {
            queue.idle.push_back(consumer);
        }
        self.touch(queue_id);
        Ok(())
    }

    pub(super) fn cancel(&mut self, id: ChannelId, tag: &str) -> Result<(), TransportError> {
        let channel = self.channel(id)?;
        let at = channel
            .consumers
            .iter()
            .position(|known| &*known.tag == tag);
        if let Some(at) = at {
            let consumer = channel.consumers.remove(at);
            self.forget(&consumer);
        }
        Ok(())
    }

    fn forget(&mut self, consumer: &Consumer) {
        let Some(queue) = self.queues.get_mut(&consumer.queue) else {
            return;
        };
        queue.consumers.retain(|id| *id != consumer.id);
        queue.idle.retain(|id| *id != consumer.id);
        if queue.goes_with_consumers && queue.consumers.is_empty() {
            let name = queue.declared.name.clone();
            self.delete_queue(&name);
        }
    }

    pub(super) fn settle(&mut self, id: ChannelId, frames: &[Frame]) -> Result<(), TransportError> {
        let client = self.channel(id)?.client;
        if !frames.is_empty() && self.faults.take_acks(client) {
            return Err(self.end_with(id, Gone::Lost));
        }
        for frame in frames {
            let unacked = &mut self.channel(id)?.unacked;
            // With `multiple`, too, RabbitMQ wants to know the very tag.
            if !unacked.contains_key(&frame.tag) {
                let reason = format!("PRECONDITION_FAILED - unknown delivery tag {}", frame.tag);
                return Err(self.end_with(id, Gone::refused("a settlement", reason)));
            }
            let settled: Vec<_> = if frame.multiple {
                let later = unacked.split_off(&(frame.tag + 1));
                std::mem::replace(unacked, later).into_values().collect()
            } else {
                unacked.remove(&frame.tag).into_iter().collect()
            };
            for message in &settled {
                self.give_credit(id, message);
            }
            let Settlement::Nack(requeue) = frame.how else {
                continue;
            };
            if settled.iter().any(|message| message.entry.is_none()) {
                let reason =
                    "NOT_IMPLEMENTED - basic.nack and basic.reject not supported by stream queues";
                return Err(self.end_with(id, Gone::refused("a settlement", reason.to_owned())));
            }
            match requeue {
                Requeue::Yes => self.give_back(settled, Back::Nacked),
                Requeue::No => self.reject(settled),
            }
        }
        Ok(())
    }

    fn reject(&mut self, messages: Vec<Unacked>) {
        for Unacked { queue, entry, .. } in messages {
            if let Some(entry) = entry {
                self.bury(queue, entry, Reason::Rejected);
            }
        }
    }

    fn end_with(&mut self, id: ChannelId, why: Gone) -> TransportError {
        self.end_channel(id, &why);
        why.error()
    }

    /// Ends a channel: its consumers are gone, what they had in hand goes back.
    pub(super) fn end_channel(&mut self, id: ChannelId, why: &Gone) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.gone.is_some() {
            return;
        }
        channel.gone = Some(why.clone());
        channel.parcels.clear();
        let consumers = std::mem::take(&mut channel.consumers);
        let unacked = std::mem::take(&mut channel.unacked);
        self.wakers.extend(channel.waker.take());
        for consumer in &consumers {
            self.forget(consumer);
        }
        self.give_back(unacked.into_values(), Back::Lost);
    }

    /// Ends the channels of a client.
    pub(super) fn close_channels(&mut self, client: ClientId, why: &Gone) {
        for channel in self.channels_of(client) {
            self.end_channel(channel, why);
        }
    }

    /// Ends one of the channels with which a client consumes, the `pick`th of them and from the first again
    /// beyond the last; returns its queue.
    pub(super) fn close_one(&mut self, client: ClientId, pick: u64) -> Option<QueueName> {
        let mut consuming = self.channels_of(client);
        consuming.retain(|id| !self.channels[id].consumers.is_empty());
        let count = u64::try_from(consuming.len()).ok()?;
        let nth = usize::try_from(pick.checked_rem(count)?).ok()?;
        let id = consuming[nth];
        let queue = self.channels[&id].consumers.first()?.queue;
        let queue = self.queues.get(&queue)?.declared.name.clone();
        self.end_channel(id, &Gone::Lost);
        Some(queue)
    }

    /// In the order in which they were opened.
    pub(super) fn channels_of(&self, client: ClientId) -> Vec<ChannelId> {
        let open = self.channels.iter().filter(|(_, it)| it.gone.is_none());
        let of_it = open.filter(|(_, channel)| client.covers(channel.client));
        of_it.map(|(id, _)| *id).collect()
    }

    /// Ends the channels that consume a queue which was just deleted.
    pub(super) fn end_consumers(&mut self, consumers: &[ConsumerId], queue: &QueueName) {
        for consumer in consumers {
            self.end_channel(consumer.channel, &Gone::Deleted(queue.clone()));
        }
    }
}
