//! Who runs tasks.

use crate::app::Shared;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use counterfoil_operations::workers::is_alive;
use counterfoil_store::record::WorkerRow;
use serde::Serialize;
use utoipa::ToSchema;

/// A worker, as its last sign of life described it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Worker {
    id: String,
    service: String,
    host: String,
    pid: Option<i64>,
    version: Option<String>,
    /// running, quiet, draining, stopped, or gone: nothing is heard of it any more.
    phase: String,
    /// Whether it was heard of lately, and not for the last time.
    alive: bool,
    /// Tasks that it ran then.
    running: i64,
    /// Executions that ended since it started.
    processed: i64,
    started_at: Option<DateTime<Utc>>,
    last_heartbeat: DateTime<Utc>,
}

/// Workers, the last heard of first.
#[utoipa::path(get, path = "/api/workers", tag = "workers", responses((status = 200, body = Vec<Worker>)))]
pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Vec<Worker>>, Trouble> {
    let now = app.store.clock().await?;
    let rows = app.store.workers().await?.into_iter();
    let worker = |row: WorkerRow| {
        let alive = is_alive(&row, now);
        Worker {
            phase: match alive || row.has_stopped() {
                true => row.phase,
                false => "gone".to_owned(),
            },
            id: row.id,
            service: row.service,
            host: row.host,
            pid: row.pid,
            version: row.version,
            alive,
            running: row.running,
            processed: row.processed,
            started_at: row.started_at,
            last_heartbeat: row.last_heartbeat,
        }
    };
    Ok(Json(rows.map(worker).collect()))
}
