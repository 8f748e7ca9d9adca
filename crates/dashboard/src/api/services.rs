//! Services, and whether anything of them starts.

use crate::access::Visitor;
use crate::act::warn_unless_passed_on;
use crate::app::{App, Shared};
use crate::trouble::Trouble;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use counterfoil_operations::Doer;
use counterfoil_operations::services::{Wanted, paused, set};
use counterfoil_operations::workers::is_alive;
use counterfoil_store::record::ControlRow;
use counterfoil_toolbox::names::ServiceName;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Service {
    name: String,
    /// Workers that work for it and were heard of lately.
    workers: usize,
    /// Tasks of it that do not start, or are not retried, before a time: of the newest 10,000 that wait anywhere.
    delayed: i64,
    /// Whether somebody paused it: nothing of it starts then.
    paused: bool,
    /// Who did.
    paused_by: Option<String>,
    /// When.
    paused_at: Option<DateTime<Utc>>,
}

/// What became of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    name: String,
    paused: bool,
    /// What people should know.
    warnings: Vec<String>,
}

/// Services that are configured, of which a task was mirrored or a worker heard, or that somebody paused.
#[utoipa::path(get, path = "/api/services", tag = "services", responses((status = 200, body = Vec<Service>)))]
pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Vec<Service>>, Trouble> {
    let now = app.store.clock().await?;
    let pauses = paused(&*app.store).await?.into_iter();
    let pauses: BTreeMap<String, ControlRow> =
        pauses.map(|row| (row.subject.clone(), row)).collect();
    let workers = app.store.workers().await?;
    let delayed = app.store.delayed().await?.services.into_iter();
    let delayed: BTreeMap<String, i64> = delayed.map(|of| (of.service, of.tasks)).collect();
    let configured = app.broker.services.iter().chain(app.broker.queues.keys());
    let mut names: BTreeSet<String> = configured.map(ServiceName::to_string).collect();
    names.extend(app.store.services().await?);
    names.extend(workers.iter().map(|row| row.service.clone()));
    names.extend(pauses.keys().cloned());
    let service = |name: String| {
        let own = workers.iter().filter(|row| row.service == name);
        let pause = pauses.get(&name);
        Service {
            workers: own.filter(|row| is_alive(row, now)).count(),
            delayed: delayed.get(&name).copied().unwrap_or(0),
            paused: pause.is_some(),
            paused_by: pause.and_then(|row| row.created_by.clone()),
            paused_at: pause.map(|row| row.created_date),
            name,
        }
    };
    Ok(Json(names.into_iter().map(service).collect()))
}

/// Lets nothing of a service start; what runs may finish.
#[utoipa::path(post, path = "/api/services/{name}/pause", tag = "services", params(("name" = String, Path)), responses(
    (status = 200, body = Changed),
    (status = 400, description = "No service can have this name."),
))]
pub(crate) async fn pause(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Json<Changed>, Trouble> {
    change(&app, &visitor, name, Wanted::Paused).await
}

/// Lets a service go on that somebody paused.
#[utoipa::path(post, path = "/api/services/{name}/resume", tag = "services", params(("name" = String, Path)), responses(
    (status = 200, body = Changed),
    (status = 400, description = "No service can have this name."),
))]
pub(crate) async fn resume(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Json<Changed>, Trouble> {
    change(&app, &visitor, name, Wanted::Resumed).await
}

async fn change(
    app: &App,
    visitor: &Visitor,
    name: String,
    wanted: Wanted,
) -> Result<Json<Changed>, Trouble> {
    let service = ServiceName::new(&name).map_err(|error| Trouble::bad(error.to_string()))?;
    let doer = Doer::new(Some(visitor.name.clone()));
    let asked = set(&*app.store, &service, wanted, &doer).await?;
    let mut warnings = Vec::new();
    warn_unless_passed_on(&*app.store, asked.as_slice(), &mut warnings).await;
    Ok(Json(Changed {
        name,
        paused: wanted == Wanted::Paused,
        warnings,
    }))
}
