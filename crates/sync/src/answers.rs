//! Passing on answers to callers of Celery's, for workers that may not write to the queues of callers.
//!
//! They are not for the database, and do not wait for it. A message that brings one is acknowledged when the broker has
//! the answer: a crash in between passes it on once more, and a caller takes the first.

use crate::feeds::Feed;
use counterfoil_toolbox::answer::Answer;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
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

/// How long an answer is tried that the broker refuses, or a queue does not take. Others wait meanwhile: an answer that is
/// under way holds one of the places of events.
const PATIENCE: Duration = Duration::from_secs(10);

/// How seldom the log repeats that the broker does not take answers.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The answers under way.
pub(crate) struct Answers {
    publisher: Publisher,
    under_way: FuturesUnordered<BoxFuture<'static, Outcome>>,
    told_at: Option<Instant>,
}

/// One answer.
struct OnItsWay {
    delivery: Delivery,
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
            told_at: None,
        }
    }

    /// Passes the message on if it is an answer; otherwise it is given back. What looks like one and cannot be read is
    /// none.
    pub(crate) fn take(&mut self, feed: Feed, delivery: Delivery) -> Option<Delivery> {
        let body = &delivery.content.body;
        if feed != Feed::Events || !Answer::is_one(body) {
            return Some(delivery);
        }
        let Ok(answer) = Answer::read(body) else {
            return Some(delivery);
        };
        self.pass_on(OnItsWay {
            publication: Arc::new(answer.publication()),
            delivery,
            since: Instant::now(),
            tries: 0,
        });
        None
    }

    fn pass_on(&self, answer: OnItsWay) {
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
        self.tell(&error);
        if answer.since.elapsed() >= patience(&error) {
            let _ = answer.delivery.ack(); // stale: it comes again, as often as it takes
        } else {
            answer.tries = answer.tries.saturating_add(1);
            self.pass_on(answer);
        }
    }

    fn tell(&mut self, error: &PublishError) {
        if self.told_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            self.told_at = Some(Instant::now());
            let reason = ErrorChain(error).to_string();
            tracing::warn!(reason, "answers to callers of Celery's are not passed on");
        }
    }
}

/// How long an answer is tried again after such an error. While the broker is away, it waits.
fn patience(error: &PublishError) -> Duration {
    if error.is_about_the_message() {
        return Duration::ZERO;
    }
    let is_of_its_queue = matches!(error, PublishError::Refused { .. } | PublishError::Nacked);
    if is_of_its_queue {
        PATIENCE
    } else {
        Duration::MAX
    }
}
