//! What workers and the daemon say of themselves, as statements.

use super::write::{Written, column};
use crate::batch::{CanarySight, MarkerSight};
use crate::record::foreign;
use crate::sql::Statements;
use crate::worker_seen::WorkerSeen;
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query, query_scalar};
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn workers<'q>(sql: &Statements, rows: &'q [&'q WorkerSeen]) -> Written<'q> {
    query(sql.upsert_worker)
        .bind(column!(rows, |row| row.id.as_str()))
        .bind(column!(rows, |row| &*row.service))
        .bind(column!(rows, |row| &*row.host))
        .bind(column!(rows, |row| row.pid))
        .bind(column!(rows, |row| row.version.as_deref()))
        .bind(column!(rows, |row| row
            .tasks
            .as_ref()
            .map(|json| json.get())))
        .bind(column!(rows, |row| row.phase_text()))
        .bind(column!(rows, |row| row.queues_json()))
        .bind(column!(rows, |row| row.limits_json()))
        .bind(column!(rows, |row| row.running))
        .bind(column!(rows, |row| row.processed))
        .bind(column!(rows, |row| row.interval_ms()))
        .bind(column!(rows, |row| row.started_at))
        .bind(column!(rows, |row| row.paused_json()))
        .bind(column!(rows, |row| row.follows_control))
        .bind(column!(rows, |row| row.hands_json()))
        .bind(column!(rows, |row| row.heard_until))
}

/// Notes where canaries were seen. Returns those of other databases.
pub(super) async fn canaries(
    tx: &mut PgConnection,
    sql: &Statements,
    rows: &BTreeMap<Uuid, CanarySight>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let known: Vec<String> = query_scalar(sql.update_canary)
        .bind(column!(rows, |row| row.0.to_string()))
        .bind(column!(rows, |row| row.1.tracking))
        .bind(column!(rows, |row| row.1.unroutable))
        .bind(column!(rows, |row| row.1.events))
        .fetch_all(tx)
        .await?;
    Ok(foreign(rows, &known))
}

pub(super) fn markers<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, MarkerSight>) -> Written<'q> {
    query(sql.update_marker)
        .bind(column!(rows, |row| row.0.to_string()))
        .bind(column!(rows, |row| row.1.tracking))
        .bind(column!(rows, |row| row.1.events))
        .bind(column!(rows, |row| row.1.heartbeats))
}

pub(super) fn renewals<'q>(
    sql: &Statements,
    rows: &'q [(&'q TaskId, &'q WorkerId, &'q str)],
) -> Written<'q> {
    query(sql.renew_leases)
        .bind(column!(rows, |row| row.0.as_str()))
        .bind(column!(rows, |row| row.1.as_str()))
        .bind(column!(rows, |row| row.2))
}
