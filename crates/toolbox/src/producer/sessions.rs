//! Starting a session: the platform is told before anything is sent.

use super::draft::MAX_BODY;
use super::error::SendError;
use super::send::{Producer, UNDER_WAY};
use crate::backoff::Backoff;
use crate::failpoint::{Point, hit};
use crate::ids::TaskId;
use crate::message::Content;
use crate::names::TaskName;
use crate::session::{
    Inquiry, Opening, Part, Session, SessionError, SessionStatus, StartedSession,
};
use crate::topology::names::event_key;
use crate::transport::{Publication, PublishError, PublisherOptions};
use futures::StreamExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// How long the platform's queue may refuse an opening or a question before that is given up: three confirm
/// time-outs.
const OPENING: u32 = 3;

impl Producer {
    /// Opens a session and sends its subtasks. `Ok`: the platform knows the session, so its finalizer will
    /// run; see [`StartedSession::unsent`] for subtasks that could not be sent.
    ///
    /// Its user must be allowed to publish events of the finalizer's service, and needs `counterfoil-sync`.
    /// [`StartedSession`] has an example.
    ///
    /// # Errors
    /// [`SessionError`]: no subtask was sent. A session of which nobody knows whether it was
    /// [opened](SessionError::NotOpened) times out by itself, and its finalizer runs then.
    ///
    /// # Cancel safety
    /// Cancelled, the session may be open, and some of its subtasks sent: then it times out.
    pub async fn start_session(&self, session: Session) -> Result<StartedSession, SessionError> {
        let (opening, parts) = session.into_parts()?;
        let content = opening.write();
        if content.body.len() > MAX_BODY {
            return Err(SessionError::TooLarge(content.body.len()));
        }
        // As the daemon reads it: whom it refuses would be told too late.
        Opening::read(&content.body, opening.finalizer.task.service())?;
        self.tell(&opening.finalizer.task, content, |source| {
            let id = opening.id.clone();
            SessionError::NotOpened { id, source }
        })
        .await?;
        let unsent = self.send_parts(parts).await;
        Ok(StartedSession {
            id: opening.id,
            status: SessionStatus::Ongoing,
            finalizer: opening.finalizer.id,
            subtasks: opening
                .subtasks
                .into_iter()
                .map(|subtask| subtask.id)
                .collect(),
            unsent,
        })
    }

    /// Asks the platform what has become of a session, which ends with a task `finalizer`. `Ok`: the question is
    /// on its way, and the answer comes by the stream that workers read.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// use counterfoil_toolbox::session::Inquiry;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let producer = Producer::new(std::sync::Arc::new(broker), names);
    /// let inquiry = Inquiry { id: uuid::Uuid::now_v7(), session_id: "harvest-7".parse()? };
    /// producer.inquire(&inquiry, &"harvest.publish".parse()?).await?;
    /// // The answer is an `Order::SessionIs` with this id.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::NotAsked`] when nobody confirmed it, [`SessionError::Send`] when the broker is away.
    ///
    /// # Cancel safety
    /// Cancelled, it may have been asked.
    pub async fn inquire(
        &self,
        inquiry: &Inquiry,
        finalizer: &TaskName,
    ) -> Result<(), SessionError> {
        self.tell(finalizer, inquiry.write(), |source| {
            let id = inquiry.session_id.clone();
            SessionError::NotAsked { id, source }
        })
        .await
    }

    /// Tells the platform something about a session that ends with a task `finalizer`. `untold`: what it means that
    /// nobody confirmed it.
    async fn tell(
        &self,
        finalizer: &TaskName,
        content: Content,
        untold: impl Fn(PublishError) -> SessionError,
    ) -> Result<(), SessionError> {
        let publication = Arc::new(Publication {
            exchange: self.inner.names.events.clone(),
            routing_key: event_key(finalizer.service()),
            content,
        });
        let open = || {
            self.inner
                .transport
                .publisher(PublisherOptions::mandatory())
        };
        let reporter = self.inner.reporter.get_or_init(open);
        let deadline = Instant::now() + reporter.confirm_timeout() * OPENING;
        let backoff = Backoff::reconnect(Duration::from_secs(1));
        for tries in 1.. {
            // The breaker knows best whether there is any use in waiting.
            if let Some(refusal) = self.inner.guard.refusal(finalizer) {
                return Err(refusal.into());
            }
            let error = match reporter.publish(publication.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let again = Instant::now() + backoff.random_wait(tries);
            if !error.is_transient() || again >= deadline {
                return Err(untold(error));
            }
            tokio::time::sleep_until(again).await;
        }
        unreachable!("the deadline ends it")
    }

    /// Sends the subtasks, and returns those that were not confirmed.
    async fn send_parts(&self, parts: Vec<Part>) -> Vec<(TaskId, SendError)> {
        let trouble = OnceLock::<PublishError>::new();
        let trouble = &trouble;
        let send = |part: Part| async move {
            let id = part.options.id.clone()?;
            let sent = match trouble.get() {
                // The broker takes none any more: those that are left need not wait for it each.
                Some(source) => Err(SendError::Refused {
                    task: part.task.name,
                    source: source.clone(),
                }),
                None => match self.begin(part.task, part.options).await {
                    Ok(sending) => sending.confirmed().await.map(drop),
                    Err(error) => Err(error),
                },
            };
            let Err(error) = sent else {
                hit(Point::SubtaskSent).await;
                return None;
            };
            if let Some(found) = error.trouble() {
                let _ = trouble.set(found);
            }
            Some((id, error))
        };
        let parts = futures::stream::iter(parts);
        let sent = parts.map(send).buffered(UNDER_WAY);
        sent.filter_map(std::future::ready).collect().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerSettings;
    use crate::ids::SessionId;
    use crate::transport::memory::MemoryBroker;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_takes_is_not_told_as_a_session_that_was_not_opened() {
        let names = BrokerSettings::default().names().expect("default names");
        // Nothing is declared there.
        let producer = Producer::new(Arc::new(MemoryBroker::new()), names);
        let inquiry = Inquiry {
            id: Uuid::now_v7(),
            session_id: SessionId::new("s1").expect("valid"),
        };
        let finalizer = TaskName::new("harvest.end").expect("valid");
        let asked = producer.inquire(&inquiry, &finalizer).await;
        let error = asked.expect_err("nobody takes it").to_string();
        assert!(error.contains("asked what became of session s1"), "{error}");
    }
}
