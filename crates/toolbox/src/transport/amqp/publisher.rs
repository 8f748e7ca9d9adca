//! The loop behind a publisher: one channel in confirm mode at a time.
//!
//! One task owns the channel, since lapin gives confirms to the wrong callers when several share
//! it. Confirms are awaited in order: brokers mostly send them so, and a queue is cheaper to poll
//! than a set.

use super::connection::Connections;
use super::{convert, fault};
use crate::backoff::Backoff;
use crate::error::ErrorChain;
use crate::transport::error::{PublishError, TransportError};
use crate::transport::publisher::{Outgoing, PublisherOptions};
use futures::FutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How often the oldest unconfirmed message is compared with its deadline.
const TICK: Duration = Duration::from_millis(50);

/// Longest pause between two tries to reach the broker.
const RECONNECT_CAP: Duration = Duration::from_secs(2);

/// A message between the socket and its confirm.
struct InFlight {
    outgoing: Outgoing,
    confirm: PublisherConfirm,
    deadline: Instant,
}

struct Driver {
    connections: Connections,
    options: PublisherOptions,
    outgoing: mpsc::Receiver<Outgoing>,
    /// Taken, not sent yet: it waits for a connection.
    next: Option<(Outgoing, Instant)>,
    in_flight: VecDeque<InFlight>,
}

/// Runs until the last handle is dropped or the transport is closed.
pub(super) async fn drive(
    connections: Connections,
    options: PublisherOptions,
    outgoing: mpsc::Receiver<Outgoing>,
) {
    let closed = connections.closed().clone();
    let in_flight = VecDeque::with_capacity(options.window);
    let mut driver = Driver {
        connections,
        options,
        outgoing,
        next: None,
        in_flight,
    };
    let ended = closed.run_until_cancelled(driver.run()).await;
    if ended.is_none() {
        driver.outgoing.close();
        driver.fail_waiting(&PublishError::Closed);
    }
}

impl Driver {
    async fn run(&mut self) {
        let mut tries = 0;
        while self.wait_for_work().await {
            match self.open().await {
                Ok(channel) => {
                    tries = 0;
                    self.publish_on(&channel).await;
                    // Dropped without a goodbye it would stay open as long as its connection.
                    let _ = self
                        .connections
                        .within("the end of a channel", channel.close(200, "bye".into()))
                        .await;
                }
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "publisher cannot reach the broker");
                    self.give_up_late_ones(&error).await;
                    tokio::time::sleep(Backoff::reconnect(RECONNECT_CAP).random_wait(tries)).await;
                    tries += 1;
                }
            }
        }
    }

    /// `false`: every handle is gone.
    async fn wait_for_work(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self
                .outgoing
                .recv()
                .await
                .map(|outgoing| (outgoing, self.deadline()));
        }
        self.next.is_some()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.confirm_timeout
    }

    async fn open(&self) -> Result<Channel, TransportError> {
        let channel = self.connections.publishing_channel().await?;
        let selected = self
            .connections
            .within(
                "confirm mode",
                channel.confirm_select(ConfirmSelectOptions::default()),
            )
            .await?;
        selected.map_err(|error| {
            fault::transport_error(&error, "confirm mode", &self.connections.address())
        })?;
        Ok(channel)
    }

    /// Without a connection: what has waited too long, or cannot be helped, is told so.
    async fn give_up_late_ones(&mut self, error: &TransportError) {
        let now = Instant::now();
        let (outcome, everything) = match error {
            TransportError::Refused { reason, .. } => (
                PublishError::Refused {
                    exchange: String::new(),
                    reason: reason.clone(),
                },
                true,
            ),
            TransportError::Closed => (PublishError::Closed, true),
            TransportError::Unreachable { .. }
            | TransportError::Timeout { .. }
            | TransportError::NoQueue { .. } => (PublishError::Disconnected, false),
        };
        if self
            .next
            .as_ref()
            .is_some_and(|(_, deadline)| everything || *deadline <= now)
        {
            self.fail_waiting(&outcome);
        }
    }

    /// Tells everything that has not been sent yet.
    fn fail_waiting(&mut self, outcome: &PublishError) {
        let waiting = self.next.take().map(|(outgoing, _)| outgoing);
        let queued = std::iter::from_fn(|| self.outgoing.try_recv().ok());
        for outgoing in waiting.into_iter().chain(queued) {
            // Nobody may be listening any more, which is their choice.
            let _ = outgoing.outcome.send(Err(outcome.clone()));
        }
    }

    /// Publishes until the channel breaks or there is nothing left to do.
    async fn publish_on(&mut self, channel: &Channel) {
        let window = if self.options.mandatory {
            1
        } else {
            self.options.window.max(1)
        };
        let mut tick = tokio::time::interval(TICK);
        loop {
            if let Some((outgoing, deadline)) = self.next.take()
                && let Err(error) = self.send(channel, outgoing, deadline).await
            {
                return self.channel_failed(Some(&error));
            }
            tokio::select! {
                biased;
                confirmation = front(&mut self.in_flight), if !self.in_flight.is_empty() => {
                    if let Err(error) = self.confirmed(confirmation) {
                        return self.channel_failed(Some(&error));
                    }
                }
                outgoing = self.outgoing.recv(), if self.in_flight.len() < window => match outgoing {
                    Some(outgoing) => self.next = Some((outgoing, self.deadline())),
                    None if self.in_flight.is_empty() => return,
                    None => return self.drain().await,
                },
                now = tick.tick(), if !self.in_flight.is_empty() => {
                    if self.in_flight.front().is_some_and(|oldest| oldest.deadline <= now) {
                        return self.channel_failed(None);
                    }
                }
            }
        }
    }

    /// Every handle is gone, but some answers are still awaited.
    async fn drain(&mut self) {
        while let Some(oldest) = self.in_flight.front_mut() {
            match tokio::time::timeout_at(oldest.deadline, &mut oldest.confirm).await {
                Ok(confirmation) => {
                    if let Err(error) = self.confirmed(confirmation) {
                        return self.channel_failed(Some(&error));
                    }
                }
                Err(_) => return self.channel_failed(None),
            }
        }
    }

    /// Writes one message. `Err`: the channel is of no use any more.
    async fn send(
        &mut self,
        channel: &Channel,
        outgoing: Outgoing,
        deadline: Instant,
    ) -> Result<(), lapin::Error> {
        let publication = &outgoing.publication;
        let properties = match convert::properties(&publication.content, self.connections.user()) {
            Ok(properties) => properties,
            Err(error) => {
                let _ = outgoing.outcome.send(Err(error));
                return Ok(());
            }
        };
        let options = BasicPublishOptions {
            mandatory: self.options.mandatory,
            ..BasicPublishOptions::default()
        };
        let (exchange, key) = (
            publication.exchange.as_str().into(),
            publication.routing_key.as_str().into(),
        );
        let publishing = channel.basic_publish(
            exchange,
            key,
            options,
            &publication.content.body,
            properties,
        );
        // A connection that the broker blocks takes no more messages.
        match tokio::time::timeout_at(deadline, publishing).await {
            Ok(Ok(confirm)) => {
                self.in_flight.push_back(InFlight {
                    outgoing,
                    confirm,
                    deadline,
                });
                Ok(())
            }
            Ok(Err(error)) => {
                let (exchange, key) = (&publication.exchange, &publication.routing_key);
                let alone = self.in_flight.is_empty();
                match fault::publish_error(&error, exchange.as_str(), key.as_str(), alone) {
                    // It was not written, so the next channel may have it.
                    PublishError::Disconnected => self.next = Some((outgoing, deadline)),
                    outcome @ (PublishError::Nacked
                    | PublishError::Unroutable { .. }
                    | PublishError::ConfirmTimeout { .. }
                    | PublishError::Refused { .. }
                    | PublishError::Invalid { .. }
                    | PublishError::Closed) => drop(outgoing.outcome.send(Err(outcome))),
                }
                Err(error)
            }
            Err(_) => {
                let after = self.options.confirm_timeout;
                let _ = outgoing
                    .outcome
                    .send(Err(PublishError::ConfirmTimeout { after }));
                Ok(())
            }
        }
    }

    /// The oldest message has its answer; so may those behind it.
    fn confirmed(&mut self, confirmation: lapin::Result<Confirmation>) -> Result<(), lapin::Error> {
        let mut confirmation = Some(confirmation);
        while let Some(answer) = confirmation {
            let answer = answer?;
            let Some(oldest) = self.in_flight.pop_front() else {
                return Ok(());
            };
            let publication = oldest.outgoing.publication;
            let outcome = match answer {
                Confirmation::Ack(None) => Ok(()),
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                    Err(PublishError::Unroutable {
                        exchange: publication.exchange.to_string(),
                        key: publication.routing_key.to_string(),
                    })
                }
                Confirmation::Nack(None) => Err(PublishError::Nacked),
                // The channel is in confirm mode, so this would be a fault of lapin: trust nothing.
                Confirmation::NotRequested => Err(PublishError::Disconnected),
            };
            let _ = oldest.outgoing.outcome.send(outcome);
            confirmation = self
                .in_flight
                .front_mut()
                .and_then(|next| (&mut next.confirm).now_or_never());
        }
        Ok(())
    }

    /// The channel broke (`Some`) or fell silent (`None`): what became of its messages is unknown.
    fn channel_failed(&mut self, error: Option<&lapin::Error>) {
        let alone = self.in_flight.len() == 1;
        let after = self.options.confirm_timeout;
        for lost in self.in_flight.drain(..) {
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
            let _ = lost.outgoing.outcome.send(Err(outcome));
        }
    }
}

/// The confirm of the oldest message.
async fn front(in_flight: &mut VecDeque<InFlight>) -> lapin::Result<Confirmation> {
    match in_flight.front_mut() {
        Some(oldest) => (&mut oldest.confirm).await,
        None => std::future::pending().await,
    }
}
