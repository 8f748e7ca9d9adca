//! One channel, as its owner has it.

use super::broker::{ChannelId, Shared};
use super::channel::{Channel, Gone, Parcel};
use super::client::ClientId;
use crate::names::QueueName;
use crate::transport::link::{Arrival, Frame, Link};
use crate::transport::{StreamOffset, TransportError};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) struct MemoryLink {
    shared: Arc<Shared>,
    id: ChannelId,
    queue: QueueName,
    /// Picked up, not looked at yet.
    parcels: VecDeque<Parcel>,
}

impl MemoryLink {
    pub(super) fn open(shared: Arc<Shared>, client: ClientId, queue: QueueName) -> Self {
        let id = shared.with(|state| {
            let id = state.new_channel_id();
            state.channels.insert(id, Channel::of(client));
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
    async fn consume(
        &mut self,
        tag: &str,
        prefetch: u16,
        from: Option<StreamOffset>,
    ) -> Result<(), TransportError> {
        self.shared
            .with(|state| state.consume(self.id, &self.queue, (tag, prefetch), from))
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
            consumer: parcel.consumer,
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
