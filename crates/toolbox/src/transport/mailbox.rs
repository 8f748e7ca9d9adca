//! A queue that a process has for as long as it is there, for words to all processes of its kind.

use crate::message::Headers;
use crate::names::{ExchangeName, QueueName};
use std::time::Duration;

/// A queue of one connection's own, bound to a fanout exchange: both are lost with the broker, and the queue goes with its
/// consumer. This is what Celery's remote control speaks to. Opened by [`Transport::mailbox`](super::Transport::mailbox).
///
/// ```
/// # use counterfoil_toolbox::message::Content;
/// # use counterfoil_toolbox::transport::{Publication, PublisherOptions, memory::MemoryBroker};
/// use counterfoil_toolbox::transport::{Mailbox, Transport};
/// use std::future::poll_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// let mailbox = Mailbox::new("celery.pidbox".parse()?, "w1.celery.pidbox".parse()?);
/// let mut link = broker.mailbox(&mailbox).await?;
/// # let word = Publication { exchange: mailbox.exchange.clone(), routing_key: "x".parse()?, content: Content::json("{}") };
/// # broker.publisher(PublisherOptions::default()).publish(word).await?;
/// let word = poll_fn(|cx| link.poll_next(cx)).await?; // everybody with a mailbox there gets it
/// # let _ = word;
/// link.close().await;
/// assert_eq!(broker.depth(&mailbox.queue).await?, None); // it went with its consumer
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// What the words are sent to.
    pub exchange: ExchangeName,
    /// Where they come.
    pub queue: QueueName,
    /// How long one waits there. Default: 5 min.
    pub message_ttl: Duration,
    /// How long the queue stays without a consumer. Default: 10 s.
    pub expires: Duration,
    /// Words that are held unsettled at a time. Default: 100.
    pub prefetch: u16,
}

impl Mailbox {
    /// One with the defaults, which are those of Celery.
    #[must_use]
    pub const fn new(exchange: ExchangeName, queue: QueueName) -> Self {
        Self {
            exchange,
            queue,
            message_ttl: Duration::from_secs(300),
            expires: Duration::from_secs(10),
            prefetch: 100,
        }
    }

    /// The arguments of its queue.
    pub(super) fn arguments(&self) -> Headers {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let mut arguments = Headers::new();
        arguments.push("x-message-ttl", ms(self.message_ttl));
        arguments.push("x-expires", ms(self.expires));
        arguments
    }
}

/// The name of a mailbox's consumer.
pub(super) const TAG: &str = "mailbox";
