//! A consumer that acknowledges what it gets before its handler has done anything.

use async_trait::async_trait;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::Item;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use counterfoil_toolbox::transport::{
    Declare, DeclareError, Publisher, PublisherOptions, QueueDepth, ServerInfo, StreamOffset,
    Transport, TransportError,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Acknowledges every message of `queue` as it arrives, like a consumer with automatic acknowledgement.
#[derive(Debug)]
pub(super) struct Hasty {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) queue: QueueName,
}

#[async_trait]
impl Transport for Hasty {
    fn publisher(&self, options: PublisherOptions) -> Publisher {
        self.transport.publisher(options)
    }

    async fn link(&self, queue: &QueueName) -> Result<Box<dyn Link>, TransportError> {
        let link = self.transport.link(queue).await?;
        Ok(match *queue == self.queue {
            true => Box::new(HastyLink(link)),
            false => link,
        })
    }

    async fn declare(&self, item: &Item, how: Declare) -> Result<(), DeclareError> {
        self.transport.declare(item, how).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<QueueDepth>, TransportError> {
        self.transport.depth(queue).await
    }

    async fn delete_queue(&self, queue: &QueueName) -> Result<(), TransportError> {
        self.transport.delete_queue(queue).await
    }

    async fn delete_exchange(&self, exchange: &ExchangeName) -> Result<(), TransportError> {
        self.transport.delete_exchange(exchange).await
    }

    async fn server(&self) -> Result<ServerInfo, TransportError> {
        self.transport.server().await
    }

    async fn close(&self) {
        self.transport.close().await;
    }
}

struct HastyLink(Box<dyn Link>);

#[async_trait]
impl Link for HastyLink {
    async fn consume(
        &mut self,
        tag: &str,
        prefetch: u16,
        from: Option<StreamOffset>,
    ) -> Result<(), TransportError> {
        self.0.consume(tag, prefetch, from).await
    }

    async fn cancel(&mut self, tag: &str) -> Result<(), TransportError> {
        self.0.cancel(tag).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, TransportError>> {
        let arrival = ready!(self.0.poll_next(cx))?;
        let ack = Frame {
            tag: arrival.tag,
            multiple: false,
            how: Settlement::Ack,
        };
        let settled = pin!(self.0.settle(std::slice::from_ref(&ack))).poll(cx);
        let Poll::Ready(settled) = settled else {
            panic!("the broker in memory settles at once");
        };
        Poll::Ready(settled.map(|()| arrival))
    }

    async fn settle(&mut self, _: &[Frame]) -> Result<(), TransportError> {
        // It has done so already.
        Ok(())
    }

    async fn close(&mut self) {
        self.0.close().await;
    }
}
