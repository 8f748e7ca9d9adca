//! From a publisher into queues, each message answered by its confirm.

use super::broker::{QueueId, Shared, State, sleep_until, unreachable};
use super::faults::Hindrance;
use super::queue::{Message, Push};
use crate::error::ErrorChain;
use crate::transport::PublishError;
use crate::transport::limits;
use crate::transport::publisher::{
    DriverEnd, Outgoing, Publication, PublisherOptions, PublisherStatus,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    closed: CancellationToken,
    end: DriverEnd,
    options: PublisherOptions,
    after: Duration,
) {
    let mut driver = Driver {
        weather: shared.weather.subscribe(),
        shared,
        closed: closed.clone(),
        end,
        options,
        after,
        waiting: Vec::with_capacity(BATCH),
        unanswered: VecDeque::new(),
    };
    closed.run_until_cancelled(driver.run()).await;
    driver.end.outgoing.close();
    driver.fail_waiting(&PublishError::Closed);
    for (_, outcome) in driver.unanswered {
        answer(outcome, Err(PublishError::Closed));
    }
    if closed.is_cancelled() {
        driver.end.tell(PublisherStatus::Closed);
    }
}

struct Driver {
    shared: Arc<Shared>,
    closed: CancellationToken,
    weather: watch::Receiver<()>,
    end: DriverEnd,
    options: PublisherOptions,
    after: Duration,
    /// Taken, and held up by a fault.
    waiting: Vec<Outgoing>,
    unanswered: VecDeque<(Instant, Outcome)>,
}

impl Driver {
    async fn run(&mut self) {
        let withdrawal = self.end.withdrawal.clone();
        let mut open = true;
        while open || !self.unanswered.is_empty() || !self.waiting.is_empty() {
            let hindered = self.shared.with(|state| state.hindrance());
            self.tell(hindered);
            // What was handed over before the client was gone is not heard after it.
            if hindered.is_none() && !self.waiting.is_empty() && !self.closed.is_cancelled() {
                self.take_in();
            }
            // A message without its confirm takes up its place in the window.
            let window = self.options.window.max(1);
            let room = window.saturating_sub(self.unanswered.len()).min(BATCH);
            let take = open && room > 0 && self.waiting.is_empty();
            // All of a batch were handed over at nearly the same time.
            let late = self.waiting.iter().map(|message| message.deadline).min();
            tokio::select! {
                biased;
                () = sleep_until(self.unanswered.front().map(|(deadline, _)| *deadline)) => {
                    if let Some((_, outcome)) = self.unanswered.pop_front() {
                        answer(outcome, Err(PublishError::ConfirmTimeout { after: self.after }));
                    }
                }
                () = withdrawal.notified() => self.fail_waiting(&PublishError::Withdrawn),
                () = sleep_until(hindered.map(|hindrance| hindrance.until())) => {}
                () = sleep_until(late) => self.give_up(hindered),
                Ok(()) = self.weather.changed() => {}
                taken = self.end.outgoing.recv_many(&mut self.waiting, room), if take => open = taken > 0,
            }
        }
    }

    fn tell(&self, hindered: Option<Hindrance>) {
        self.end.tell(match hindered {
            None => PublisherStatus::Ready,
            Some(Hindrance::Refused(again)) => PublisherStatus::Down {
                reason: ErrorChain(&unreachable()).to_string(),
                again,
            },
            Some(Hindrance::Blocked(_)) => PublisherStatus::Blocked,
        });
    }

    fn take_in(&mut self) {
        let mandatory = self.options.mandatory;
        let answers = self.shared.with(|state| {
            let publish = |message: Outgoing| {
                let answer = state.publish(Arc::unwrap_or_clone(message.publication), mandatory);
                (message.deadline, message.outcome, answer)
            };
            self.waiting.drain(..).map(publish).collect::<Vec<_>>()
        });
        for (deadline, outcome, said) in answers {
            match said {
                Answer::Now(result) => answer(outcome, result),
                Answer::Never => self.unanswered.push_back((deadline, outcome)),
            }
        }
    }

    /// They have waited until their deadline.
    fn give_up(&mut self, hindered: Option<Hindrance>) {
        let after = self.after;
        let late = match hindered {
            Some(Hindrance::Blocked(_)) => PublishError::Blocked { after },
            Some(Hindrance::Refused(_)) | None => PublishError::NotSent { after },
        };
        for message in self.waiting.drain(..) {
            answer(message.outcome, Err(late.clone()));
        }
    }

    /// Tells everything that the broker has not taken in.
    fn fail_waiting(&mut self, outcome: &PublishError) {
        let queued = std::iter::from_fn(|| self.end.outgoing.try_recv().ok());
        for message in self.waiting.drain(..).chain(queued) {
            answer(message.outcome, Err(outcome.clone()));
        }
    }
}

fn answer(outcome: Outcome, result: Result<(), PublishError>) {
    // A caller that no longer waits does not want to know.
    let _ = outcome.send(result);
}

impl State {
    fn publish(&mut self, publication: Publication, mandatory: bool) -> Answer {
        if self.faults.take_nack() {
            return Answer::Now(Err(PublishError::Nacked));
        }
        let is_never_confirmed = self.faults.is_never_confirmed(&publication.routing_key);
        let result = self.take_in(publication, mandatory);
        if result.is_ok() && (is_never_confirmed || self.faults.take_confirm()) {
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
