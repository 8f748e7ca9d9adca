//! Channels: their consumers, what those have in hand, and how it is settled.

use super::broker::{ChannelId, ConsumerId, QueueId, Shared, State, unreachable};
use super::deliver::Unacked;
use super::queue::{Message, Reason};
use crate::names::QueueName;
use crate::transport::TransportError;
use crate::transport::delivery::{Requeue, Settlement};
use crate::transport::link::{Arrival, Frame, Link};
use async_trait::async_trait;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// One channel, in the broker.
#[derive(Debug, Default)]
pub(super) struct Channel {
    consumers: Vec<Consumer>,
    unacked: BTreeMap<u64, Unacked>,
    last_tag: u64,
    last_consumer: u64,
    /// Delivered, not picked up yet.
    parcels: VecDeque<Parcel>,
    waker: Option<Waker>,
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
    fn channel(&mut self, id: ChannelId) -> Result<&mut Channel, TransportError> {
        match self.channels.get_mut(&id) {
            Some(Channel {
                gone: Some(gone), ..
            }) => Err(gone.error()),
            Some(channel) => Ok(channel),
            None => Err(TransportError::Closed),
        }
    }

    fn consume(
        &mut self,
        id: ChannelId,
        queue: &QueueName,
        tag: &str,
        prefetch: u16,
    ) -> Result<(), TransportError> {
        let queue_id = self.queue_ids.get(queue).copied();
        let channel = self.channel(id)?;
        if channel.consumers.iter().any(|known| &*known.tag == tag) {
            let reason = format!("NOT_ALLOWED - attempt to reuse consumer tag '{tag}'");
            let what = "a consumer";
            self.end_channel(id, &Gone::Refused { what, reason });
            return self.channel(id).map(|_| ());
        }
        let Some(queue_id) = queue_id else {
            self.end_channel(id, &Gone::Deleted(queue.clone()));
            return self.channel(id).map(|_| ());
        };
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
            position: 0,
        });
        if let Some(queue) = self.queues.get_mut(&queue_id) {
            queue.consumers.push(consumer);
            if !queue.is_stream() {
                queue.idle.push_back(consumer);
            }
        }
        self.touch(queue_id);
        Ok(())
    }

    fn cancel(&mut self, id: ChannelId, tag: &str) -> Result<(), TransportError> {
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
        if let Some(queue) = self.queues.get_mut(&consumer.queue) {
            queue.consumers.retain(|id| *id != consumer.id);
            queue.idle.retain(|id| *id != consumer.id);
        }
    }

    fn settle(&mut self, id: ChannelId, frames: &[Frame]) -> Result<(), TransportError> {
        for frame in frames {
            let unacked = &mut self.channel(id)?.unacked;
            if !unacked.contains_key(&frame.tag) {
                let reason = format!("PRECONDITION_FAILED - unknown delivery tag {}", frame.tag);
                let what = "a settlement";
                self.end_channel(id, &Gone::Refused { what, reason });
                return self.channel(id).map(|_| ());
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
            match frame.how {
                Settlement::Ack => {}
                Settlement::Nack(Requeue::Yes) => self.give_back(settled),
                Settlement::Nack(Requeue::No) => {
                    for Unacked { queue, entry, .. } in settled {
                        if let Some(entry) = entry {
                            self.bury(queue, entry, Reason::Rejected);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends a channel: its consumers are gone, what they had in hand goes back.
    fn end_channel(&mut self, id: ChannelId, why: &Gone) {
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
        self.give_back(unacked.into_values());
    }

    pub(super) fn close_channels(&mut self, why: &Gone) {
        let all: Vec<_> = self.channels.keys().copied().collect();
        for channel in all {
            self.end_channel(channel, why);
        }
    }

    pub(super) fn close_channels_for_good(&mut self) {
        self.close_channels(&Gone::Closed);
    }

    /// Ends the channels that consume a queue which was just deleted.
    pub(super) fn end_consumers(&mut self, consumers: &[ConsumerId], queue: &QueueName) {
        for consumer in consumers {
            self.end_channel(consumer.channel, &Gone::Deleted(queue.clone()));
        }
    }
}

/// One channel, in its owner's hands.
pub(super) struct MemoryLink {
    shared: Arc<Shared>,
    id: ChannelId,
    queue: QueueName,
    /// Picked up, not looked at yet.
    parcels: VecDeque<Parcel>,
}

impl MemoryLink {
    pub(super) fn open(shared: Arc<Shared>, queue: QueueName) -> Self {
        let id = shared.with(|state| {
            let id = state.new_channel_id();
            state.channels.insert(id, Channel::default());
            id
        });
        Self {
            shared,
            id,
            queue,
            parcels: VecDeque::new(),
        }
    }

    fn end(&mut self) {
        self.parcels.clear();
        self.shared.with(|state| {
            state.end_channel(self.id, &Gone::Closed);
            state.channels.remove(&self.id);
        });
    }
}

#[async_trait]
impl Link for MemoryLink {
    async fn consume(&mut self, tag: &str, prefetch: u16) -> Result<(), TransportError> {
        self.shared
            .with(|state| state.consume(self.id, &self.queue, tag, prefetch))
    }

    async fn cancel(&mut self, tag: &str) -> Result<(), TransportError> {
        self.shared.with(|state| state.cancel(self.id, tag))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, TransportError>> {
        if self.parcels.is_empty() {
            let picked_up = self.shared.with(|state| {
                let channel = state.channel(self.id)?;
                channel.waker = Some(cx.waker().clone());
                Ok(std::mem::take(&mut channel.parcels))
            });
            match picked_up {
                Ok(parcels) => self.parcels = parcels,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let Some(parcel) = self.parcels.pop_front() else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(Arrival {
            tag: parcel.tag,
            content: parcel.content(),
            exchange: parcel.message.exchange.clone(),
            routing_key: parcel.message.routing_key.clone(),
            redelivered: parcel.redelivered,
        }))
    }

    async fn settle(&mut self, frames: &[Frame]) -> Result<(), TransportError> {
        self.shared.with(|state| state.settle(self.id, frames))
    }

    async fn close(&mut self) {
        self.end();
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        self.end();
    }
}
