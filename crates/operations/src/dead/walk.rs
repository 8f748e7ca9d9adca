//! All messages of a dead queue, each looked at once.
//!
//! Nothing is taken out unless it is [removed](Walk::remove): what was only looked at goes back when
//! the walk ends, in its old order, and also when the process is killed. A
//! [`Subscription`](counterfoil_toolbox::transport::Subscription) would not do: it takes what was
//! returned before for poison, and holds one such message at a time.

use crate::error::OperationError;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Messages that are dealt with together.
const AT_ONCE: usize = 100;

/// Most that one more consumer asks for at a time: bodies may be large.
const WIDEST: u16 = 5000;

/// How long nothing comes before the queue is asked whether there is more.
const QUIET: Duration = Duration::from_secs(1);

/// How often it may say so, and nothing comes.
const PATIENCE: u32 = 30;

/// How often a queue that is said to be empty, and should not be, is asked about, and the pause in between. RabbitMQ
/// says so of a quorum queue whose leader does not answer within 250 ms: on a busy node, or while it moves.
const ASKED: usize = 4;
const AGAIN: Duration = Duration::from_millis(300);

/// Name of the consumers.
const TAG: &str = "dead-walk";

/// A walk through one queue.
pub(super) struct Walk {
    transport: Arc<dyn Transport>,
    link: Box<dyn Link>,
    queue: QueueName,
    /// Messages that were there at the beginning: those that die meanwhile are not looked at.
    total: u32,
    seen: u32,
    /// Looked at and not removed.
    in_hand: usize,
    /// How many may be in hand.
    room: usize,
    consumers: usize,
}

impl Walk {
    /// Begins with the oldest message. `expected`: how many there are, as far as the platform was told.
    ///
    /// # Errors
    /// When there is no such queue, or the broker does not answer.
    pub(super) async fn begin(
        transport: &Arc<dyn Transport>,
        queue: &QueueName,
        expected: usize,
    ) -> Result<Self, OperationError> {
        let mut total = ready(&**transport, queue).await?;
        let asked_again = if expected > 0 { ASKED - 1 } else { 0 };
        for _ in 0..asked_again {
            if total > 0 {
                break;
            }
            sleep(AGAIN).await;
            total = ready(&**transport, queue).await?;
        }
        Ok(Self {
            link: transport.link(queue).await?,
            transport: Arc::clone(transport),
            queue: queue.clone(),
            total,
            seen: 0,
            in_hand: 0,
            room: 0,
            consumers: 0,
        })
    }

    /// The next messages; none: it was all.
    ///
    /// # Errors
    /// When the broker does not answer, or holds back what it has.
    pub(super) async fn page(&mut self) -> Result<Vec<Arrival>, OperationError> {
        let mut page = Vec::new();
        let mut silence = 0;
        while page.len() < AT_ONCE && self.seen < self.total {
            if self.in_hand >= self.room {
                self.widen().await?;
            }
            let next = poll_fn(|cx| self.link.poll_next(cx));
            match tokio::time::timeout(QUIET, next).await {
                Ok(arrival) => {
                    page.push(arrival?);
                    self.seen += 1;
                    self.in_hand += 1;
                }
                Err(_) if !page.is_empty() => break,
                // Messages may still be on their way, and a busy broker says too that there are none.
                Err(_) if silence == 0 => silence = 1,
                // Somebody else takes messages out.
                Err(_) if !has_more(&*self.transport, &self.queue).await? => self.total = self.seen,
                Err(_) if silence >= PATIENCE => {
                    return Err(TransportError::Timeout {
                        what: format!("the messages of queue {}", self.queue),
                        after: QUIET * silence,
                    }
                    .into());
                }
                Err(_) => silence += 1,
            }
        }
        Ok(page)
    }

    /// Room for more: what is looked at and kept stays in hand, so that it does not come again.
    async fn widen(&mut self) -> Result<(), OperationError> {
        let more = self.room.max(2 * AT_ONCE);
        let more = u16::try_from(more).unwrap_or(WIDEST).min(WIDEST);
        self.link.consume(TAG, more, None).await?;
        self.consumers += 1;
        self.room += usize::from(more);
        Ok(())
    }

    /// Takes messages out of the queue: their effect is durable.
    ///
    /// # Errors
    /// When the broker does not answer; they may still be in the queue then.
    pub(super) async fn remove(&mut self, tags: &[u64]) -> Result<(), OperationError> {
        let frame = |tag: &u64| Frame {
            tag: *tag,
            multiple: false,
            how: Settlement::Ack,
        };
        let frames: Vec<_> = tags.iter().map(frame).collect();
        self.link.settle(&frames).await?;
        self.in_hand -= tags.len();
        Ok(())
    }

    /// Gives back what was not removed.
    ///
    /// # Errors
    /// When the broker does not answer; what was removed last may still be in the queue then.
    pub(super) async fn end(mut self) -> Result<(), OperationError> {
        // Without consumers nothing more comes, and the link learns how long the queue takes.
        for _ in 0..self.consumers {
            self.link.cancel(TAG).await?;
        }
        self.link.settle_last(&[]).await?;
        self.link.close().await;
        Ok(())
    }
}

/// How many messages wait.
async fn ready(transport: &dyn Transport, queue: &QueueName) -> Result<u32, OperationError> {
    let depth = transport.depth(queue).await?;
    let depth = depth.ok_or_else(|| TransportError::NoQueue {
        queue: queue.clone(),
    })?;
    Ok(depth.ready)
}

// Not a method: a link is not to be borrowed by two threads at once, and so neither is a walk.
async fn has_more(transport: &dyn Transport, queue: &QueueName) -> Result<bool, OperationError> {
    let depth = transport.depth(queue).await?;
    Ok(depth.is_some_and(|depth| depth.ready > 0))
}
