//! Passing on answers to callers of Celery's, for workers that may not write to the queues of callers.
//!
//! It is done when what came with them is in the database. A message that brings one is acknowledged when the broker has
//! the answer: a crash in between passes it on once more, and a caller takes the first.

use counterfoil_toolbox::answer::Answer;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::transport::{
    Delivery, Publication, PublishError, Publisher, PublisherOptions, Transport,
};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest pause between two tries to pass one on.
const RETRY_CAP: Duration = Duration::from_secs(5);

/// How long an answer is tried whose queue does not take it. It holds one of the places of events meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers that are tried again at the same time. Of more, each is tried once: reports must not wait for answers.
const MOST: usize = 100;

/// How long none is tried after the broker refused one: each costs a channel.
const REFUSED: Duration = Duration::from_secs(60);

/// The answers under way.
pub(crate) struct Answers {
    publisher: Publisher,
    under_way: FuturesUnordered<BoxFuture<'static, Outcome>>,
    refused: Option<Instant>,
}

/// One answer.
struct OnItsWay {
    delivery: Delivery,
    task_id: TaskId,
    publication: Arc<Publication>,
    since: Instant,
    tries: u32,
}

type Outcome = (OnItsWay, Result<(), PublishError>);

impl Answers {
    pub(crate) fn new(transport: &dyn Transport) -> Self {
        Self {
            publisher: transport.publisher(PublisherOptions::default()),
            under_way: FuturesUnordered::new(),
            refused: None,
        }
    }

    /// Passes on the answer that this message brought.
    pub(crate) fn pass_on(&self, delivery: Delivery, answer: &Answer) {
        let answer = OnItsWay {
            delivery,
            task_id: answer.task_id().clone(),
            publication: Arc::new(answer.publication()),
            since: Instant::now(),
            tries: 0,
        };
        if self.refused.is_some_and(|at| at.elapsed() < REFUSED) {
            return give_up(answer, "the last ones were refused");
        }
        self.send(answer);
    }

    fn send(&self, answer: OnItsWay) {
        let publisher = self.publisher.clone();
        self.under_way.push(Box::pin(async move {
            if let Some(before) = answer.tries.checked_sub(1) {
                let wait = Backoff::reconnect(RETRY_CAP).random_wait(before);
                tokio::time::sleep(wait).await;
            }
            let sent = publisher.publish(Arc::clone(&answer.publication)).await;
            (answer, sent)
        }));
    }

    /// Whether none is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Looks what becomes of one that is under way; for ever when there is none.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn look(&mut self) {
        let Some((mut answer, sent)) = self.under_way.next().await else {
            return std::future::pending().await;
        };
        let Err(error) = sent else {
            let _ = answer.delivery.ack(); // stale: it comes again, as often as it takes
            return;
        };
        // Its channel broke: it comes again.
        if !answer.delivery.is_live() {
            return;
        }
        let reason = ErrorChain(&error).to_string();
        let is_for_good = error.is_about_the_message();
        if matches!(error, PublishError::Refused { .. }) && !is_for_good {
            self.refused = Some(Instant::now());
            return give_up(answer, &reason);
        }
        let is_of_its_queue = matches!(
            error,
            PublishError::Nacked | PublishError::ConfirmTimeout { .. }
        );
        let is_over = answer.since.elapsed() >= PATIENCE || self.under_way.len() >= MOST;
        if is_for_good || is_of_its_queue && is_over {
            return give_up(answer, &reason);
        }
        answer.tries = answer.tries.saturating_add(1);
        self.send(answer);
    }
}

fn give_up(answer: OnItsWay, reason: &str) {
    let (task_id, queue) = (&answer.task_id, answer.publication.routing_key.as_str());
    tracing::warn!(%task_id, queue, reason, "an answer to a caller of Celery's is not passed on");
    let _ = answer.delivery.ack(); // stale: it comes again, and is given up again
}
