//! Taking the free tokens of a limit out of their queue, to look at them.

use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::tokens::TokenId;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use counterfoil_toolbox::transport::{Requeue, Transport, TransportError};
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Name of the consumer.
const NAME: &str = "look";

/// The free tokens that could be had, unacknowledged: as long as this is there, they are in hand.
pub(super) struct Look {
    link: Box<dyn Link>,
    /// Those that are none, by their delivery.
    pub(super) none: Vec<u64>,
    pub(super) tokens: Vec<(TokenId, u64)>,
}

impl Look {
    /// Takes what is free, `most` of it, and what is returned for as long as `patience`.
    ///
    /// # Errors
    /// When the queue cannot be consumed.
    pub(super) async fn take(
        transport: &dyn Transport,
        queue: &QueueName,
        most: u16,
        patience: Duration,
    ) -> Result<Self, TransportError> {
        let mut link = transport.link(queue).await?;
        link.consume(NAME, most, None).await?;
        let mut look = Self {
            link,
            none: Vec::new(),
            tokens: Vec::new(),
        };
        let until = Instant::now() + patience;
        while let Ok(arrival) = timeout_at(until, poll_fn(|cx| look.link.poll_next(cx))).await {
            look.note(&arrival?);
        }
        // What is given back must not come again.
        look.link.cancel(NAME).await?;
        Ok(look)
    }

    fn note(&mut self, arrival: &Arrival) {
        match TokenId::of(&arrival.content) {
            Some(token) => self.tokens.push((token, arrival.tag)),
            None => self.none.push(arrival.tag),
        }
    }

    /// Takes one out for good.
    ///
    /// # Errors
    /// When the channel is gone: then it is still there.
    pub(super) async fn remove(&mut self, tag: u64) -> Result<(), TransportError> {
        self.settle(tag, Settlement::Ack).await
    }

    /// Puts one back.
    ///
    /// # Errors
    /// When the channel is gone: then it is back.
    pub(super) async fn put_back(&mut self, tag: u64) -> Result<(), TransportError> {
        self.settle(tag, Settlement::Nack(Requeue::Yes)).await
    }

    async fn settle(&mut self, tag: u64, how: Settlement) -> Result<(), TransportError> {
        let frame = Frame {
            tag,
            multiple: false,
            how,
        };
        self.link.settle(&[frame]).await
    }

    /// Ends it; what was not settled goes back.
    pub(super) async fn close(mut self) {
        // What waits to be applied is not lost with the channel. If it is, it is as before the look.
        let _ = self.link.settle_last(&[]).await;
        self.link.close().await;
    }
}
