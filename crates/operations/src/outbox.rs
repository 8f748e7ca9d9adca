//! Messages of the outbox that can never be sent as they are: tried once more, or thrown away.

use crate::asking::Doer;
use crate::error::OperationError;
use crate::outcome::{Outcome, Subject, Words};
use counterfoil_store::{Batch, RefusedMessage, Store};

/// How many messages are dealt with together.
pub const AT_ONCE: usize = 500;

/// What becomes of refused messages.
#[derive(Debug, Clone)]
pub enum Fate {
    /// The daemon tries them once more.
    Retry,
    /// They are thrown away; their tasks, which nobody can have started, are cancelled.
    Discard(Doer),
}

impl Fate {
    /// What it is, in words.
    #[must_use]
    pub const fn words(&self) -> Words {
        Words {
            things: ["message", "messages"],
            done: match self {
                Self::Retry => "queued again",
                Self::Discard(_) => "discarded",
            },
        }
    }

    /// Lets it become of some hundred, and says what came of that for each, in their order.
    ///
    /// # Errors
    /// [`OperationError::Store`].
    ///
    /// # Cancel safety
    /// Dropped, it happened to all of them or to none; done once more, it does no harm.
    pub async fn apply(
        &self,
        messages: &[RefusedMessage],
        store: &dyn Store,
    ) -> Result<Vec<Outcome>, OperationError> {
        let positions: Vec<_> = messages.iter().map(|message| message.position).collect();
        let done = match self {
            Self::Retry => store.retry_refused(&positions).await?,
            Self::Discard(doer) => discard(messages, doer, store).await?,
        };
        let outcome = |position| match done.contains(position) {
            true => Outcome::Done(None),
            false => Outcome::failed("somebody else dealt with it meanwhile"),
        };
        Ok(positions.iter().map(outcome).collect())
    }
}

/// Throws these messages away, with their tasks cancelled and their sessions told. Returns the positions of those
/// that nobody else has dealt with meanwhile.
async fn discard(
    messages: &[RefusedMessage],
    doer: &Doer,
    store: &dyn Store,
) -> Result<Vec<i64>, OperationError> {
    let mut left: Vec<_> = messages.iter().collect();
    loop {
        let now = store.clock().await?;
        let mut batch = Batch::new();
        for message in &left {
            let task = match message.task_id.as_deref() {
                Some(id) => store.task(id).await?,
                None => None,
            };
            batch.discard(message, task.as_ref(), doer.name(), now);
        }
        let gone = store.apply(&batch).await?.not_discarded;
        if gone.is_empty() {
            return Ok(left.iter().map(|message| message.position).collect());
        }
        left.retain(|message| !gone.contains(&message.position));
    }
}

/// Messages that were chosen.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Those that the daemon gave up on, oldest first, each once.
    pub messages: Vec<RefusedMessage>,
    /// Keys and ids that no such message has.
    pub unknown: Vec<String>,
}

/// The refused messages with these keys, or of the tasks with these ids.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn find(store: &dyn Store, keys: &[String]) -> Result<Found, OperationError> {
    let mut found = Found::default();
    for key in keys {
        // A public id is one of a task.
        let task = store.task(key).await?.map(|task| task.task_id.to_string());
        let wanted = task.as_deref().unwrap_or(key);
        let messages = store.refused_messages(Some(wanted), 0).await?;
        if messages.is_empty() {
            found.unknown.push(key.clone());
        }
        found.messages.extend(messages);
    }
    found.messages.sort_by_key(|message| message.position);
    found.messages.dedup_by_key(|message| message.position);
    Ok(found)
}

/// All that the daemon gave up on, oldest first.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn all(store: &dyn Store) -> Result<Found, OperationError> {
    Ok(Found {
        messages: store.refused_messages(None, 0).await?,
        unknown: Vec::new(),
    })
}

/// Which one it is, among others to which the same is done; by its routing key, which names a task's type.
#[must_use]
pub fn subject(message: &RefusedMessage) -> Subject {
    Subject {
        id: message.key.clone(),
        task_id: message.task_id.clone(),
        name: Some(message.routing_key.clone()),
    }
}
