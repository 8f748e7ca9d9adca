//! Answers to those who wait for results: sent while somebody can take them, and no reason to keep a task.

use crate::execute::Execution;
use crate::publish::{Sent, until_answered};
use crate::shared::Shared;
use counterfoil_toolbox::answer::Answer;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{
    Publication, PublishError, Publisher, PublisherOptions, Transport,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long no answer is sent to a queue of a caller after one was refused: each costs the broker a channel.
const REFUSED: Duration = Duration::from_secs(60);

/// How long an answer is offered to a queue that does not take it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest pause between two tries.
const RETRY_CAP: Duration = Duration::from_secs(2);

/// The way to those who wait.
#[derive(Debug)]
pub(crate) struct Answers {
    /// For them alone: the broker closes the channel of one that it refuses.
    publisher: OnceLock<Publisher>,
    /// When the last one was refused.
    refused: Mutex<Option<Instant>>,
}

/// What became of an answer.
#[derive(Debug)]
enum Taken {
    Confirmed,
    /// The worker stops.
    GivenUp,
    /// The broker takes no such message, for this reason.
    Never(String),
    /// This user may not write there, for this reason.
    Refused(String),
}

impl Answers {
    pub(crate) const fn none() -> Self {
        Self {
            publisher: OnceLock::new(),
            refused: Mutex::new(None),
        }
    }

    pub(crate) fn publisher(&self, transport: &dyn Transport) -> &Publisher {
        let open = || transport.publisher(PublisherOptions::default());
        self.publisher.get_or_init(open)
    }

    fn refuse(&self) {
        *self.refused_at() = Some(Instant::now());
    }

    fn are_refused(&self) -> bool {
        self.refused_at().is_some_and(|at| at.elapsed() < REFUSED)
    }

    fn refused_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.refused
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Execution {
    /// Whoever waits for an answer may be gone, and may be nobody's business: no refusal holds up the task. One that this
    /// user may not send goes by the daemon; one that is too large says nothing of others.
    pub(crate) async fn answer(
        &self,
        publication: Publication,
        instead: Option<Box<Publication>>,
    ) -> Sent {
        let (id, name) = (&self.held.envelope.id, &self.held.envelope.name);
        let answers = std::iter::once(publication).chain(instead.map(|instead| *instead));
        for publication in answers.map(Arc::new) {
            match self.one(&publication).await {
                Taken::GivenUp => return Sent::GivenUp,
                Taken::Confirmed => return Sent::Confirmed,
                Taken::Never(reason) => {
                    let bytes = publication.content.body.len();
                    tracing::error!(task_id = %id, task_name = %name, bytes, reason, "the broker does not take an answer to somebody who waits for a result");
                }
                Taken::Refused(reason) => {
                    tracing::error!(task_id = %id, task_name = %name, reason, "nobody takes an answer to somebody who waits for a result");
                    return Sent::Confirmed;
                }
            }
        }
        Sent::Confirmed
    }

    async fn one(&self, publication: &Arc<Publication>) -> Taken {
        let shared: &Shared = &self.shared;
        if publication.exchange == shared.names.events {
            return self.by_daemon(publication).await;
        }
        let answers = shared.extensions.answers();
        if !answers.are_refused() {
            let publisher = answers.publisher(&*shared.transport);
            let reason = match until_taken(publisher, publication, self.until()).await {
                Taken::Refused(reason) => reason,
                taken @ (Taken::Confirmed | Taken::GivenUp | Taken::Never(_)) => return taken,
            };
            answers.refuse();
            tracing::warn!(reason, delay = ?REFUSED, "this user may not write to the queues of those who wait for results: answers go by the daemon for a while");
        }
        let Some(answer) = Answer::of(publication) else {
            return Taken::Refused("the daemon passes answers on to queues that are called by a UUID, and to no others".to_owned());
        };
        let by_daemon = Publication {
            exchange: shared.names.events.clone(),
            routing_key: event_key(&self.held.service),
            content: answer.write(),
        };
        self.by_daemon(&Arc::new(by_daemon)).await
    }

    /// As a report: what no queue wants would be confirmed and lost.
    async fn by_daemon(&self, publication: &Arc<Publication>) -> Taken {
        let mandatory = &self.shared.senders.mandatory;
        match until_answered(mandatory, publication, self.until(), "an answer").await {
            Ok(Sent::Confirmed) => Taken::Confirmed,
            Ok(Sent::GivenUp) => Taken::GivenUp,
            Ok(Sent::Impossible(reason)) => Taken::Never(reason),
            Err(refused) => Taken::Refused(refused.0),
        }
    }
}

/// Offers an answer while its queue may take it. A broker that is away is waited for.
async fn until_taken(
    publisher: &Publisher,
    publication: &Arc<Publication>,
    stop: &CancellationToken,
) -> Taken {
    let backoff = Backoff::reconnect(RETRY_CAP);
    let (mut tries, mut since) = (0, None);
    loop {
        let sent = publisher.publish(publication.clone());
        let error = match stop.run_until_cancelled(sent).await {
            Some(Ok(())) => return Taken::Confirmed,
            None | Some(Err(PublishError::Closed)) => return Taken::GivenUp,
            Some(Err(error)) => error,
        };
        let reason = ErrorChain(&error).to_string();
        if error.is_about_the_message() {
            return Taken::Never(reason);
        }
        if matches!(error, PublishError::Refused { .. }) {
            return Taken::Refused(reason);
        }
        if matches!(
            error,
            PublishError::Nacked | PublishError::ConfirmTimeout { .. }
        ) && since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
        {
            return Taken::Never(reason);
        }
        tracing::debug!(reason, "an answer is not taken, trying again");
        let pause = tokio::time::sleep(backoff.random_wait(tries));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Taken::GivenUp;
        }
        tries = tries.saturating_add(1);
    }
}
