//! Who runs tasks.

use crate::app::Shared;
use crate::page::workers::EACH;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use counterfoil_operations::workers::is_alive;
use counterfoil_store::record::WorkerRow;
use serde::Serialize;
use std::collections::HashMap;
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
    /// Some of what it runs: up to 10 tasks, those that were sent first. Of one that is not alive nothing is told.
    tasks: Vec<Running>,
}

/// A task that a worker runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Running {
    /// Public id.
    id: String,
    r#type: String,
    /// When its attempt was started, by the worker's clock; absent where nobody told.
    started_at: Option<DateTime<Utc>>,
}

/// Workers, the last heard of first.
#[utoipa::path(get, path = "/api/workers", tag = "workers", responses((status = 200, body = Vec<Worker>)))]
pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Vec<Worker>>, Trouble> {
    let now = app.store.clock().await?;
    let rows = app.store.workers().await?;
    let living = rows.iter().filter(|row| is_alive(row, now));
    let living: Vec<&str> = living.map(|row| row.id.as_str()).collect();
    let mut tasks: HashMap<String, Vec<Running>> = HashMap::new();
    for task in app.store.running(&living, EACH).await? {
        tasks.entry(task.worker).or_default().push(Running {
            id: task.id,
            r#type: task.name,
            started_at: task.started_at,
        });
    }
    let worker = |row: WorkerRow| {
        let alive = is_alive(&row, now);
        Worker {
            tasks: tasks.remove(&row.id).unwrap_or_default(),
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
    Ok(Json(rows.into_iter().map(worker).collect()))
}
