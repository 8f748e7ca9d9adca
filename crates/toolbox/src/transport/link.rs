//! One channel on a broker, as both transports implement it. [`Subscription`](super::Subscription)
//! adds what they share: caution, batched acknowledgements, reconnects.

pub use super::delivery::Settlement;

use super::error::TransportError;
use super::subscription::StreamOffset;
use crate::message::Content;
use crate::names::{ExchangeName, RoutingKey};
use async_trait::async_trait;
use std::task::{Context, Poll};

/// A message as it came out of a channel. [`Link`] has an example.
#[derive(Debug)]
pub struct Arrival {
    /// Number of the delivery, valid on its channel only.
    pub tag: u64,
    /// Which of the link's consumers got it: 1 is the one that was started first.
    pub consumer: u64,
    /// Properties, headers, body.
    pub content: Content,
    /// Exchange that it was published to.
    pub exchange: ExchangeName,
    /// Key that it was published with.
    pub routing_key: RoutingKey,
    /// The broker says that it was delivered before.
    pub redelivered: bool,
}

/// One or several deliveries settled together. [`Link`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The delivery, or the last of them.
    pub tag: u64,
    /// Every unsettled delivery up to `tag` too.
    pub multiple: bool,
    /// How they end.
    pub how: Settlement,
}

/// One channel that consumes one queue.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, Headers};
/// # use counterfoil_toolbox::names::ExchangeName;
/// # use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
/// # use counterfoil_toolbox::transport::{Declare, Publication, PublisherOptions, Transport, memory::MemoryBroker};
/// use counterfoil_toolbox::transport::link::{Arrival, Frame, Settlement};
/// use std::future::poll_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// # let queue: counterfoil_toolbox::names::QueueName = "letters".parse()?;
/// # let item = Item::Queue(Queue { name: queue.clone(), kind: QueueKind::Quorum, arguments: Headers::new() });
/// # broker.declare(&item, Declare::Active).await?;
/// # let letter = Publication { exchange: ExchangeName::default_exchange(), routing_key: "letters".parse()?, content: Content::json("{}") };
/// # broker.publisher(PublisherOptions::default()).publish(letter).await?;
/// let mut link = broker.link(&queue).await?;
/// link.consume("mine", 10, None).await?;
/// let arrival: Arrival = poll_fn(|cx| link.poll_next(cx)).await?;
/// link.settle(&[Frame { tag: arrival.tag, multiple: false, how: Settlement::Ack }]).await?;
/// link.close().await;
/// assert_eq!(broker.depth(&queue).await?.unwrap().ready, 0); // it is done
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Link: Send {
    /// Starts a consumer under `tag`, with a prefetch of its own. `from`: the queue is a stream, to
    /// be read from there; brokers refuse it for any other queue.
    ///
    /// # Errors
    /// [`TransportError`]; the link is of no use afterwards.
    async fn consume(
        &mut self,
        tag: &str,
        prefetch: u16,
        from: Option<StreamOffset>,
    ) -> Result<(), TransportError>;

    /// Ends the consumer `tag`. Deliveries that are already on their way still arrive.
    ///
    /// # Errors
    /// [`TransportError`]; the link is of no use afterwards.
    async fn cancel(&mut self, tag: &str) -> Result<(), TransportError>;

    /// The next message of any of its consumers. `Err`: the channel or a consumer ended, and the
    /// link is of no use any more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, TransportError>>;

    /// Settles deliveries, in order.
    ///
    /// # Errors
    /// [`TransportError`]; what was not settled is delivered again.
    async fn settle(&mut self, frames: &[Frame]) -> Result<(), TransportError>;

    /// Settles the last deliveries, and gives the broker time: as far as can be told, closing the
    /// channel loses none of it.
    ///
    /// # Errors
    /// [`TransportError`]; what was not settled is delivered again.
    async fn settle_last(&mut self, frames: &[Frame]) -> Result<(), TransportError> {
        self.settle(frames).await
    }

    /// Closes the channel: what was not settled goes back to the queue.
    async fn close(&mut self);
}
