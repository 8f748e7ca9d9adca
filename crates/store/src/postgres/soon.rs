//! Lists that have a deadline of their own, and what the planner thinks of them.

use super::{Db, Postgres};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::lists::{Places, Root, Search, Way};
use crate::sql::postgres::{ESTIMATE_TASKS, HURRY};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{Connection, FromRow, query, query_as};
use std::time::Duration;

/// What a statement ends with that was cancelled.
const QUERY_CANCELED: &str = "57014";

impl Postgres {
    /// All rows of a reading statement; `None` when that would have taken longer than it may.
    pub(super) async fn all_soon<'q, T>(
        &self,
        operation: &'static str,
        statement: QueryAs<'q, Db, T, PgArguments>,
        (time, way): (Duration, Way),
    ) -> Result<Option<Vec<T>>, StoreError>
    where
        T: Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        let mut held = self.limits.acquire(operation, &self.pool).await?;
        let rows = async {
            let mut tx = held.begin().await?;
            // 0 would be no limit.
            let limit = format!("{}ms", time.as_millis().max(1));
            let walks = match way {
                Way::Planners => "on",
                Way::Bitmaps => "off",
            };
            let limit = query(HURRY).bind(limit).bind(walks);
            limit.execute(&mut *tx).await?;
            let rows = statement.fetch_all(&mut *tx).await;
            // The settings go with the transaction, and nothing was written in it.
            tx.rollback().await?;
            rows
        };
        let rows = self.limits.within(operation, rows).await;
        match held.settle(rows) {
            Err(error) if error.code() == Some(QUERY_CANCELED) => Ok(None),
            rows => rows.map(Some),
        }
    }

    /// How many tasks match, as the planner takes it.
    pub(super) async fn estimate_now(
        &self,
        filter: &TaskFilter,
        search: Option<&Search>,
    ) -> Result<Option<u64>, StoreError> {
        let plan = Self::matching(query_as(ESTIMATE_TASKS), filter, i64::MAX, Root::Too);
        let plan: Vec<(String,)> = self
            .all("estimate tasks", Self::searching(plan, search, Places::All))
            .await?;
        Ok(plan.first().and_then(|(line,)| rows_of(line)))
    }
}

/// How many rows a line of a plan tells.
fn rows_of(line: &str) -> Option<u64> {
    let (_, rows) = line.split_once(" rows=")?;
    rows.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::rows_of;

    #[test]
    fn a_plan_tells_its_rows() {
        let line = "Limit  (cost=0.43..1234.50 rows=250123 width=4)";
        assert_eq!(rows_of(line), Some(250_123));
        assert_eq!(rows_of("Limit"), None);
    }
}
