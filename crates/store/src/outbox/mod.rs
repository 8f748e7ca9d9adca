//! The outbox: messages that become due when a transaction commits, and are published by the leading
//! daemon after that.

mod calls;
mod discard;
mod send_in;
mod wake;

pub(crate) use calls::{MessageRow, implement_outbox};
pub(crate) use discard::discard_step;
pub use send_in::{AppConnection, SendInError};
pub(crate) use send_in::{key_of, row_of};
pub(crate) use wake::Listening;
pub use wake::OutboxWake;

use crate::error::StoreError;
use crate::stored::StoredMessage;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::producer::Draft;
use serde::Serialize;
use sqlx::FromRow;
use std::time::Duration;

/// What the platform database has to do with its outbox.
///
/// # Errors
/// All methods return [`StoreError`].
#[async_trait]
pub trait Outbox {
    /// Writes a task into the outbox, and its row, in the transaction that `connection` is in. A task
    /// that the outbox knows by its id is left as it is. Most callers want
    /// [`send_in`](trait@crate::Store#method.send_in).
    async fn draft_in(
        &self,
        connection: AppConnection<'_>,
        draft: &Draft,
    ) -> Result<(), StoreError>;

    /// Messages that are due, in the order of `due_at` and `position`, but for those of the queues
    /// `held`: at most `most`, and at most some `bytes` of them, but always one if there is one.
    async fn due_messages(
        &self,
        held: &[String],
        most: u32,
        bytes: u32,
    ) -> Result<Vec<OutboxMessage>, StoreError>;

    /// How long until the next message is due that is not due yet; `None`: there is none.
    async fn next_due(&self) -> Result<Option<Duration>, StoreError>;

    /// Records that the messages at these positions were published.
    async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreError>;

    /// Records that the message at this position can never be published, and why. It is kept.
    async fn refuse_message(&self, position: i64, why: &str) -> Result<(), StoreError>;

    /// How the outbox is doing. It reads everything that waits.
    async fn outbox_state(&self) -> Result<OutboxState, StoreError>;

    /// Messages that can never be published, oldest first: at most so many, up to 10,000; or the one with this
    /// key, or of the task with this id.
    async fn refused_messages(
        &self,
        id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RefusedMessage>, StoreError>;

    /// Lets refused messages at these positions be tried once more, and returns which those were. They are thrown
    /// away by [`Batch::discard`](crate::Batch::discard).
    async fn retry_refused(&self, positions: &[i64]) -> Result<Vec<i64>, StoreError>;

    /// Forgets messages that were published so long ago, at most so many, and returns how many.
    async fn forget_sent(&self, age: Duration, limit: u32) -> Result<u64, StoreError>;

    /// What wakes up when something is put into the outbox.
    async fn outbox_wake(&self) -> Result<OutboxWake, StoreError>;
}

/// A message of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxMessage {
    /// Its place.
    pub position: i64,
    /// Its unique key.
    pub key: String,
    /// The queue that it goes to, as far as its routing key tells.
    pub queue: String,
    /// The message and its address. An empty exchange is that of tasks.
    pub message: StoredMessage,
}

/// How the outbox is doing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, FromRow)]
pub struct OutboxState {
    /// Messages that are due and not published.
    pub waiting: i64,
    /// For how many seconds the oldest of them has been due.
    pub oldest_s: Option<f64>,
    /// Messages that are not due yet.
    pub later: i64,
    /// Messages that can never be published.
    pub refused: i64,
}

/// A message that can never be published.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct RefusedMessage {
    /// Its place.
    pub position: i64,
    /// Its unique key.
    pub key: String,
    /// Id of the task, when it is one.
    pub task_id: Option<String>,
    /// Where it was to go.
    pub routing_key: String,
    /// Length of its body.
    pub bytes: i64,
    /// When it was put into the outbox.
    pub created_date: DateTime<Utc>,
    /// Why it cannot be published.
    pub refusal: String,
}
