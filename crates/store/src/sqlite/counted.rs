//! What a transaction counts for charts: a few questions before and after its rows, not some for each.

use super::write::result;
use crate::batch::Batch;
use crate::celery::whole_results;
use crate::feed::ids_as_json;
use crate::history::HistoryLine;
use crate::ids::IdKey;
use crate::merge::ResultChange;
use crate::rollup::{Counting, OldOutcome, Waited, spans};
use crate::sql::Statements;
use crate::sql::sqlite::{
    DELETE_ROLLUP_DELTAS, INSERT_ROLLUP_DELTAS, KNOWN_RESULTS, KNOWN_RETRIES, KNOWN_STARTS,
    KNOWN_TASKS, NEW_ROLLUPS, WAITED_SINCE,
};
use chrono::Utc;
use sqlx::{Connection, SqliteConnection, query, query_as, query_scalar};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Which tasks of a batch have rows.
pub(super) async fn known_tasks(
    tx: &mut SqliteConnection,
    batch: &Batch,
) -> Result<HashSet<String>, sqlx::Error> {
    let ids = ids_as_json(batch.tasks.keys().map(|id| id.as_str()));
    let known: Vec<String> = query_scalar(KNOWN_TASKS).bind(ids).fetch_all(tx).await?;
    Ok(known.into_iter().collect())
}

/// Begins to count; asks which starts and retries are known if the batch tells of some.
pub(super) async fn counting(
    tx: &mut SqliteConnection,
    batch: &Batch,
) -> Result<Counting, sqlx::Error> {
    let ids = |which: fn(&HistoryLine) -> bool| -> BTreeSet<&str> {
        let lines = batch.lines.values().filter(|line| which(line));
        lines.map(|line| line.task_id.as_str()).collect()
    };
    let started = ids(|line| line.first_start().is_some());
    let retried = ids(HistoryLine::is_retry);
    let (mut starts, mut retries) = (Vec::new(), Vec::new());
    if !started.is_empty() {
        let known = query_scalar(KNOWN_STARTS).bind(ids_as_json(started));
        starts = known.fetch_all(&mut *tx).await?;
    }
    if !retried.is_empty() {
        let known = query_as(KNOWN_RETRIES).bind(ids_as_json(retried));
        retries = known.fetch_all(tx).await?;
    }
    Ok(Counting::new(starts, retries))
}

/// Outcomes that are there of the runs that a batch ends.
async fn known_results(
    tx: &mut SqliteConnection,
    batch: &Batch,
) -> Result<HashMap<(String, i32), OldOutcome>, sqlx::Error> {
    let ids = ids_as_json(batch.results.keys().map(|(id, _)| id.as_str()));
    let known = query_as::<_, OldOutcome>(KNOWN_RESULTS).bind(ids);
    let known = known.fetch_all(tx).await?.into_iter();
    Ok(known
        .map(|known| ((known.task_id.clone(), known.run), known))
        .collect())
}

/// Writes what was counted.
pub(super) async fn write_counts(
    tx: &mut SqliteConnection,
    mut counting: Counting,
) -> Result<(), sqlx::Error> {
    let asked = counting.asks_about();
    if !asked.is_empty() {
        let waited = query_as::<_, Waited>(WAITED_SINCE).bind(ids_as_json(asked));
        let waited = waited.fetch_all(&mut *tx).await?;
        counting.know(waited);
    }
    if let Some(deltas) = counting.deltas() {
        let written = query(INSERT_ROLLUP_DELTAS).bind(deltas);
        written.execute(tx).await?;
    }
    Ok(())
}

/// Writes outcomes, and counts those that are new. Returns the public ids of their tasks.
pub(super) async fn results(
    tx: &mut SqliteConnection,
    (sql, ids): (&Statements, &IdKey),
    batch: &Batch,
    adopted: &[ResultChange],
) -> Result<Vec<String>, sqlx::Error> {
    if batch.results.is_empty() {
        return Ok(Vec::new());
    }
    let before = known_results(tx, batch).await?;
    let now = Utc::now();
    let (mut written, mut counting) = (Vec::new(), Counting::default());
    for change in whole_results(batch, adopted) {
        if result(tx, sql, change, now).await? == 0 {
            continue;
        }
        written.push(ids.public_id(&change.task_id));
        let before = before.get(&(change.task_id.to_string(), change.key.run));
        if let Some(name) = batch.name_of(&change.task_id) {
            counting.ended((name.service(), name.as_str()), (change, now), before);
        }
    }
    write_counts(tx, counting).await?;
    Ok(written)
}

/// Adds up the oldest rows that were counted, and tells how many those were.
pub(super) async fn add_up(
    connection: &mut SqliteConnection,
    sql: &Statements,
    limit: i64,
) -> Result<usize, sqlx::Error> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let taken = query_as::<_, (i64, Option<i64>)>(NEW_ROLLUPS).bind(limit);
    let (count, last) = taken.fetch_one(&mut *tx).await?;
    if let Some(last) = last {
        let spans = serde_json::json!(spans()).to_string();
        let added = query(sql.flow.add_up_rollups).bind(spans).bind(last);
        added.execute(&mut *tx).await?;
        let gone = query(DELETE_ROLLUP_DELTAS).bind(last);
        gone.execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(usize::try_from(count).unwrap_or_default())
}
