//! The list of tasks.

use super::overview::counted;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::act::Deed;
use crate::app::Shared;
use crate::query::{Place, TaskQuery};
use crate::shown::{Mask, State, When, cut, visible};
use askama::Template;
use axum::Extension;
use axum::extract::{Query, State as Shares};
use chrono::Utc;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Cursor, JsonText, Part, TaskPage};
use counterfoil_toolbox::TaskState;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows of a page.
const PAGE: u32 = 50;

/// How long the database may look for tasks that are hard to find, before only the nearest are looked at.
pub(crate) const SOON: Duration = Duration::from_millis(300);

/// Longest piece of an error in a list, in characters.
const SHORT: usize = 120;

#[derive(Debug, Template)]
#[template(path = "tasks.html")]
struct TasksPage {
    layout: Layout,
    query: TaskQuery,
    states: Vec<&'static str>,
    services: Vec<String>,
    rows: Vec<Row>,
    /// Queries of the pages beside this one, if there are some.
    next: Option<String>,
    previous: Option<String>,
    /// Query of the other order.
    turned: String,
    beginning: String,
    /// How many match.
    count: Option<String>,
    /// Only the nearest tasks were looked at, since all would have taken too long: query of the next ones.
    further: Option<String>,
    /// What is wrong with the filter.
    wrong: Option<String>,
    /// What this visitor may do to all that match.
    deeds: Vec<Deed>,
}

/// A task in a list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) held: bool,
    pub(super) attempt: String,
    pub(super) sent: When,
    pub(super) changed: When,
    pub(super) worker: String,
    /// How far it is, in per cent.
    pub(super) progress: Option<i64>,
    /// What it says of itself: its error, or what it does.
    pub(super) note: String,
    /// Its arguments, as far as they fit.
    pub(super) arguments: String,
}

impl Row {
    pub(super) fn of(task: &TaskRow, mask: &Mask) -> Self {
        let is_bad = task.state == TaskState::Failure || task.state == TaskState::Retry;
        let error = task.error_message.as_deref().or(task.error_kind.as_deref());
        let note = match is_bad || task.state == TaskState::Revoked {
            true => error,
            false => task.progress_message.as_deref(),
        };
        Self {
            id: task.id.clone(),
            name: visible(&task.name),
            state: State::of(task.state),
            held: task.held,
            attempt: task.attempt().to_string(),
            sent: When::of(task.created_date),
            changed: When::of(task.last_updated),
            worker: visible(task.worker.as_deref().unwrap_or_default()),
            progress: percent(task),
            arguments: task
                .input
                .as_ref()
                .map_or(String::new(), |input| arguments(input, mask)),
            note: cut(&visible(note.unwrap_or_default()), SHORT),
        }
    }
}

/// Arguments in a line, as people write a call.
fn arguments(input: &JsonText, mask: &Mask) -> String {
    let masked = mask.json(input.get());
    let told = match serde_json::from_str::<Arguments<'_>>(&masked) {
        Ok(Arguments { args, kwargs }) => {
            let by_name = kwargs.iter().map(|(name, value)| format!("{name}={value}"));
            let by_place = args.iter().map(|value| value.get().to_owned());
            by_place.chain(by_name).collect::<Vec<_>>().join(", ")
        }
        Err(_) => masked,
    };
    cut(&visible(&told), SHORT)
}

/// Arguments as rows have them.
#[derive(Debug, Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    args: Vec<&'a RawValue>,
    #[serde(borrow)]
    kwargs: BTreeMap<String, &'a RawValue>,
}

/// How far a task is that runs, in per cent.
pub(crate) fn percent(task: &TaskRow) -> Option<i64> {
    let (current, total) = (task.progress_current?, task.progress_total?);
    let runs = matches!(task.state, TaskState::Progress | TaskState::Started);
    let percent = current
        .clamp(0, total.max(0))
        .checked_mul(100)?
        .checked_div(total)?;
    runs.then_some(percent)
}

/// A page of rows, and the cursors of its neighbours.
pub(crate) struct Turned {
    pub(crate) rows: Vec<TaskRow>,
    pub(crate) next: Option<String>,
    pub(crate) previous: Option<String>,
}

impl Turned {
    /// One row more than is shown was looked for: whether it is there tells whether there are more.
    pub(crate) fn of(mut rows: Vec<TaskRow>, query: &TaskQuery, page: u32) -> Self {
        let is_backwards = query.goes_back();
        // Backwards, the one more is the first: the furthest from the page that people come from.
        if is_backwards {
            rows.reverse();
        }
        let Part { mut rows, has_more } = Part::of(rows, page);
        if is_backwards {
            rows.reverse();
        }
        let cursor = |row: Option<&TaskRow>| row.map(|row| Cursor::after(row).to_string());
        let (first, last) = (cursor(rows.first()), cursor(rows.last()));
        let came_from_before = !query.cursor.is_empty();
        Self {
            next: last.filter(|_| is_backwards || has_more),
            previous: first.filter(|_| came_from_before || is_backwards && has_more),
            rows,
        }
    }
}

/// `GET /tasks`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<TaskQuery>,
) -> Answer {
    let layout = Layout::new(&visitor, "/tasks", "Tasks");
    let layout = layout.watching(&app, &query.watched()).await?;
    let (found, count, wrong) = match query.filter_in(&app, PAGE + 1, Utc::now()).await {
        Ok(filter) => {
            let page = app.store.page(&filter, SOON).await?;
            let count = app.store.count_tasks(&filter).await?;
            (page, Some(counted(count)), None)
        }
        Err(trouble) if trouble.status.is_server_error() => return Err(trouble),
        Err(trouble) => {
            let none = TaskPage {
                tasks: Vec::new(),
                cut_at: None,
            };
            (none, None, Some(trouble.detail))
        }
    };
    let Turned {
        rows,
        next,
        previous,
    } = Turned::of(found.tasks, &query, PAGE);
    render(&TasksPage {
        layout,
        next: next.map(|cursor| query.at(Place::After(&cursor))),
        previous: previous.map(|cursor| query.at(Place::Before(&cursor))),
        turned: query.turned().at(Place::Beginning),
        beginning: query.at(Place::Beginning),
        count,
        further: found.cut_at.map(|cursor| {
            let cursor = cursor.to_string();
            query.at(match query.goes_back() {
                true => Place::Before(&cursor),
                false => Place::After(&cursor),
            })
        }),
        states: TaskState::ALL.map(TaskState::as_str).to_vec(),
        services: app.store.services().await?,
        rows: rows.iter().map(|row| Row::of(row, &app.mask)).collect(),
        deeds: Deed::ALL
            .into_iter()
            .filter(|deed| visitor.role >= deed.role() && !query.is_everything())
            .collect(),
        query,
        wrong,
    })
}
