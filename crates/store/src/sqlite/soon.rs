//! Lists that have a deadline of their own.

use super::{Db, Sqlite};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::lists::{Search, Way};
use sqlx::FromRow;
use sqlx::query::QueryAs;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use std::time::{Duration, Instant};

/// SQLite's own steps between two looks at the clock: some tenths of a millisecond.
const STEPS: i32 = 10_000;

/// What a statement ends with that was interrupted.
const INTERRUPTED: &str = "9";

impl Sqlite {
    /// All rows of a reading statement; `None` when that would have taken longer than it may.
    pub(super) async fn all_soon<'q, T>(
        &self,
        operation: &'static str,
        statement: QueryAs<'q, Db, T, SqliteArguments>,
        (time, _): (Duration, Way),
    ) -> Result<Option<Vec<T>>, StoreError>
    where
        T: Send + Unpin + for<'r> FromRow<'r, SqliteRow>,
    {
        let mut held = self.limits.acquire(operation, &self.readers).await?;
        let rows = async {
            let ends_at = Instant::now() + time;
            let mut handle = held.lock_handle().await?;
            handle.set_progress_handler(STEPS, move || Instant::now() < ends_at);
            drop(handle);
            let rows = statement.fetch_all(&mut *held).await;
            held.lock_handle().await?.remove_progress_handler();
            rows
        };
        let rows = self.limits.within(operation, rows).await;
        match held.settle(rows) {
            Err(error) if error.code() == Some(INTERRUPTED) => Ok(None),
            rows => rows.map(Some),
        }
    }

    /// SQLite keeps no statistics that are worth telling.
    #[expect(clippy::unused_async, reason = "the other database asks its planner")]
    pub(super) async fn estimate_now(
        &self,
        _filter: &TaskFilter,
        _search: Option<&Search>,
    ) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}
