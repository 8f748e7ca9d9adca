//! What a batch tells callers in Python, a statement for all of its tasks.

use super::outbox::hand_over;
use super::write::{Written, column};
use crate::batch::Batch;
use crate::celery::{
    Keeping, ResultRow, SkippedRow, adopt_step, chord_steps, result_rows, revoked_rows,
    skipped_rows,
};
use crate::sql::Statements;
use sqlx::postgres::{PgArguments, PgBindIterExt};
use sqlx::query::QueryAs;
use sqlx::{PgConnection, query, query_as};

adopt_step!(sqlx::Postgres);
chord_steps!(sqlx::Postgres);

/// Writes what callers look for. The rows of tasks were written before, and are locked.
pub(super) async fn tell_callers(
    tx: &mut PgConnection,
    sql: &Statements,
    keeping: Keeping,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    take_back_skipped(&mut *tx, sql, batch).await?;
    let rows = result_rows(batch, keeping.encoding);
    if !rows.is_empty() {
        let statement = match keeping.has_children {
            true => sql.upsert_celery_results,
            false => sql.upsert_old_celery_results,
        };
        results(statement, &rows).execute(&mut *tx).await?;
    }
    let skipped = skipped_rows(batch, keeping.encoding);
    if !skipped.is_empty() {
        let told = skipped_results(sql, &skipped).fetch_all(&mut *tx).await?;
        mark_told(&mut *tx, sql, told).await?;
    }
    if let Some((ids, result)) = revoked_rows(batch, keeping.encoding) {
        let told = query(sql.upsert_revoked_results).bind(ids).bind(result);
        told.execute(&mut *tx).await?;
    }
    let copies = batch.tasks.values().filter(|change| change.copy.is_some());
    let copies: Vec<_> = copies.collect();
    if !copies.is_empty() {
        let ids = column!(copies, |change| change.task_id.as_str());
        let completed = query(sql.complete_celery_results).bind(ids);
        completed.execute(&mut *tx).await?;
    }
    Ok(())
}

fn results<'q>(statement: &'static str, rows: &'q [ResultRow<'q>]) -> Written<'q> {
    query(statement)
        .bind(column!(rows, |row| row.task_id))
        .bind(column!(rows, |row| row.key.run))
        .bind(column!(rows, |row| row.key.rescue))
        .bind(column!(rows, |row| row.key.executions))
        .bind(column!(rows, |row| row.key.deliveries))
        .bind(column!(rows, |row| row.key.tries))
        .bind(column!(rows, |row| row.key.rank))
        .bind(column!(rows, |row| row.key.event_id.to_string()))
        .bind(column!(rows, |row| row.status))
        .bind(column!(rows, |row| &row.result[..]))
        .bind(column!(rows, |row| row.date_done))
        .bind(column!(rows, |row| row.traceback.as_deref()))
        .bind(column!(rows, |row| row.children))
        .bind(column!(rows, |row| row.worker))
}

fn skipped_results<'q>(
    sql: &Statements,
    rows: &'q [SkippedRow<'q>],
) -> QueryAs<'q, sqlx::Postgres, (String,), PgArguments> {
    query_as(sql.upsert_skipped_results)
        .bind(column!(rows, |row| row.task_id))
        .bind(column!(rows, |row| row.after))
        .bind(column!(rows, |row| row.key.run))
        .bind(column!(rows, |row| row.key.rescue))
        .bind(column!(rows, |row| row.key.executions))
        .bind(column!(rows, |row| row.key.deliveries))
        .bind(column!(rows, |row| row.key.tries))
        .bind(column!(rows, |row| row.key.rank))
        .bind(column!(rows, |row| row.key.event_id.to_string()))
        .bind(column!(rows, |row| &row.result[..]))
        .bind(column!(rows, |row| row.date_done))
        .bind(column!(rows, |row| row.traceback.as_deref()))
        .bind(column!(rows, |row| row.name))
        .bind(column!(rows, |row| row.args))
        .bind(column!(rows, |row| row.kwargs))
}
