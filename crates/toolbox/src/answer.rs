//! An answer to somebody in Celery's world who waits for a result (`rpc://`), where the worker may not write to the queues
//! of callers: the platform's daemon passes it on.
//!
//! By the exchange of events, as a JSON object `{"answer": …, "task_id": …, "to": …}` where a batch of events would be an
//! array. Callers of Celery wait at queues that are called by a UUID; the daemon, which may write into every queue, passes
//! answers on to those alone.

use crate::error::ErrorChain;
use crate::ids::TaskId;
use crate::message::Content;
use crate::names::{ExchangeName, RoutingKey};
use crate::transport::Publication;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// An answer, and whom it is for.
///
/// ```
/// use counterfoil_toolbox::answer::{Answer, caller};
///
/// let queue = "b5d5bbe3-b71d-3d77-b9d9-2b312cd6968a";
/// let to = caller(queue).expect("the name of a caller's queue");
/// let said = br#"{"task_id":"t1","status":"SUCCESS","result":4}"#.to_vec();
/// let body = Answer::new("t1".parse()?, to, said)?.write().body; // the worker sends it
/// assert!(Answer::is_one(&body));
/// let publication = Answer::read(&body)?.publication(); // the daemon passes it on
/// assert!(publication.exchange.is_default() && publication.routing_key.as_str() == queue);
/// assert!(caller("platform.tracking").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// As the caller reads it.
    answer: Box<RawValue>,
    /// The task that it is about.
    task_id: TaskId,
    /// The queue at which the caller waits.
    to: Uuid,
}

/// The name of a queue at which a caller of Celery may wait, as Celery writes it. `None`: it is no such name.
#[must_use]
pub fn caller(queue: &str) -> Option<Uuid> {
    let id = Uuid::parse_str(queue).ok()?;
    (id.hyphenated().to_string() == queue).then_some(id)
}

/// The message that says this, a JSON text, of a task to whoever waits at a queue.
#[must_use]
pub fn to_caller(queue: RoutingKey, task_id: &TaskId, said: impl Into<Bytes>) -> Publication {
    let mut content = Content::json(said);
    content.properties.correlation_id = Some(task_id.as_str().into());
    content.properties.persistent = false;
    Publication {
        exchange: ExchangeName::default_exchange(),
        routing_key: queue,
        content,
    }
}

impl Answer {
    /// The JSON text `said` of this task, for whoever waits at the queue `to`.
    ///
    /// # Errors
    /// In words, that what is said is no JSON.
    pub fn new(task_id: TaskId, to: Uuid, said: Vec<u8>) -> Result<Self, String> {
        let text = String::from_utf8(said).map_err(|error| error.to_string())?;
        let answer = RawValue::from_string(text).map_err(|error| ErrorChain(&error).to_string())?;
        Ok(Self {
            answer,
            task_id,
            to,
        })
    }

    /// What `publication` would tell a caller, were it taken from the worker. `None`: it is for nobody to whom the daemon
    /// passes on answers.
    #[must_use]
    pub fn of(publication: &Publication) -> Option<Self> {
        let to = caller(publication.routing_key.as_str())?;
        if !publication.exchange.is_default() {
            return None;
        }
        let content = &publication.content;
        let id = content.properties.correlation_id.as_deref()?;
        Self::new(TaskId::new(id).ok()?, to, content.body.to_vec()).ok()
    }

    /// The task that it is about.
    #[must_use]
    pub fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    /// The message that brings it to the daemon.
    #[must_use]
    pub fn write(&self) -> Content {
        Content::json(serde_json::to_vec(self).expect("texts are JSON"))
    }

    /// Whether the body of a message is one.
    #[must_use]
    pub fn is_one(body: &[u8]) -> bool {
        body.starts_with(br#"{"answer""#)
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body)
            .map_err(|error| format!("it is no answer to a caller: {}", ErrorChain(&error)))
    }

    /// The message for the caller. Where its queue is gone, nobody wants the answer.
    #[must_use]
    pub fn publication(&self) -> Publication {
        let queue = self.to.hyphenated().to_string();
        let queue = RoutingKey::new(&queue).expect("a UUID is a key");
        to_caller(queue, &self.task_id, self.answer.get().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "b5d5bbe3-b71d-3d77-b9d9-2b312cd6968a";

    #[test]
    fn an_answer_comes_to_its_caller_as_the_worker_wrote_it() {
        // As Python writes numbers, and spaces.
        let said = r#"{"task_id": "t1", "result": 1E+400}"#;
        let id = "t1".parse().expect("valid");
        let answer =
            Answer::new(id, caller(CALLER).expect("valid"), said.into()).expect("an answer");
        let read = Answer::read(&answer.write().body).expect("it can be read");
        let publication = read.publication();
        let again = Answer::of(&publication).expect("it is for a caller");
        assert_eq!(again.write().body, answer.write().body);
        let sent = publication.content;
        assert_eq!(sent.body, said.as_bytes());
        assert_eq!(sent.properties.correlation_id.as_deref(), Some("t1"));
    }

    #[test]
    fn no_queue_of_the_platform_gets_one() {
        let braces = format!("{{{CALLER}}}");
        let short = CALLER.replace('-', "");
        for to in [
            "",
            "export",
            "platform.tracking",
            &braces,
            &short,
            &CALLER.to_uppercase(),
        ] {
            assert!(caller(to).is_none(), "{to}");
        }
        let to_a_queue = br#"{"answer":{},"task_id":"t1","to":"platform.tracking"}"#;
        assert!(Answer::read(to_a_queue).is_err());
    }
}
