//! Lists of tasks.

use super::Page;
use super::task::Task;
use crate::app::Shared;
use crate::page::tasks::Turned;
use crate::query::TaskQuery;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::{Query, State};
use chrono::Utc;

/// Rows of a page.
const PAGE: u32 = 100;

/// Tasks, newest first.
///
/// Everything that is asked for must hold.
#[utoipa::path(get, path = "/api/tasks", tag = "tasks", params(TaskQuery), responses(
    (status = 200, body = Page<Task>),
    (status = 400, description = "The query cannot be meant so."),
    (status = 404, description = "There is no such family."),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    Query(query): Query<TaskQuery>,
) -> Result<Json<Page<Task>>, Trouble> {
    // One more than is given tells that there are more.
    let filter = query.filter_in(&app, PAGE + 1, Utc::now()).await?;
    let found = app.store.tasks(&filter).await?;
    let Turned {
        rows,
        next,
        previous,
    } = Turned::of(found, &query, PAGE);
    Ok(Json(Page {
        previous,
        next,
        items: rows.iter().map(|row| Task::of(row, &app)).collect(),
    }))
}
