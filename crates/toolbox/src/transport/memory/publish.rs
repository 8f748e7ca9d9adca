//! From a publisher into queues, each message answered by its confirm.

use super::broker::{QueueId, Shared, State, sleep_until};
use super::queue::{Message, Push};
use crate::transport::PublishError;
use crate::transport::limits;
use crate::transport::publisher::{Outgoing, Publication, PublisherOptions};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Messages that are taken in under one lock.
const BATCH: usize = 64;

type Outcome = oneshot::Sender<Result<(), PublishError>>;

/// What the broker says to a message.
pub(super) enum Answer {
    Now(Result<(), PublishError>),
    /// Nothing: an injected fault took the confirm.
    Never,
}

/// Takes one publisher's messages in until it is dropped or the broker is closed.
pub(super) async fn drive(
    shared: Arc<Shared>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    options: PublisherOptions,
    after: Duration,
) {
    let timed_out = PublishError::ConfirmTimeout { after };
    let mut unanswered: VecDeque<(Instant, Outcome)> = VecDeque::new();
    let mut batch = Vec::with_capacity(BATCH);
    let mut open = true;
    while open || !unanswered.is_empty() {
        // A message without its confirm takes up its place in the window.
        let room = options
            .window
            .max(1)
            .saturating_sub(unanswered.len())
            .min(BATCH);
        tokio::select! {
            biased;
            () = shared.closed.cancelled() => break,
            () = sleep_until(unanswered.front().map(|(deadline, _)| *deadline)) => {
                if let Some((_, outcome)) = unanswered.pop_front() {
                    answer(outcome, Err(timed_out.clone()));
                }
            }
            taken = outgoing.recv_many(&mut batch, room), if open && room > 0 => open = taken > 0,
        }
        if batch.is_empty() {
            continue;
        }
        // All of a batch were handed over at nearly the same time.
        let deadline = batch.iter().map(|message| message.deadline).min();
        if !reachable_before(&shared, deadline.unwrap_or_else(Instant::now)).await {
            for message in batch.drain(..) {
                answer(message.outcome, Err(PublishError::NotSent { after }));
            }
        }
        let answers = shared.with(|state| {
            let publish = |message: Outgoing| {
                let answer =
                    state.publish(Arc::unwrap_or_clone(message.publication), options.mandatory);
                (message.deadline, message.outcome, answer)
            };
            batch.drain(..).map(publish).collect::<Vec<_>>()
        });
        for (deadline, outcome, said) in answers {
            match said {
                Answer::Now(result) => answer(outcome, result),
                Answer::Never => unanswered.push_back((deadline, outcome)),
            }
        }
    }
    outgoing.close();
    let rest = std::iter::from_fn(|| outgoing.try_recv().ok().map(|message| message.outcome));
    let unanswered = unanswered.into_iter().map(|(_, outcome)| outcome);
    unanswered
        .chain(rest)
        .for_each(|outcome| answer(outcome, Err(PublishError::Closed)));
}

fn answer(outcome: Outcome, result: Result<(), PublishError>) {
    // A caller that no longer waits does not want to know.
    let _ = outcome.send(result);
}

/// Waits while connections are refused, as a publisher that reconnects does.
async fn reachable_before(shared: &Shared, deadline: Instant) -> bool {
    while let Some(until) = shared.with(|state| state.refused_until()) {
        tokio::time::sleep_until(until.min(deadline)).await;
        if Instant::now() >= deadline {
            return false;
        }
    }
    true
}

impl State {
    fn publish(&mut self, publication: Publication, mandatory: bool) -> Answer {
        if self.faults.take_nack() {
            return Answer::Now(Err(PublishError::Nacked));
        }
        let result = self.take_in(publication, mandatory);
        if result.is_ok() && self.faults.take_confirm() {
            return Answer::Never;
        }
        Answer::Now(result)
    }

    fn take_in(&mut self, publication: Publication, mandatory: bool) -> Result<(), PublishError> {
        let Publication {
            exchange,
            routing_key,
            content,
        } = publication;
        let refused = |reason: String| PublishError::Refused {
            exchange: exchange.as_str().to_owned(),
            reason,
        };
        if self
            .exchanges
            .get(&exchange)
            .is_some_and(|found| found.declared.internal)
        {
            return Err(refused(format!(
                "ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '/'"
            )));
        }
        limits::check(&content)?;
        let ttl = content.properties.expiration.as_deref().map(milliseconds);
        let ttl = ttl.transpose().map_err(refused)?;
        let Some(targets) = self.route(&exchange, &routing_key, &content.headers) else {
            return Err(refused(format!(
                "NOT_FOUND - no exchange '{exchange}' in vhost '/'"
            )));
        };
        if targets.is_empty() && mandatory {
            return Err(PublishError::Unroutable {
                exchange: exchange.as_str().to_owned(),
                key: routing_key.as_str().to_owned(),
            });
        }
        let message = Arc::new(Message {
            content,
            exchange,
            routing_key,
        });
        let mut accepted = true;
        for queue in targets.iter() {
            accepted &= self.store(*queue, &message, ttl) == Push::Stored;
        }
        // At once, not after the batch: a message that somebody waits for fills no queue.
        self.settle_down();
        accepted.then_some(()).ok_or(PublishError::Nacked)
    }

    pub(super) fn store(
        &mut self,
        id: QueueId,
        message: &Arc<Message>,
        ttl: Option<Duration>,
    ) -> Push {
        let now = self.now;
        let Some(queue) = self.queues.get_mut(&id) else {
            // Routes lead to queues that exist; one that was just deleted takes nothing.
            return Push::Stored;
        };
        let push = queue.push(message.clone(), ttl, now);
        self.touch(id);
        push
    }
}

fn milliseconds(expiration: &str) -> Result<Duration, String> {
    expiration.parse().map(Duration::from_millis).map_err(|_| {
        format!(
            "PRECONDITION_FAILED - invalid expiration '{expiration}': not a number of milliseconds"
        )
    })
}
