//! Connections, with a deadline on everything that is asked of them.

use crate::error::{FaultClass, StoreError};
use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

/// How much longer than the database itself the client waits before it gives up on an answer.
const GRACE: Duration = Duration::from_secs(5);

/// What all calls on one database share.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The database, for messages.
    pub(crate) server: Arc<str>,
    /// Longest that one statement may take.
    pub(crate) statement: Duration,
    /// Longest wait for a connection.
    pub(crate) acquire: Duration,
    /// Meaning of the database's error codes.
    pub(crate) classify: fn(&str) -> FaultClass,
}

impl Limits {
    /// An error of the driver, with what was tried and where.
    pub(crate) fn error(&self, operation: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::database(operation, &self.server, self.classify, source)
    }

    /// Waits for an answer, but not for ever.
    pub(crate) async fn within<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        self.within_time(operation, self.statement + GRACE, answer)
            .await
    }

    /// Waits for an answer for so long.
    pub(crate) async fn within_time<T>(
        &self,
        operation: &'static str,
        after: Duration,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(after, answer).await {
            Ok(answer) => answer.map_err(|source| self.error(operation, source)),
            Err(_) => Err(StoreError::Deadline {
                operation,
                server: Arc::clone(&self.server),
                after,
            }),
        }
    }

    /// A connection of `pool`, within the time for that.
    pub(crate) async fn acquire<DB: Database>(
        &self,
        operation: &'static str,
        pool: &Pool<DB>,
    ) -> Result<Held<DB>, StoreError> {
        // The pool has a limit of its own; this one also ends a connection attempt that hangs.
        let after = pool.options().get_acquire_timeout() + GRACE;
        let connection = self.within_time(operation, after, pool.acquire());
        Ok(Held {
            connection: connection.await?,
            answered: false,
        })
    }
}

/// A connection in use. Unless it [answered](Self::settle) it is closed, not given back: it may
/// hang, or be in the middle of something.
pub(crate) struct Held<DB: Database> {
    connection: PoolConnection<DB>,
    answered: bool,
}

impl<DB: Database> Held<DB> {
    /// Gives the connection back to its pool, if it did answer.
    pub(crate) fn settle<T>(mut self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        self.answered = !matches!(answer, Err(StoreError::Deadline { .. }));
        answer
    }
}

impl<DB: Database> Deref for Held<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Held<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl<DB: Database> Drop for Held<DB> {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close_on_drop();
        }
    }
}
