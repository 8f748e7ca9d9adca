//! Tasks that are sent at fixed times.

use crate::app::{App, Shared};
use crate::shown::Mask;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use counterfoil_operations::schedules;
use counterfoil_store::ScheduleRow;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A task that is sent at fixed times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Schedule {
    name: String,
    /// When it fires: a cron expression of five fields, or `@hourly` and the like.
    cron: String,
    /// Time zone in which that is meant.
    time_zone: String,
    /// Type of the task that it sends.
    r#type: String,
    /// The task's arguments by position, secrets masked.
    #[schema(value_type = Option<Vec<Object>>)]
    args: Option<Box<RawValue>>,
    /// The task's arguments by keyword, secrets masked.
    #[schema(value_type = Option<Object>)]
    kwargs: Option<Box<RawValue>>,
    creator_id: Option<String>,
    /// What is done about times at which nobody looked: `skip`, `once` or `all`.
    #[schema(value_type = String)]
    catch_up: &'static str,
    /// Whether it fires at all.
    enabled: bool,
    /// When it fires next; absent: never again, or it is paused.
    next_at: Option<DateTime<Utc>>,
    /// The last time for which it fired.
    last_at: Option<DateTime<Utc>>,
}

/// A task that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ran {
    /// Its public id.
    id: String,
}

impl Schedule {
    fn of(row: ScheduleRow, mask: &Mask) -> Self {
        let json = |json: &str| RawValue::from_string(mask.json(json)).ok();
        Self {
            args: json(&row.args),
            kwargs: json(&row.kwargs),
            name: row.name,
            cron: row.cron,
            time_zone: row.time_zone,
            r#type: row.task,
            creator_id: row.creator_id,
            catch_up: row.catch_up.as_str(),
            enabled: row.enabled,
            next_at: row.next_at.filter(|_| row.enabled),
            last_at: row.last_at,
        }
    }
}

/// Schedules, in the order of their names.
#[utoipa::path(get, path = "/api/schedules", tag = "schedules", responses((status = 200, body = Vec<Schedule>)))]
pub(crate) async fn list(State(app): State<Shared>) -> Result<Json<Vec<Schedule>>, Trouble> {
    let rows = app.store.schedules(None).await?.into_iter();
    Ok(Json(rows.map(|row| Schedule::of(row, &app.mask)).collect()))
}

/// Sends its task now, beside its times, whether it is paused or not.
#[utoipa::path(post, path = "/api/schedules/{name}/run", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 202, body = Ran),
    (status = 400, description = "Its task cannot be sent as it is written."),
    (status = 404, description = "There is no schedule of this name."),
))]
pub(crate) async fn run(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Ran>), Trouble> {
    let id = schedules::run_now(&*app.store, &name).await?;
    let id = app.store.public_id(&id)?;
    Ok((StatusCode::ACCEPTED, Json(Ran { id })))
}

/// Lets it send nothing until it is resumed.
#[utoipa::path(post, path = "/api/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 200, body = Schedule),
    (status = 404, description = "There is no schedule of this name."),
))]
pub(crate) async fn pause(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Schedule>, Trouble> {
    schedules::pause(&*app.store, &name).await?;
    shown(&app, &name).await
}

/// Lets it go on; times that passed meanwhile are not made up for.
#[utoipa::path(post, path = "/api/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 200, body = Schedule),
    (status = 400, description = "It cannot fire as it is written."),
    (status = 404, description = "There is no schedule of this name."),
))]
pub(crate) async fn resume(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Schedule>, Trouble> {
    schedules::resume(&*app.store, &name).await?;
    shown(&app, &name).await
}

/// Removes it; what it has sent stays.
#[utoipa::path(delete, path = "/api/schedules/{name}", tag = "schedules", params(("name" = String, Path)), responses(
    (status = 204, description = "It is gone."),
    (status = 404, description = "There is no schedule of this name."),
))]
pub(crate) async fn remove(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Trouble> {
    schedules::remove(&*app.store, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(app: &App, name: &str) -> Result<Json<Schedule>, Trouble> {
    let row = schedules::find(&*app.store, name).await?;
    Ok(Json(Schedule::of(row, &app.mask)))
}
