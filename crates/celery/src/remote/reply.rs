//! Sending answers: soon, or not at all. Whoever asked waits for a second.

use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::{
    Publication, PublishError, Publisher, PublisherOptions, Transport,
};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time for an answer.
const IN_TIME: Duration = Duration::from_secs(5);

/// How long none is sent after one was refused: each costs the broker a channel.
const REFUSED: Duration = Duration::from_secs(60);

/// The way back to those who ask.
pub(super) struct Replies {
    publisher: Publisher,
    /// Answers under way.
    sent: FuturesUnordered<BoxFuture<'static, Result<(), PublishError>>>,
    refused: Option<Instant>,
}

impl Replies {
    pub(super) fn new(transport: &dyn Transport) -> Self {
        Self::by(transport, PublisherOptions::default())
    }

    /// For what has to come to a queue: it would be confirmed and lost otherwise.
    pub(super) fn that_arrive(transport: &dyn Transport) -> Self {
        Self::by(transport, PublisherOptions::mandatory())
    }

    fn by(transport: &dyn Transport, options: PublisherOptions) -> Self {
        let options = PublisherOptions {
            confirm_timeout: Some(IN_TIME),
            ..options
        };
        Self {
            publisher: transport.publisher(options),
            sent: FuturesUnordered::new(),
            refused: None,
        }
    }

    /// Sends an answer, without waiting until the broker has it. Should it be too large for the broker, `instead` is sent.
    pub(super) async fn send(&mut self, answer: Publication, instead: Option<Publication>) {
        if self.refused.is_some_and(|at| at.elapsed() < REFUSED) {
            return;
        }
        let confirm = match self.publisher.enqueue(answer).await {
            Ok(confirm) => confirm,
            Err(error) => return self.note(&error),
        };
        let publisher = self.publisher.clone();
        self.sent.push(Box::pin(async move {
            match (confirm.await, instead) {
                (Err(error), Some(instead)) if error.is_about_the_message() => {
                    publisher.publish(instead).await
                }
                (sent, _) => sent,
            }
        }));
    }

    /// Looks what becomes of an answer that was sent; for ever when there is none.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn look(&mut self) {
        match self.sent.next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => self.note(&error),
            None => std::future::pending().await,
        }
    }

    fn note(&mut self, error: &PublishError) {
        let reason = ErrorChain(error).to_string();
        if matches!(error, PublishError::Refused { .. }) && !error.is_about_the_message() {
            self.refused = Some(Instant::now());
            tracing::warn!(reason, delay = ?REFUSED, "the broker does not take answers of remote control; none is sent for a while");
        } else {
            tracing::debug!(reason, "an answer of remote control was not sent");
        }
    }
}
