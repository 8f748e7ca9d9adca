//! A batch as prepared statements in one transaction, row by row: there is no network to save.

use super::celery::{adopted_results, tell_callers, write_chords};
use super::counted::{counting, known_tasks, results, write_counts};
use super::outbox::discard;
use super::sessions::{tell_changes, write_sessions};
use crate::batch::{Applied, Batch, CanarySight, LogRecord};
use crate::celery::Keeping;
use crate::control::{Asked, HeldBack};
use crate::feed::also_changed;
use crate::history::HistoryLine;
use crate::ids::IdKey;
use crate::merge::ResultChange;
use crate::record::foreign;
use crate::sessions::Touched;
use crate::set_aside::{DeadLetter, Handled, Parked};
use crate::sql::Statements;
use crate::stored::{headers_to_json, properties_to_json};
use crate::time::to_text;
use crate::values::TaskValues;
use crate::worker_seen::WorkerSeen;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::failpoint::{Point, hit};
use sqlx::{Connection, SqliteConnection, query, query_as, query_scalar};
use std::collections::BTreeSet;
use uuid::Uuid;

type Done = Result<u64, sqlx::Error>;
pub(super) type Written<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Writes everything that `batch` holds, or nothing.
pub(super) async fn batch(
    connection: &mut SqliteConnection,
    (sql, ids, celery): (&Statements, &IdKey, Option<&Keeping>),
    batch: &Batch,
) -> Result<Applied, sqlx::Error> {
    // Immediate: a transaction that begins by reading could not become a writer while another
    // process writes.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let not_discarded = discard(&mut tx, sql, batch).await?;
    if !not_discarded.is_empty() {
        tx.rollback().await?;
        return Ok(Applied {
            not_discarded,
            ..Applied::default()
        });
    }
    let (mut applied, touched, told) = tasks_and_lines(&mut tx, sql, ids, batch).await?;
    let adopted = match celery {
        Some(_) => adopted_results(&mut tx, sql, batch).await?,
        None => Vec::new(),
    };
    let ended = results(&mut tx, (sql, ids), batch, &adopted).await?;
    applied.results = u64::try_from(ended.len()).unwrap_or(u64::MAX);
    for record in batch.logs.values() {
        log(&mut tx, sql, record).await?;
    }
    for id in &batch.unparked {
        let gone = query(sql.delete_parked).bind(id.to_string());
        gone.execute(&mut *tx).await?;
    }
    for (id, message) in &batch.parked {
        parked(&mut tx, sql, *id, message).await?;
    }
    for (id, letter) in &batch.dead {
        dead(&mut tx, sql, *id, letter).await?;
    }
    for (id, row) in &batch.handled {
        handled(&mut tx, sql, *id, row).await?;
    }
    for id in &batch.forgotten {
        let gone = query(sql.delete_dead).bind(id.to_string());
        gone.execute(&mut *tx).await?;
    }
    for seen in batch.workers.values() {
        worker(&mut tx, sql, seen).await?;
        for (task_id, worker, service) in seen.renewals() {
            let renewed = query(sql.renew_leases).bind(task_id.as_str());
            let renewed = renewed.bind(worker.as_str()).bind(service);
            renewed.execute(&mut *tx).await?;
        }
    }
    let mut known = Vec::new();
    for (id, sight) in &batch.canaries {
        known.extend(canary(&mut tx, sql, *id, *sight).await?);
    }
    applied.foreign_canaries = foreign(&batch.canaries, &known);
    for (id, sight) in &batch.markers {
        let seen = query(sql.update_marker).bind(id.to_string());
        let seen = seen.bind(sight.tracking).bind(sight.events);
        let seen = seen.bind(sight.heartbeats);
        seen.execute(&mut *tx).await?;
    }
    for (id, asked) in &batch.controls {
        control(&mut tx, sql, *id, asked).await?;
    }
    for (task_id, held) in &batch.held {
        let held = query(sql.set_held)
            .bind(task_id.as_str())
            .bind(*held == HeldBack::Yes);
        held.execute(&mut *tx).await?;
    }
    let mut also = also_changed(batch, ids);
    also.extend(ended.into_iter().filter(|id| !told.contains(id)));
    tell_changes(&mut tx, sql, "task", &also).await?;
    write_sessions(&mut tx, sql, batch, touched, &mut applied).await?;
    write_chords(&mut tx, sql, batch).await?;
    if let Some(keeping) = celery {
        tell_callers(&mut tx, sql, *keeping, batch).await?;
    }
    hit(Point::TxOpen).await;
    tx.commit().await?;
    Ok(applied)
}

/// Writes the tasks of `batch` and their history. Returns the subtasks among them, too, and the public ids that were
/// told as changed.
pub(super) async fn tasks_and_lines(
    tx: &mut SqliteConnection,
    sql: &Statements,
    ids: &IdKey,
    batch: &Batch,
) -> Result<(Applied, Vec<Touched>, BTreeSet<String>), sqlx::Error> {
    let mut applied = Applied::default();
    let mut touched = Vec::new();
    let mut changed = BTreeSet::new();
    let (known, now) = (known_tasks(tx, batch).await?, Utc::now());
    let mut counting = counting(tx, batch).await?;
    for change in batch.tasks.values() {
        let values = TaskValues::new(change, ids);
        let Some((session_id,)) = task(tx, sql, &values).await? else {
            continue;
        };
        applied.tasks += 1;
        if !known.contains(change.task_id.as_str()) {
            counting.sent(change, values.sent_at.map_or(now, |at| at.min(now)));
        }
        changed.insert(values.id);
        touched.extend(session_id.map(|session_id| Touched {
            session_id,
            task_id: change.task_id.to_string(),
            row: None,
        }));
    }
    for line in batch.lines.values() {
        let written = history(tx, sql, line).await?;
        applied.lines += written;
        if written > 0 {
            counting.line(line, now);
            // A late report may be no news of the row.
            changed.insert(ids.public_id(&line.task_id));
        }
    }
    tell_changes(tx, sql, "task", &changed).await?;
    write_counts(tx, counting).await?;
    Ok((applied, touched, changed))
}

/// Writes a row, and returns the session of one that changed.
async fn task(
    tx: &mut SqliteConnection,
    sql: &Statements,
    row: &TaskValues<'_>,
) -> Result<Option<(Option<String>,)>, sqlx::Error> {
    let (change, state) = (row.change, &row.change.state);
    let key = state.key;
    let progress = state.progress.as_ref();
    let done = query_as(sql.upsert_task)
        .bind(&row.id)
        .bind(change.task_id.as_str())
        .bind(row.name())
        .bind(row.service())
        .bind(state.state.as_str())
        .bind(key.run)
        .bind(key.rescue)
        .bind(key.sticky)
        .bind(key.executions)
        .bind(key.deliveries)
        .bind(key.rank)
        .bind(&row.event_id)
        .bind(row.copy_number(|copy| copy.key.run))
        .bind(row.copy_number(|copy| copy.key.rescue))
        .bind(row.copy_number(|copy| copy.key.executions))
        .bind(row.copy_number(|copy| copy.key.digest))
        .bind(row.maybe(|copy| copy.input.as_ref().map(|json| json.get())))
        .bind(row.copy(|copy| &*copy.options))
        .bind(row.copy(|copy| &copy.body[..]))
        .bind(row.copy(|copy| &*copy.headers))
        .bind(row.copy(|copy| &*copy.properties))
        .bind(row.copy(|copy| &*copy.exchange))
        .bind(row.copy(|copy| &*copy.routing_key))
        .bind(row.maybe(|copy| copy.creator_id.as_deref()))
        .bind(row.maybe(|copy| copy.related_content_type.as_deref()))
        .bind(row.maybe(|copy| copy.related_object_id.as_deref()))
        .bind(row.maybe(|copy| copy.identifier.as_deref()))
        .bind(change.parent_id().map(|id| id.as_str()))
        .bind(change.root_id().map(|id| id.as_str()))
        .bind(change.session_id())
        .bind(row.copy(|copy| copy.is_result).unwrap_or(false))
        .bind(progress.map(|progress| progress.current))
        .bind(progress.and_then(|progress| progress.total))
        .bind(progress.and_then(|progress| progress.message.as_deref()))
        .bind(state.error_kind)
        .bind(state.error_message.as_deref())
        .bind(row.maybe(|copy| copy.eta).map(to_text))
        .bind(row.maybe(|copy| copy.expires).map(to_text))
        .bind(state.retry_at.map(to_text))
        .bind(state.worker.as_ref().map(|worker| worker.as_str()))
        .bind(row.sent_at.map(to_text))
        .bind(row.copy(|copy| &*copy.addressee))
        .bind(key.tries)
        .bind(row.lease_ms())
        .bind(row.restarts())
        .bind(row.retention_s())
        .bind(change.delayed_until.map(to_text))
        .bind(change.delay_bits);
    done.fetch_optional(tx).await
}

async fn history(tx: &mut SqliteConnection, sql: &Statements, line: &HistoryLine) -> Done {
    let lineage = line.lineage;
    let done = query(sql.insert_event)
        .bind(line.task_id.as_str())
        .bind(line.event_id.to_string())
        .bind(line.at.known().map(to_text))
        .bind(lineage.run)
        .bind(lineage.rescue)
        .bind(lineage.executions)
        .bind(lineage.deliveries)
        .bind(line.kind.as_str())
        .bind(line.worker.as_ref().map(|worker| worker.as_str()))
        .bind(line.happened_at.map(to_text))
        .bind(line.detail.as_deref())
        .bind(lineage.tries);
    Ok(done.execute(tx).await?.rows_affected())
}

/// What takes the place of an outcome takes it back in the minute in which that was counted: none has come later than
/// now, by whose clock ever.
pub(super) async fn result(
    tx: &mut SqliteConnection,
    sql: &Statements,
    change: &ResultChange,
    now: DateTime<Utc>,
) -> Done {
    let key = change.key;
    let done = query(sql.upsert_result)
        .bind(change.task_id.as_str())
        .bind(key.run)
        .bind(change.status.as_str())
        .bind(key.rescue)
        .bind(key.sticky)
        .bind(key.executions)
        .bind(key.deliveries)
        .bind(key.rank)
        .bind(key.event_id.to_string())
        .bind(change.json())
        .bind(change.raw())
        .bind(change.error_kind)
        .bind(change.error_message.as_deref())
        .bind(change.traceback.as_deref())
        .bind(to_text(change.date_done.min(now)))
        .bind(change.runtime_ms)
        .bind(change.worker.as_ref().map(|worker| worker.as_str()))
        .bind(key.tries);
    Ok(done.execute(tx).await?.rows_affected())
}

async fn log(tx: &mut SqliteConnection, sql: &Statements, record: &LogRecord) -> Done {
    let lineage = record.lineage;
    let done = query(sql.insert_log)
        .bind(record.task_id.as_str())
        .bind(record.event_id.to_string())
        .bind(lineage.run)
        .bind(lineage.rescue)
        .bind(lineage.retries())
        .bind(lineage.deliveries)
        .bind(&*record.level)
        .bind(&*record.message)
        .bind(record.fields.as_ref().map(|json| json.get()))
        .bind(record.worker.as_ref().map(|worker| worker.as_str()))
        .bind(to_text(record.happened_at));
    Ok(done.execute(tx).await?.rows_affected())
}

async fn parked(tx: &mut SqliteConnection, sql: &Statements, id: Uuid, parked: &Parked) -> Done {
    let message = &parked.message;
    let done = query(sql.upsert_parked)
        .bind(id.to_string())
        .bind(&*parked.queue)
        .bind(&*parked.reason)
        .bind(parked.task_id.as_ref().map(|id| id.as_str()))
        .bind(parked.name.as_deref())
        .bind(&message.content.body[..])
        .bind(headers_to_json(&message.content.headers))
        .bind(properties_to_json(&message.content.properties))
        .bind(&*message.exchange)
        .bind(&*message.routing_key)
        .bind(parked.waits);
    Ok(done.execute(tx).await?.rows_affected())
}

async fn dead(tx: &mut SqliteConnection, sql: &Statements, id: Uuid, dead: &DeadLetter) -> Done {
    let done = letter(sql.upsert_dead, id, dead);
    Ok(done.execute(tx).await?.rows_affected())
}

async fn handled(tx: &mut SqliteConnection, sql: &Statements, id: Uuid, row: &Handled) -> Done {
    let counted = letter(sql.handle_dead, id, &row.letter).bind(row.messages);
    counted.execute(&mut *tx).await?;
    let gone = query(sql.delete_handled_dead).bind(id.to_string());
    Ok(gone.execute(tx).await?.rows_affected())
}

/// A dead letter, column by column.
fn letter<'q>(statement: &'static str, id: Uuid, dead: &'q DeadLetter) -> Written<'q> {
    let (message, lineage) = (&dead.message, dead.lineage);
    query(statement)
        .bind(id.to_string())
        .bind(&*dead.service)
        .bind(&*dead.reason)
        .bind(dead.reason_text.as_deref())
        .bind(dead.task_id.as_ref().map(|id| id.as_str()))
        .bind(dead.name.as_deref())
        .bind(lineage.run)
        .bind(lineage.rescue)
        .bind(lineage.retries())
        .bind(lineage.deliveries)
        .bind(&message.content.body[..])
        .bind(headers_to_json(&message.content.headers))
        .bind(properties_to_json(&message.content.properties))
        .bind(&*message.exchange)
        .bind(&*message.routing_key)
        .bind(dead.died_at.map(to_text))
}

async fn worker(tx: &mut SqliteConnection, sql: &Statements, seen: &WorkerSeen) -> Done {
    let done = query(sql.upsert_worker)
        .bind(seen.id.as_str())
        .bind(&*seen.service)
        .bind(&*seen.host)
        .bind(seen.pid)
        .bind(seen.version.as_deref())
        .bind(seen.tasks.as_ref().map(|json| json.get()))
        .bind(seen.phase_text())
        .bind(seen.queues_json())
        .bind(seen.limits_json())
        .bind(seen.running)
        .bind(seen.processed)
        .bind(seen.interval_ms())
        .bind(seen.started_at.map(to_text))
        .bind(seen.paused_json())
        .bind(seen.follows_control)
        .bind(seen.hands_json())
        .bind(seen.heard_until.map(to_text));
    Ok(done.execute(tx).await?.rows_affected())
}

/// Returns the id if there is such a canary.
async fn canary(
    tx: &mut SqliteConnection,
    sql: &Statements,
    id: Uuid,
    sight: CanarySight,
) -> Result<Option<String>, sqlx::Error> {
    let seen = query_scalar(sql.update_canary)
        .bind(id.to_string())
        .bind(sight.tracking)
        .bind(sight.unroutable)
        .bind(sight.events);
    seen.fetch_optional(tx).await
}

async fn control(tx: &mut SqliteConnection, sql: &Statements, id: Uuid, asked: &Asked) -> Done {
    let subject = asked.order.subject();
    for kind in asked.ends() {
        let ended = query(sql.end_control)
            .bind(*kind)
            .bind(subject)
            .bind(to_text(asked.at))
            .bind(id.to_string());
        ended.execute(&mut *tx).await?;
    }
    let done = query(sql.insert_control)
        .bind(id.to_string())
        .bind(asked.order.kind())
        .bind(subject)
        .bind(asked.order.run())
        .bind(asked.by.as_deref())
        .bind(to_text(asked.at))
        .bind(asked.ends_at().map(to_text));
    Ok(done.execute(tx).await?.rows_affected())
}
