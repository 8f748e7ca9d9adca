//! What a publisher does on one channel: writing, and making sense of the answers.

use super::{BURST, BURST_BYTES, Driver, InFlight, answer};
use crate::transport::amqp::{convert, fault};
use crate::transport::error::PublishError;
use crate::transport::publisher::Outgoing;
use futures::FutureExt as _;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::Instant;

impl Driver {
    /// Writes what waits. `Err`: the channel is of no use any more; `None` in it: it fell silent.
    pub(super) async fn send_burst(
        &mut self,
        channel: &Channel,
    ) -> Result<(), Option<lapin::Error>> {
        let (burst, properties) = self.sendable();
        let options = BasicPublishOptions {
            mandatory: self.options.mandatory,
            ..BasicPublishOptions::default()
        };
        let Some(deadline) = burst.first().map(|first| first.deadline) else {
            return Ok(());
        };
        // Each writes its frames when it is first polled, and that happens in this order; what is
        // awaited is only that they have left.
        let writing = burst.iter().zip(properties).map(|(outgoing, properties)| {
            let publication = &outgoing.publication;
            channel.basic_publish(
                publication.exchange.as_str().into(),
                publication.routing_key.as_str().into(),
                options,
                &publication.content.body,
                properties,
            )
        });
        let writing = futures::future::join_all(writing);
        // The broker may block the connection at this very moment.
        let Ok(written) = tokio::time::timeout_at(deadline, writing).await else {
            let after = self.confirm_timeout;
            for outgoing in burst {
                answer(outgoing, Err(PublishError::ConfirmTimeout { after }));
            }
            return Err(None);
        };
        let alone = self.in_flight.is_empty() && burst.len() == 1;
        let mut broken = Ok(());
        for (outgoing, written) in burst.into_iter().zip(written) {
            match written {
                Ok(confirm) => self.in_flight.push_back(InFlight { outgoing, confirm }),
                Err(error) => {
                    self.not_written(outgoing, &error, alone);
                    broken = Err(Some(error));
                }
            }
        }
        broken
    }

    /// What waits and can be sent together, at least one message; what cannot be sent is answered.
    fn sendable(&mut self) -> (Vec<Outgoing>, Vec<BasicProperties>) {
        let (now, late) = (Instant::now(), self.late());
        let mut burst = (Vec::with_capacity(BURST), Vec::with_capacity(BURST));
        let mut bytes = 0;
        while bytes < BURST_BYTES
            && let Some(outgoing) = self.waiting.pop_front()
        {
            if outgoing.deadline <= now {
                answer(outgoing, Err(late.clone()));
                continue;
            }
            let content = &outgoing.publication.content;
            match convert::properties(content, self.connections.user()) {
                Ok(properties) => {
                    bytes += content.body.len();
                    burst.extend([(outgoing, properties)]);
                }
                Err(error) => answer(outgoing, Err(error)),
            }
        }
        burst
    }

    fn not_written(&mut self, outgoing: Outgoing, error: &lapin::Error, alone: bool) {
        let publication = &outgoing.publication;
        let (exchange, key) = (&publication.exchange, &publication.routing_key);
        match fault::publish_error(error, exchange.as_str(), key.as_str(), alone) {
            // The next channel may have it.
            PublishError::Disconnected => self.waiting.push_back(outgoing),
            outcome @ (PublishError::Nacked
            | PublishError::Unroutable { .. }
            | PublishError::ConfirmTimeout { .. }
            | PublishError::Blocked { .. }
            | PublishError::NotSent { .. }
            | PublishError::Withdrawn
            | PublishError::Refused { .. }
            | PublishError::Invalid { .. }
            | PublishError::Closed) => answer(outgoing, Err(outcome)),
        }
    }

    /// The oldest message has its answer; so may those behind it.
    pub(super) fn confirmed(&mut self, said: lapin::Result<Confirmation>) -> lapin::Result<()> {
        let mut said = Some(said);
        while let Some(confirmation) = said {
            let confirmation = confirmation?;
            if let Some(oldest) = self.in_flight.pop_front() {
                self.settle(oldest, confirmation);
            }
            let next = self.in_flight.front_mut();
            said = next.and_then(|next| (&mut next.confirm).now_or_never());
        }
        Ok(())
    }

    /// Looks for answers behind the oldest message: one queue that is slow holds up nobody else's.
    pub(super) fn confirmed_out_of_turn(&mut self) -> lapin::Result<()> {
        let count = self.in_flight.len();
        // The oldest one is awaited, and must not be polled by anybody else. Once around.
        self.in_flight.rotate_left(count.min(1));
        for _ in 1..count {
            let Some(mut message) = self.in_flight.pop_front() else {
                break;
            };
            match (&mut message.confirm).now_or_never() {
                Some(Ok(confirmation)) => self.settle(message, confirmation),
                None => self.in_flight.push_back(message),
                Some(Err(error)) => {
                    self.in_flight.push_back(message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The channel broke (`Some`) or fell silent (`None`): what became of messages without an answer
    /// is unknown.
    pub(super) fn channel_failed(&mut self, error: Option<&lapin::Error>) {
        let alone = self.in_flight.len() == 1;
        let after = self.confirm_timeout;
        while let Some(mut lost) = self.in_flight.pop_front() {
            if let Some(Ok(confirmation)) = (&mut lost.confirm).now_or_never() {
                self.settle(lost, confirmation);
                continue;
            }
            let publication = &lost.outgoing.publication;
            let outcome = match error {
                Some(error) => fault::publish_error(
                    error,
                    publication.exchange.as_str(),
                    publication.routing_key.as_str(),
                    alone,
                ),
                None => PublishError::ConfirmTimeout { after },
            };
            answer(lost.outgoing, Err(outcome));
        }
    }

    /// Tells what the broker said of a message.
    fn settle(&mut self, message: InFlight, confirmation: Confirmation) {
        let publication = &message.outgoing.publication;
        let outcome = match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(PublishError::Unroutable {
                    exchange: publication.exchange.to_string(),
                    key: publication.routing_key.to_string(),
                })
            }
            Confirmation::Nack(None) => {
                self.turnover.refused(Instant::now());
                Err(PublishError::Nacked)
            }
            // The channel is in confirm mode, so this would be a fault of lapin: trust nothing.
            Confirmation::NotRequested => Err(PublishError::Disconnected),
        };
        answer(message.outgoing, outcome);
    }
}
