//! Sessions: groups of subtasks with counters and one finalizer.
//!
//! Their counters follow the rows of their subtasks, in the transaction that changes those. So they need no
//! event to arrive once or in order: whatever a batch changes is compared with what the session knew, under a
//! lock on the session, and the difference is added.

mod change;
mod count;
mod end;
mod news;
mod rows;
mod steps;
mod time_out;

pub(crate) use change::{Ending, Opened};
pub(crate) use count::{News, Retries, SubtaskChange, count};
pub(crate) use end::{Complete, End, MOST_RESULT_BYTES, end_of};
pub(crate) use news::{Before, Known, NthRow, Row, Touched, news, plain_ends};
pub use rows::{AbortingSession, SessionFilter, SessionRow, SubtaskRow};
pub(crate) use steps::{implement_sessions, session_steps};
pub use time_out::TimeOut;

use crate::error::StoreError;
use async_trait::async_trait;
use counterfoil_toolbox::ids::SessionId;
use std::time::Duration;

/// What the keys of finalizers in the outbox begin with.
pub(crate) const FINALIZER: &str = "finalizer:";

/// Reading sessions. They are written by [`apply`](crate::Store::apply): see
/// [`Batch::open_session`](crate::Batch::open_session).
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Sessions, newest first.
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, StoreError>;

    /// The session with this id.
    async fn session(&self, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
        let filter = SessionFilter {
            id: Some(id.clone()),
            limit: 1,
            ..SessionFilter::default()
        };
        Ok(self.sessions(&filter).await?.pop())
    }

    /// Subtasks of a session in order, those after the place `after`, at most so many, up to 10,000.
    async fn subtasks(
        &self,
        session: &SessionId,
        after: Option<i32>,
        limit: u32,
    ) -> Result<Vec<SubtaskRow>, StoreError>;

    /// The same without those that are over.
    async fn unfinished_subtasks(
        &self,
        session: &SessionId,
        after: Option<i32>,
        limit: u32,
    ) -> Result<Vec<SubtaskRow>, StoreError>;

    /// How many of a session's subtasks were never sent, as far as is known.
    async fn unsent_subtasks(&self, session: &SessionId) -> Result<i64, StoreError>;

    /// How many sessions are open.
    async fn open_sessions(&self) -> Result<i64, StoreError>;

    /// Open sessions that are aborted, the oldest first: at most so many, up to 10,000.
    async fn aborting_sessions(&self, limit: u32) -> Result<Vec<AbortingSession>, StoreError>;

    /// Open sessions whose time is over, the oldest first: at most so many, up to 10,000. Those that do not say
    /// themselves what they take have `estimate` for each subtask, and `buffer`.
    async fn overdue_sessions(
        &self,
        estimate: Duration,
        buffer: Duration,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError>;
}
