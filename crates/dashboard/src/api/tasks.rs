//! Lists of tasks.

use super::Page;
use super::task::Task;
use crate::app::Shared;
use crate::page::tasks::{SOON, Turned};
use crate::query::TaskQuery;
use crate::trouble::Trouble;
use axum::Json;
use axum::extract::{Query, State};
use chrono::Utc;
use counterfoil_store::TaskPage;

/// Rows of a page.
const PAGE: u32 = 100;

/// Tasks, newest first.
///
/// Everything that is asked for must hold. Where that takes long to find, the nearest 20,000 tasks are looked through:
/// a page has few items then, or none, and goes on at `next` all the same.
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
    let TaskPage { tasks, cut_at } = app.store.page(&filter, SOON).await?;
    let Turned {
        rows,
        mut next,
        mut previous,
    } = Turned::of(tasks, &query, PAGE);
    if let Some(cut) = cut_at {
        let further = match query.goes_back() {
            true => &mut previous,
            false => &mut next,
        };
        *further = Some(cut.to_string());
    }
    Ok(Json(Page {
        previous,
        next,
        items: rows.iter().map(|row| Task::of(row, &app)).collect(),
    }))
}
