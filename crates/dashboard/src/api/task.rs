//! One task.

use crate::app::{App, Shared};
use crate::shown::Mask;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use counterfoil_store::record::{EventRow, LogRow, ResultRow, TaskRow};
use counterfoil_store::{JsonText, TaskFilter, TaskOrder};
use counterfoil_toolbox::ids::TaskId;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Members of a family that are told at most.
const MOST: u32 = 10_000;

/// A task, as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Task {
    /// Public id.
    id: String,
    /// Its type, for example `export.project`.
    r#type: String,
    /// Service that owns it.
    service: String,
    /// PENDING, UNROUTABLE, REJECTED, RECEIVED, STARTED, PROGRESS, RETRY, FAILURE, REVOKED or SUCCESS.
    #[schema(value_type = String)]
    state: &'static str,
    /// How often people ran it again.
    run: i32,
    /// How often the platform sent it again, how many retries there were, how often the broker had delivered
    /// the last one before: `0.1.0`.
    attempt: String,
    /// `{"args": […], "kwargs": {…}}`, secrets masked; null until it is known.
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    /// What the sender set: retries, limits, priority.
    #[schema(value_type = Option<Object>)]
    options: Option<Box<RawValue>>,
    creator_id: Option<String>,
    related_content_type: Option<String>,
    related_object_id: Option<String>,
    identifier: Option<String>,
    /// Public id of the task that sent it.
    parent_id: Option<String>,
    /// Public id of the first task of its family.
    root_id: Option<String>,
    session_id: Option<String>,
    /// Whether people may not change it.
    immutable: bool,
    /// Whether it is paused before its start.
    held: bool,
    progress_current: Option<i64>,
    progress_total: Option<i64>,
    progress_message: Option<String>,
    error_kind: Option<String>,
    error_message: Option<String>,
    eta: Option<DateTime<Utc>>,
    expires: Option<DateTime<Utc>>,
    retry_at: Option<DateTime<Utc>>,
    worker: Option<String>,
    created_date: DateTime<Utc>,
    last_updated: DateTime<Utc>,
}

/// A task with what it came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskWithResult {
    #[serde(flatten)]
    task: Task,
    /// The outcome of its last run, once that is over.
    result: Option<TaskResult>,
}

/// The outcome of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskResult {
    #[schema(value_type = String)]
    status: &'static str,
    /// What the handler returned, secrets masked.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    error_kind: Option<String>,
    error_message: Option<String>,
    traceback: Option<String>,
    date_done: DateTime<Utc>,
    runtime_ms: Option<i64>,
    worker: Option<String>,
}

/// A line of a task's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// A state.
    #[schema(value_type = String)]
    kind: &'static str,
    run: i32,
    attempt: String,
    worker: Option<String>,
    happened_at: DateTime<Utc>,
    /// What else was told, secrets masked.
    #[schema(value_type = Option<serde_json::Value>)]
    detail: Option<Box<RawValue>>,
}

/// A line that a task's handler wrote.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    /// error, warn, info, debug or trace.
    level: String,
    message: String,
    #[schema(value_type = Option<serde_json::Value>)]
    fields: Option<Box<RawValue>>,
    run: i32,
    worker: Option<String>,
    happened_at: DateTime<Utc>,
}

impl Task {
    pub(super) fn of(row: &TaskRow, app: &App) -> Self {
        let public = |id: Option<&str>| {
            let id = TaskId::new(id?).ok()?;
            app.store.public_id(&id).ok()
        };
        Self {
            id: row.id.clone(),
            r#type: row.name.clone(),
            service: row.service.clone(),
            state: row.state.as_str(),
            run: row.run,
            attempt: row.attempt().to_string(),
            input: masked(row.input.as_ref(), &app.mask),
            options: masked(row.options.as_ref(), &app.mask),
            creator_id: row.creator_id.clone(),
            related_content_type: row.related_content_type.clone(),
            related_object_id: row.related_object_id.clone(),
            identifier: row.identifier.clone(),
            parent_id: public(row.parent_id.as_deref()),
            root_id: public(row.root_id.as_deref()),
            session_id: row.session_id.clone(),
            immutable: row.immutable,
            held: row.held,
            progress_current: row.progress_current,
            progress_total: row.progress_total,
            progress_message: row.progress_message.clone(),
            error_kind: row.error_kind.clone(),
            error_message: row.error_message.clone(),
            eta: row.eta,
            expires: row.expires,
            retry_at: row.retry_at,
            worker: row.worker.clone(),
            created_date: row.created_date,
            last_updated: row.last_updated,
        }
    }
}

impl TaskResult {
    fn of(row: ResultRow, mask: &Mask) -> Self {
        Self {
            status: row.status.as_str(),
            result: masked(row.result.as_ref(), mask),
            error_kind: row.error_kind,
            error_message: row.error_message,
            traceback: row.traceback,
            date_done: row.date_done,
            runtime_ms: row.runtime_ms,
            worker: row.worker,
        }
    }
}

fn masked(json: Option<&JsonText>, mask: &Mask) -> Option<Box<RawValue>> {
    RawValue::from_string(mask.json(json?.get())).ok()
}

/// A task, with its result.
#[utoipa::path(get, path = "/api/tasks/{id}", tag = "tasks", params(("id" = String, Path, description = "Public id")), responses(
    (status = 200, body = TaskWithResult),
    (status = 404, description = "No task has this id."),
))]
pub(crate) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<TaskWithResult>, Trouble> {
    let row = find(&app, &id).await?;
    let result = match row.state.is_terminal() {
        true => app.store.result(&row.task_id, row.run).await?,
        false => None,
    };
    Ok(Json(TaskWithResult {
        task: Task::of(&row, &app),
        result: result.map(|row| TaskResult::of(row, &app.mask)),
    }))
}

/// What happened to a task: the last 10,000 lines, in the order of its attempts.
#[utoipa::path(get, path = "/api/tasks/{id}/history", tag = "tasks", params(("id" = String, Path, description = "Public id")), responses(
    (status = 200, body = Vec<Event>),
    (status = 404, description = "No task has this id."),
))]
pub(crate) async fn history(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Event>>, Trouble> {
    let row = find(&app, &id).await?;
    let events = app.store.history(&row.task_id).await?.into_iter();
    let event = |event: EventRow| Event {
        kind: event.kind.as_str(),
        run: event.run,
        attempt: event.lineage().to_string(),
        detail: masked(event.detail.as_ref(), &app.mask),
        worker: event.worker,
        happened_at: event.happened_at,
    };
    Ok(Json(events.map(event).collect()))
}

/// Lines that a task's handler wrote: the last 10,000, oldest first.
#[utoipa::path(get, path = "/api/tasks/{id}/log", tag = "tasks", params(("id" = String, Path, description = "Public id")), responses(
    (status = 200, body = Vec<LogLine>),
    (status = 404, description = "No task has this id."),
))]
pub(crate) async fn log(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Vec<LogLine>>, Trouble> {
    let row = find(&app, &id).await?;
    let lines = app.store.log(&row.task_id).await?.into_iter();
    let line = |line: LogRow| LogLine {
        fields: masked(line.fields.as_ref(), &app.mask),
        level: line.level,
        message: line.message,
        run: line.run,
        worker: line.worker,
        happened_at: line.happened_at,
    };
    Ok(Json(lines.map(line).collect()))
}

/// The family of a task: the first 10,000 that have the same first task, oldest first. Who sent whom is told
/// by `parent_id`.
#[utoipa::path(get, path = "/api/tasks/{id}/tree", tag = "tasks", params(("id" = String, Path, description = "Public id")), responses(
    (status = 200, body = Vec<Task>),
    (status = 404, description = "No task has this id."),
))]
pub(crate) async fn tree(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Task>>, Trouble> {
    let row = find(&app, &id).await?;
    let members = family(&app, &row).await?;
    Ok(Json(
        members.iter().map(|row| Task::of(row, &app)).collect(),
    ))
}

/// The task with this public id.
///
/// # Errors
/// When there is none, or the database does not answer.
pub(crate) async fn find(app: &App, id: &str) -> Result<TaskRow, Trouble> {
    // Ids on the wire are nobody's business here.
    let found = app.store.task(id).await?.filter(|row| row.id == id);
    found.ok_or_else(|| {
        Trouble::not_found(format!("no task has the id {id:?}"))
            .remedy("one that was sent a moment ago appears as soon as the daemon has read it; one that was deleted does not come back")
    })
}

/// Its family: the first [`MOST`] of it.
///
/// # Errors
/// When the database does not answer.
async fn family(app: &App, task: &TaskRow) -> Result<Vec<TaskRow>, Trouble> {
    let root = task.root_id.as_deref().unwrap_or(task.task_id.as_str());
    let filter = TaskFilter {
        root: Some(root.to_owned()),
        order: TaskOrder::OldestFirst,
        limit: MOST,
        ..TaskFilter::default()
    };
    Ok(app.store.tasks(&filter).await?)
}
