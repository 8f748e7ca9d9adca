//! One consuming channel.

use super::connection::{within, within_on};
use super::convert;
use super::fault::{self, Answer};
use crate::names::QueueName;
use crate::transport::StreamOffset;
use crate::transport::delivery::{Requeue, Settlement};
use crate::transport::error::TransportError;
use crate::transport::link::{Arrival, Frame, Link};
use async_trait::async_trait;
use futures::Stream;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Least and longest pause between the last settlements and the end of a channel.
///
/// The channel's side of a quorum queue passes 32 commands on before the first of them is applied
/// (`quorum_commands_soft_limit`), holds back what comes then, and forgets it when the channel is
/// closed. With the first that is applied, all that was held back leaves.
const PAUSES: [Duration; 2] = [Duration::from_millis(30), Duration::from_secs(1)];

/// After so long there is nothing held back any more.
const LONG_SINCE: Duration = Duration::from_secs(2);

pub(super) struct AmqpLink {
    channel: Channel,
    queue: QueueName,
    consumers: Vec<Consuming>,
    /// Consumers that were started so far.
    started: u64,
    /// The consumer to ask first: they take turns.
    turn: usize,
    deadline: Duration,
    /// When the latest settlement was sent.
    settled_at: Option<Instant>,
    /// How long the queue took to apply a command, the last time that it could be seen.
    applying: Duration,
}

struct Consuming {
    tag: String,
    /// How many were started on the channel, this one included.
    number: u64,
    stream: Consumer,
    /// We ended it ourselves: its end is no failure.
    cancelled: bool,
}

impl AmqpLink {
    pub(super) fn new(channel: Channel, queue: QueueName, deadline: Duration) -> Self {
        Self {
            channel,
            queue,
            consumers: Vec::with_capacity(2),
            started: 0,
            turn: 0,
            deadline,
            settled_at: None,
            applying: Duration::ZERO,
        }
    }

    /// Starts a consumer that gets every message before all others, as long as it has room for one: the
    /// broker serves by priority, and nobody else asks for any.
    pub(super) async fn consume_first(
        &mut self,
        tag: &str,
        prefetch: u16,
    ) -> Result<(), TransportError> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-priority".into(), AMQPValue::LongInt(i32::MAX));
        self.start(tag, prefetch, arguments).await
    }

    async fn start(
        &mut self,
        tag: &str,
        prefetch: u16,
        arguments: FieldTable,
    ) -> Result<(), TransportError> {
        // RabbitMQ never serves a consumer of a quorum queue that takes the name of a cancelled one
        // while a message of that one is in hand: so no name comes twice on a channel.
        self.started += 1;
        let name = format!("{tag}-{}", self.started);
        let starting = async {
            // Quorum queues refuse global QoS, so each consumer has its own.
            self.channel
                .basic_qos(prefetch, BasicQosOptions::default())
                .await?;
            let options = BasicConsumeOptions::default();
            let queue = self.queue.as_str().into();
            self.channel
                .basic_consume(queue, name.as_str().into(), options, arguments)
                .await
        };
        let started = within_on(&self.channel, self.deadline, "a new consumer", starting).await?;
        let stream = started.map_err(|error| self.error(&error, "consuming"))?;
        self.consumers.push(Consuming {
            tag: tag.to_owned(),
            number: self.started,
            stream,
            cancelled: false,
        });
        Ok(())
    }

    fn error(&self, error: &lapin::Error, what: &str) -> TransportError {
        match fault::answer(error) {
            Answer::Missing => TransportError::NoQueue {
                queue: self.queue.clone(),
            },
            Answer::Differs(_) | Answer::Refused(_) | Answer::Gone => fault::transport_error(
                error,
                &format!("{what} queue {}", self.queue),
                "queue's broker",
            ),
        }
    }

    /// Consumer `index`: a message, its end, or nothing yet.
    fn poll_one(
        &mut self,
        index: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Arrival, TransportError>>> {
        let consuming = &mut self.consumers[index];
        match Pin::new(&mut consuming.stream).poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(delivery))) => {
                let arrival = convert::arrival(delivery, consuming.number);
                Poll::Ready(Some(Ok(arrival)))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(self.error(&error, "consuming"))))
            }
            Poll::Ready(None) if consuming.cancelled => {
                self.consumers.remove(index);
                Poll::Ready(None)
            }
            // Not asked for: the queue was deleted, or moved to another node.
            Poll::Ready(None) => Poll::Ready(Some(Err(TransportError::NoQueue {
                queue: self.queue.clone(),
            }))),
        }
    }
}

fn stream_arguments(from: Option<StreamOffset>) -> FieldTable {
    let offset = from.map(|from| match from {
        StreamOffset::First => "first".to_owned(),
        StreamOffset::Age(age) => format!("{}s", age.as_secs()),
        StreamOffset::Last => "last".to_owned(),
    });
    let mut arguments = FieldTable::default();
    if let Some(offset) = offset {
        arguments.insert(
            "x-stream-offset".into(),
            AMQPValue::LongString(offset.into()),
        );
    }
    arguments
}

#[async_trait]
impl Link for AmqpLink {
    async fn consume(
        &mut self,
        tag: &str,
        prefetch: u16,
        from: Option<StreamOffset>,
    ) -> Result<(), TransportError> {
        self.start(tag, prefetch, stream_arguments(from)).await
    }

    async fn cancel(&mut self, tag: &str) -> Result<(), TransportError> {
        let Some(consuming) = self
            .consumers
            .iter_mut()
            .find(|c| c.tag == tag && !c.cancelled)
        else {
            return Ok(());
        };
        consuming.cancelled = true;
        let name = consuming.stream.tag();
        let cancelling = self
            .channel
            .basic_cancel(name, BasicCancelOptions::default());
        let asked_at = Instant::now();
        let cancelled = within(self.deadline, "the end of a consumer", cancelling).await?;
        // A quorum queue applies this before it answers.
        self.applying = asked_at.elapsed();
        cancelled.map_err(|error| self.error(&error, "consuming"))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, TransportError>> {
        let mut asked = 0;
        while asked < self.consumers.len() {
            let index = (self.turn + asked) % self.consumers.len();
            match self.poll_one(index, cx) {
                Poll::Ready(Some(arrival)) => {
                    self.turn = index + 1;
                    return Poll::Ready(arrival);
                }
                Poll::Ready(None) => asked = 0,
                Poll::Pending => asked += 1,
            }
        }
        Poll::Pending
    }

    async fn settle(&mut self, frames: &[Frame]) -> Result<(), TransportError> {
        if !frames.is_empty() {
            self.settled_at = Some(Instant::now());
        }
        let settling = async {
            for frame in frames {
                match frame.how {
                    Settlement::Ack => {
                        self.channel
                            .basic_ack(
                                frame.tag,
                                BasicAckOptions {
                                    multiple: frame.multiple,
                                },
                            )
                            .await?;
                    }
                    Settlement::Nack(requeue) => {
                        let options = BasicNackOptions {
                            multiple: frame.multiple,
                            requeue: requeue == Requeue::Yes,
                        };
                        self.channel.basic_nack(frame.tag, options).await?;
                    }
                }
            }
            Ok(())
        };
        within(self.deadline, "acknowledgements", settling)
            .await?
            .map_err(|error| self.error(&error, "settling messages of"))
    }

    async fn settle_last(&mut self, frames: &[Frame]) -> Result<(), TransportError> {
        self.settle(frames).await?;
        if self.settled_at.is_some_and(|at| at.elapsed() < LONG_SINCE) {
            // A round trip that needs no permission: then they have reached the channel.
            let asking = self.channel.basic_qos(1, BasicQosOptions::default());
            let _ = within(self.deadline, "the last acknowledgements", asking).await;
            let [least, most] = PAUSES;
            tokio::time::sleep((self.applying * 3).clamp(least, most)).await;
        }
        Ok(())
    }

    async fn close(&mut self) {
        // A channel that does not close in time goes with its connection.
        let _ = within(
            self.deadline,
            "the end of a channel",
            self.channel.close(200, "bye".into()),
        )
        .await;
    }
}
