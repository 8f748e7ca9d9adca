//! A batch as a handful of statements over arrays, in one transaction.

use super::asked::{asked, ended};
use super::celery::{adopted_results, tell_callers, write_chords};
use super::letters::{dead, handled, parked};
use super::outbox::discard;
use super::sessions::{tell_changes, write_sessions};
use super::signs::{canaries, markers, renewals, workers};
use crate::batch::{Applied, Batch, LogRecord};
use crate::celery::{Keeping, whole_results};
use crate::control::HeldBack;
use crate::feed::also_changed;
use crate::history::HistoryLine;
use crate::ids::IdKey;
use crate::merge::ResultChange;
use crate::sessions::{Row, Touched};
use crate::sql::Statements;
use crate::sql::postgres::{INSERT_COUNTED_EVENT, INSERT_UNDATED_EVENT};
use crate::values::TaskValues;
use counterfoil_toolbox::failpoint::{Point, hit};
use sqlx::postgres::{PgArguments, PgBindIterExt};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{Connection, PgConnection, query, query_as, query_scalar};

pub(super) type Written<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// A statement that writes, and tells how many rows were new or changed.
type Counted<'q> = QueryScalar<'q, sqlx::Postgres, i64, PgArguments>;

/// One column of `rows` as an array parameter.
macro_rules! column {
    ($rows:expr, |$row:ident| $value:expr) => {
        $rows.iter().map(|$row| $value).bind_iter()
    };
}
pub(super) use column;

/// Writes everything that `batch` holds, or nothing. Tasks come first: the locks on their rows keep
/// others from writing history and results of the same tasks at the same time.
pub(super) async fn batch(
    connection: &mut PgConnection,
    (sql, ids, celery): (&Statements, &IdKey, Option<&Keeping>),
    batch: &Batch,
) -> Result<Applied, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let not_discarded = discard(&mut tx, sql, batch).await?;
    if !not_discarded.is_empty() {
        tx.rollback().await?;
        return Ok(Applied {
            not_discarded,
            ..Applied::default()
        });
    }
    let (mut applied, touched) = tasks_and_lines(&mut tx, sql, ids, batch).await?;
    if !batch.results.is_empty() {
        let adopted = match celery {
            Some(_) => adopted_results(&mut tx, sql, batch).await?,
            None => Vec::new(),
        };
        let rows = whole_results(batch, &adopted);
        let written = results(sql, batch, &rows).fetch_one(&mut *tx).await?;
        applied.results = written.unsigned_abs();
    }
    if !batch.logs.is_empty() {
        let rows: Vec<_> = batch.logs.values().collect();
        logs(sql, &rows).execute(&mut *tx).await?;
    }
    if !batch.unparked.is_empty() {
        let gone = column!(batch.unparked, |id| id.to_string());
        query(sql.delete_parked)
            .bind(gone)
            .execute(&mut *tx)
            .await?;
    }
    if !batch.parked.is_empty() {
        parked(sql, &batch.parked).execute(&mut *tx).await?;
    }
    if !batch.dead.is_empty() {
        dead(sql, &batch.dead).execute(&mut *tx).await?;
    }
    if !batch.handled.is_empty() {
        handled(sql, &batch.handled).execute(&mut *tx).await?;
        let ids = column!(batch.handled, |row| row.0.to_string());
        query(sql.delete_handled_dead)
            .bind(ids)
            .execute(&mut *tx)
            .await?;
    }
    if !batch.forgotten.is_empty() {
        let gone = column!(batch.forgotten, |id| id.to_string());
        query(sql.delete_dead).bind(gone).execute(&mut *tx).await?;
    }
    if !batch.workers.is_empty() {
        let rows: Vec<_> = batch.workers.values().collect();
        workers(sql, &rows).execute(&mut *tx).await?;
        let leases: Vec<_> = rows.iter().flat_map(|seen| seen.renewals()).collect();
        if !leases.is_empty() {
            renewals(sql, &leases).execute(&mut *tx).await?;
        }
    }
    if !batch.canaries.is_empty() {
        applied.foreign_canaries = canaries(&mut tx, sql, &batch.canaries).await?;
    }
    if !batch.markers.is_empty() {
        markers(sql, &batch.markers).execute(&mut *tx).await?;
    }
    if !batch.controls.is_empty() {
        let (ended, asked) = (ended(sql, &batch.controls), asked(sql, &batch.controls));
        ended.execute(&mut *tx).await?;
        asked.execute(&mut *tx).await?;
    }
    if !batch.held.is_empty() {
        let rows: Vec<_> = batch.held.iter().collect();
        let held = query(sql.set_held)
            .bind(column!(rows, |row| row.0.as_str()))
            .bind(column!(rows, |row| *row.1 == HeldBack::Yes));
        held.execute(&mut *tx).await?;
    }
    tell_changes(&mut tx, sql, "task", &also_changed(batch, ids)).await?;
    write_sessions(&mut tx, sql, batch, touched, &mut applied).await?;
    write_chords(&mut tx, sql, batch).await?;
    if let Some(keeping) = celery {
        tell_callers(&mut tx, sql, *keeping, batch).await?;
    }
    hit(Point::TxOpen).await;
    tx.commit().await?;
    Ok(applied)
}

/// Writes the tasks of `batch` and their history. Returns the subtasks among them, too.
pub(super) async fn tasks_and_lines(
    tx: &mut PgConnection,
    sql: &Statements,
    ids: &IdKey,
    batch: &Batch,
) -> Result<(Applied, Vec<Touched>), sqlx::Error> {
    let mut applied = Applied::default();
    let mut touched = Vec::new();
    if !batch.tasks.is_empty() {
        let rows: Vec<_> = batch
            .tasks
            .values()
            .map(|c| TaskValues::new(c, ids))
            .collect();
        let changed = tasks(sql, &rows).fetch_all(&mut *tx).await?;
        applied.tasks = changed.iter().map(|same| same.count.unsigned_abs()).sum();
        touched.extend(changed.into_iter().flat_map(Changed::subtasks));
    }
    let (dated, undated): (Vec<_>, Vec<_>) = batch
        .lines
        .values()
        .partition(|line| line.at.known().is_some());
    let (counted, plain): (Vec<_>, Vec<_>) = dated.into_iter().partition(|line| line.counts());
    for (statement, lines) in [(sql.insert_event, plain), (INSERT_COUNTED_EVENT, counted)] {
        if !lines.is_empty() {
            let written = history(statement, &lines).fetch_one(&mut *tx).await?;
            applied.lines += written.unsigned_abs();
        }
    }
    if !undated.is_empty() {
        let written = undated_history(&undated).fetch_one(&mut *tx).await?;
        applied.lines += written.unsigned_abs();
    }
    Ok((applied, touched))
}

/// Rows that changed and say the same of themselves, as far as it counts.
#[derive(sqlx::FromRow)]
struct Changed {
    count: i64,
    /// Of which they are subtasks, and of which there is something to count.
    session_id: Option<String>,
    state: String,
    skipped: bool,
    came_back: bool,
    /// Those subtasks.
    ids: Option<Vec<String>>,
}

impl Changed {
    /// A state that is none of ours is left to be looked up, which says what is wrong.
    fn subtasks(self) -> impl Iterator<Item = Touched> {
        let row = self.state.parse().ok().map(|state| Row {
            state,
            skipped: self.skipped,
            came_back: self.came_back,
        });
        let session_id = self.session_id.unwrap_or_default();
        let ids = self.ids.into_iter().flatten();
        ids.map(move |task_id| Touched {
            session_id: session_id.clone(),
            task_id,
            row,
        })
    }
}

fn tasks<'q>(
    sql: &Statements,
    rows: &'q [TaskValues<'q>],
) -> QueryAs<'q, sqlx::Postgres, Changed, PgArguments> {
    query_as(sql.upsert_task)
        .bind(column!(rows, |row| row.id.as_str()))
        .bind(column!(rows, |row| row.change.task_id.as_str()))
        .bind(column!(rows, |row| row.name()))
        .bind(column!(rows, |row| row.service()))
        .bind(column!(rows, |row| row.change.state.state.as_str()))
        .bind(column!(rows, |row| row.change.state.key.run))
        .bind(column!(rows, |row| row.change.state.key.rescue))
        .bind(column!(rows, |row| row.change.state.key.sticky))
        .bind(column!(rows, |row| row.change.state.key.executions))
        .bind(column!(rows, |row| row.change.state.key.deliveries))
        .bind(column!(rows, |row| row.change.state.key.rank))
        .bind(column!(rows, |row| row.event_id.as_str()))
        .bind(column!(rows, |row| row.copy_number(|copy| copy.key.run)))
        .bind(column!(rows, |row| row.copy_number(|copy| copy.key.rescue)))
        .bind(column!(rows, |row| row.copy_number(|copy| copy.key.executions)))
        .bind(column!(rows, |row| row.copy_number(|copy| copy.key.digest)))
        .bind(column!(rows, |row| row
            .maybe(|copy| copy.input.as_ref().map(|json| json.get()))))
        .bind(column!(rows, |row| row.copy(|copy| &*copy.options)))
        .bind(column!(rows, |row| row.copy(|copy| &copy.body[..])))
        .bind(column!(rows, |row| row.copy(|copy| &*copy.headers)))
        .bind(column!(rows, |row| row.copy(|copy| &*copy.properties)))
        .bind(column!(rows, |row| row.copy(|copy| &*copy.exchange)))
        .bind(column!(rows, |row| row.copy(|copy| &*copy.routing_key)))
        .bind(column!(rows, |row| row.maybe(|copy| copy.creator_id.as_deref())))
        .bind(column!(rows, |row| row
            .maybe(|copy| copy.related_content_type.as_deref())))
        .bind(column!(rows, |row| row
            .maybe(|copy| copy.related_object_id.as_deref())))
        .bind(column!(rows, |row| row.maybe(|copy| copy.identifier.as_deref())))
        .bind(column!(rows, |row| row
            .change
            .parent_id()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row
            .change
            .root_id()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row.change.session_id()))
        .bind(column!(rows, |row| row
            .copy(|copy| copy.is_result)
            .unwrap_or(false)))
        .bind(column!(rows, |row| row
            .change
            .state
            .progress
            .as_ref()
            .map(|p| p.current)))
        .bind(column!(rows, |row| row
            .change
            .state
            .progress
            .as_ref()
            .and_then(|p| p.total)))
        .bind(column!(rows, |row| {
            row.change
                .state
                .progress
                .as_ref()
                .and_then(|p| p.message.as_deref())
        }))
        .bind(column!(rows, |row| row.change.state.error_kind))
        .bind(column!(rows, |row| row
            .change
            .state
            .error_message
            .as_deref()))
        .bind(column!(rows, |row| row.maybe(|copy| copy.eta)))
        .bind(column!(rows, |row| row.maybe(|copy| copy.expires)))
        .bind(column!(rows, |row| row.change.state.retry_at))
        .bind(column!(rows, |row| row
            .change
            .state
            .worker
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row.sent_at))
        .bind(column!(rows, |row| row.copy(|copy| &*copy.addressee)))
        .bind(column!(rows, |row| row.change.state.key.tries))
        .bind(column!(rows, |row| row.lease_ms()))
        .bind(column!(rows, |row| row.restarts()))
        .bind(column!(rows, |row| row.retention_s()))
        .bind(column!(rows, |row| row.change.delayed_until))
        .bind(column!(rows, |row| row.change.delay_bits))
}

fn history<'q>(statement: &'static str, lines: &'q [&'q HistoryLine]) -> Counted<'q> {
    query_scalar(statement)
        .bind(column!(lines, |line| line.task_id.as_str()))
        .bind(column!(lines, |line| line.event_id.to_string()))
        .bind(column!(lines, |line| line.at.known()))
        .bind(column!(lines, |line| line.lineage.run))
        .bind(column!(lines, |line| line.lineage.rescue))
        .bind(column!(lines, |line| line.lineage.executions))
        .bind(column!(lines, |line| line.lineage.deliveries))
        .bind(column!(lines, |line| line.kind.as_str()))
        .bind(column!(lines, |line| line
            .worker
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(lines, |line| line.happened_at))
        .bind(column!(lines, |line| line.detail.as_deref()))
        .bind(column!(lines, |line| line.lineage.tries))
}

fn undated_history<'q>(lines: &'q [&'q HistoryLine]) -> Counted<'q> {
    query_scalar(INSERT_UNDATED_EVENT)
        .bind(column!(lines, |line| line.task_id.as_str()))
        .bind(column!(lines, |line| line.event_id.to_string()))
        .bind(column!(lines, |line| line.lineage.run))
        .bind(column!(lines, |line| line.lineage.rescue))
        .bind(column!(lines, |line| line.lineage.executions))
        .bind(column!(lines, |line| line.lineage.deliveries))
        .bind(column!(lines, |line| line.kind.as_str()))
        .bind(column!(lines, |line| line
            .worker
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(lines, |line| line.happened_at))
        .bind(column!(lines, |line| line.detail.as_deref()))
        .bind(column!(lines, |line| line.lineage.tries))
}

fn results<'q>(sql: &Statements, batch: &'q Batch, rows: &'q [&'q ResultChange]) -> Counted<'q> {
    query_scalar(sql.upsert_result)
        .bind(column!(rows, |row| row.task_id.as_str()))
        .bind(column!(rows, |row| row.key.run))
        .bind(column!(rows, |row| row.status.as_str()))
        .bind(column!(rows, |row| row.key.rescue))
        .bind(column!(rows, |row| row.key.sticky))
        .bind(column!(rows, |row| row.key.executions))
        .bind(column!(rows, |row| row.key.deliveries))
        .bind(column!(rows, |row| row.key.rank))
        .bind(column!(rows, |row| row.key.event_id.to_string()))
        .bind(column!(rows, |row| row.json()))
        .bind(column!(rows, |row| row.raw()))
        .bind(column!(rows, |row| row.error_kind))
        .bind(column!(rows, |row| row.error_message.as_deref()))
        .bind(column!(rows, |row| row.traceback.as_deref()))
        .bind(column!(rows, |row| row.date_done))
        .bind(column!(rows, |row| row.runtime_ms))
        .bind(column!(rows, |row| row
            .worker
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row.key.tries))
        .bind(column!(rows, |row| batch
            .name_of(&row.task_id)
            .map_or("", |name| name.as_str())))
        .bind(column!(rows, |row| batch
            .name_of(&row.task_id)
            .map_or("", |name| name.service())))
}

fn logs<'q>(sql: &Statements, rows: &'q [&'q LogRecord]) -> Written<'q> {
    query(sql.insert_log)
        .bind(column!(rows, |row| row.task_id.as_str()))
        .bind(column!(rows, |row| row.event_id.to_string()))
        .bind(column!(rows, |row| row.lineage.run))
        .bind(column!(rows, |row| row.lineage.rescue))
        .bind(column!(rows, |row| row.lineage.retries()))
        .bind(column!(rows, |row| row.lineage.deliveries))
        .bind(column!(rows, |row| &*row.level))
        .bind(column!(rows, |row| &*row.message))
        .bind(column!(rows, |row| row
            .fields
            .as_ref()
            .map(|json| json.get())))
        .bind(column!(rows, |row| row
            .worker
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row.happened_at))
}
