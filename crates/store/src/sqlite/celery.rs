//! What a batch tells callers in Python, row by row.

use super::outbox::hand_over;
use crate::batch::Batch;
use crate::celery::{
    Keeping, ResultRow, SkippedRow, adopt_step, chord_steps, result_rows, revoked_rows,
    skipped_rows,
};
use crate::sql::Statements;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, query, query_as};

adopt_step!(sqlx::Sqlite);
chord_steps!(sqlx::Sqlite);

/// Writes what callers look for. The rows of tasks were written before.
pub(super) async fn tell_callers(
    tx: &mut SqliteConnection,
    sql: &Statements,
    keeping: Keeping,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    let statement = match keeping.has_children {
        true => sql.upsert_celery_results,
        false => sql.upsert_old_celery_results,
    };
    take_back_skipped(&mut *tx, sql, batch).await?;
    for row in result_rows(batch, keeping.encoding) {
        result(tx, statement, &row).await?;
    }
    let mut told = Vec::new();
    for row in skipped_rows(batch, keeping.encoding) {
        told.extend(skipped(tx, sql, &row).await?);
    }
    mark_told(&mut *tx, sql, told).await?;
    if let Some((ids, result)) = revoked_rows(batch, keeping.encoding) {
        let told = query(sql.upsert_revoked_results).bind(ids).bind(result);
        told.execute(&mut *tx).await?;
    }
    let copies = batch.tasks.values().filter(|change| change.copy.is_some());
    let copies: Vec<_> = copies.map(|change| change.task_id.as_str()).collect();
    if !copies.is_empty() {
        let ids = serde_json::json!(copies).to_string();
        let completed = query(sql.complete_celery_results).bind(ids);
        completed.execute(&mut *tx).await?;
    }
    Ok(())
}

async fn result(
    tx: &mut SqliteConnection,
    statement: &'static str,
    row: &ResultRow<'_>,
) -> Result<(), sqlx::Error> {
    let done = query(statement)
        .bind(row.task_id)
        .bind(row.key.run)
        .bind(row.key.rescue)
        .bind(row.key.executions)
        .bind(row.key.deliveries)
        .bind(row.key.tries)
        .bind(row.key.rank)
        .bind(row.key.event_id.to_string())
        .bind(row.status)
        .bind(&row.result[..])
        .bind(row.date_done.map(as_sqlalchemy))
        .bind(row.traceback.as_deref())
        .bind(row.children)
        .bind(row.worker);
    done.execute(tx).await.map(drop)
}

async fn skipped(
    tx: &mut SqliteConnection,
    sql: &Statements,
    row: &SkippedRow<'_>,
) -> Result<Option<(String,)>, sqlx::Error> {
    let told = query_as(sql.upsert_skipped_results)
        .bind(row.task_id)
        .bind(row.after)
        .bind(row.key.run)
        .bind(row.key.rescue)
        .bind(row.key.executions)
        .bind(row.key.deliveries)
        .bind(row.key.tries)
        .bind(row.key.rank)
        .bind(row.key.event_id.to_string())
        .bind(&row.result[..])
        .bind(as_sqlalchemy(row.date_done))
        .bind(row.traceback.as_deref())
        .bind(row.name)
        .bind(row.args)
        .bind(row.kwargs);
    told.fetch_optional(tx).await
}

/// A time as SQLAlchemy writes it into a file of SQLite, and reads it.
fn as_sqlalchemy(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}
