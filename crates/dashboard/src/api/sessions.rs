//! Sessions.

use super::Page;
use crate::access::Visitor;
use crate::act::warn_unless_passed_on;
use crate::app::Shared;
use crate::page::sessions::SessionQuery;
use crate::trouble::Trouble;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use counterfoil_operations::{Doer, sessions};
use counterfoil_store::{Part, SessionRow, SubtaskRow};
use counterfoil_toolbox::ids::SessionId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Rows of a page.
const PAGE: u32 = 100;

/// A session, as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    id: String,
    /// What it is for.
    action: String,
    /// ONGOING, ABORTING, SUCCESS, COMPLETED_WITH_ERRORS, FAILURE, ABORTED or TIMED_OUT.
    #[schema(value_type = String)]
    status: &'static str,
    total: i32,
    succeeded: i32,
    failed: i32,
    revoked: i32,
    skipped: i32,
    /// How much of it is over, in per cent.
    percent: i32,
    duration_ms: i64,
    creator_id: Option<String>,
    related_content_type: Option<String>,
    related_object_id: Option<String>,
    finalizer_type: String,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    last_updated: DateTime<Utc>,
}

/// A session with some of its subtasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionWithSubtasks {
    #[serde(flatten)]
    session: Session,
    /// In their order.
    subtasks: Vec<Subtask>,
    /// `after` of the next ones; absent where these are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i32>,
}

/// A subtask, as its session counts it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subtask {
    /// Public id, once something was heard of it.
    id: Option<String>,
    position: i32,
    r#type: String,
    #[schema(value_type = String)]
    status: &'static str,
    skipped: bool,
    error_message: Option<String>,
}

/// Where its subtasks go on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// After the subtask at this place: `next` of the page before.
    pub(crate) after: Option<i32>,
}

impl Session {
    fn of(row: &SessionRow) -> Self {
        Self {
            id: row.id.to_string(),
            action: row.action.clone(),
            status: row.status.as_str(),
            total: row.total,
            succeeded: row.succeeded,
            failed: row.failed,
            revoked: row.revoked,
            skipped: row.skipped,
            percent: row.progress(),
            duration_ms: row.duration_ms,
            creator_id: row.creator_id.clone(),
            related_content_type: row.related_content_type.clone(),
            related_object_id: row.related_object_id.clone(),
            finalizer_type: row.finalizer_type.clone(),
            started_at: row.started_at,
            finished_at: row.finished_at,
            last_updated: row.last_updated,
        }
    }
}

/// Sessions, newest first.
#[utoipa::path(get, path = "/api/sessions", tag = "sessions", params(SessionQuery), responses(
    (status = 200, body = Page<Session>),
    (status = 400, description = "The query cannot be meant so."),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    Query(query): Query<SessionQuery>,
) -> Result<Json<Page<Session>>, Trouble> {
    // One more than is given tells that there are more.
    let filter = query.filter(PAGE + 1)?;
    let part = Part::of(app.store.sessions(&filter).await?, PAGE);
    Ok(Json(Page {
        previous: None,
        next: part.end().map(|row| row.place().to_string()),
        items: part.rows.iter().map(Session::of).collect(),
    }))
}

/// A session, with its first hundred subtasks, or those that follow.
#[utoipa::path(get, path = "/api/sessions/{id}", tag = "sessions", params(("id" = String, Path), After), responses(
    (status = 200, body = SessionWithSubtasks),
    (status = 400, description = "The query cannot be meant so."),
    (status = 404, description = "No session has this id."),
))]
pub(crate) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
) -> Result<Json<SessionWithSubtasks>, Trouble> {
    let session = find(&app, &id).await?;
    let rows = app.store.subtasks(&session.id, after, PAGE + 1).await?;
    let part = Part::of(rows, PAGE);
    let subtask = |row: &SubtaskRow| Subtask {
        id: row.id.clone(),
        position: row.position,
        r#type: row.name.clone(),
        status: row.status.as_str(),
        skipped: row.skipped,
        error_message: row.error_message.clone(),
    };
    Ok(Json(SessionWithSubtasks {
        session: Session::of(&session),
        next: part.end().map(|row| row.position),
        subtasks: part.rows.iter().map(subtask).collect(),
    }))
}

/// That a session is to be aborted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Aborting {
    id: String,
    /// What people should know.
    warnings: Vec<String>,
}

/// Starts no subtask of it any more, asks those that run to stop, and lets its finalizer run when all are over.
#[utoipa::path(post, path = "/api/sessions/{id}/abort", tag = "sessions", params(("id" = String, Path)), responses(
    (status = 200, body = Aborting),
    (status = 404, description = "No session has this id."),
    (status = 409, description = "It is over."),
))]
pub(crate) async fn abort(
    State(app): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Json<Aborting>, Trouble> {
    let session = find(&app, &id).await?;
    let doer = Doer::new(Some(visitor.name));
    let asked = sessions::abort(&*app.store, &session, &doer).await?;
    let mut warnings = Vec::new();
    warn_unless_passed_on(&*app.store, &[asked], &mut warnings).await;
    Ok(Json(Aborting { id, warnings }))
}

async fn find(app: &Shared, id: &str) -> Result<SessionRow, Trouble> {
    let unknown = || Trouble::not_found(format!("no session has the id {id:?}"));
    let session = SessionId::new(id).map_err(|_| unknown())?;
    app.store.session(&session).await?.ok_or_else(unknown)
}
