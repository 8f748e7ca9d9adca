//! What changed between two looks, written down once for all who watch.

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use counterfoil_store::Changed;
use counterfoil_store::record::TaskRow;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What changed between two looks.
#[derive(Debug)]
pub(crate) enum Tick {
    /// These tasks and sessions.
    Changed(News),
    /// More than can be told one by one, or it is not known what.
    Reload {
        /// `id` of the event.
        position: String,
    },
    /// The database cannot be asked, and why not.
    Outage(String),
}

/// Whether the rows of tasks that changed are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    Read,
    /// Nobody who watches wants to know more than that something changed.
    Spared,
}

/// What changed.
#[derive(Debug)]
pub(crate) struct News {
    /// `None`: their rows were not read.
    pub(super) tasks: Option<Vec<Fact>>,
    /// How many tasks and sessions.
    pub(super) count: usize,
    pub(super) sessions: BTreeSet<String>,
    pub(super) deleted: BTreeSet<String>,
    pub(super) position: String,
    /// All of it, as it is sent to those who want everything.
    pub(super) whole: Bytes,
}

/// A task that changed, and what it is chosen by.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) id: String,
    pub(super) task_id: String,
    pub(super) root_id: Option<String>,
    pub(super) name: String,
    pub(super) service: String,
    pub(super) state: &'static str,
    pub(super) session: Option<String>,
    pub(super) creator: Option<String>,
    pub(super) related: Option<(String, String)>,
    /// As it is sent.
    pub(super) json: String,
}

/// What is told of a task that changed.
#[derive(Debug, Serialize)]
struct Told<'a> {
    id: &'a str,
    r#type: &'a str,
    service: &'a str,
    state: &'static str,
    run: i32,
    attempt: String,
    held: bool,
    progress_current: Option<i64>,
    progress_total: Option<i64>,
    progress_message: Option<&'a str>,
    error_kind: Option<&'a str>,
    error_message: Option<&'a str>,
    session_id: Option<&'a str>,
    worker: Option<&'a str>,
    last_updated: DateTime<Utc>,
}

impl News {
    /// `rows`: those of the tasks, if they were read.
    pub(super) fn new(changed: Changed, rows: Option<Vec<TaskRow>>) -> Self {
        let count = changed.tasks.len() + changed.sessions.len() + changed.deleted.len();
        let (sessions, deleted) = (changed.sessions, changed.deleted);
        let position = changed.position.to_string();
        let tasks: Option<Vec<Fact>> = rows.map(|rows| rows.into_iter().map(Fact::of).collect());
        let whole = tasks.as_ref().map_or_else(String::new, |tasks| {
            events(&position, tasks, &sessions, &deleted)
        });
        Self {
            tasks,
            count,
            sessions,
            deleted,
            position,
            whole: whole.into(),
        }
    }
}

impl Fact {
    fn of(row: TaskRow) -> Self {
        let told = Told {
            id: &row.id,
            r#type: &row.name,
            service: &row.service,
            state: row.state.as_str(),
            run: row.run,
            attempt: row.attempt().to_string(),
            held: row.held,
            progress_current: row.progress_current,
            progress_total: row.progress_total,
            progress_message: row.progress_message.as_deref(),
            error_kind: row.error_kind.as_deref(),
            error_message: row.error_message.as_deref(),
            session_id: row.session_id.as_deref(),
            worker: row.worker.as_deref(),
            last_updated: row.last_updated,
        };
        let json = serde_json::to_string(&told).expect("texts and numbers are JSON");
        Self {
            json,
            id: row.id,
            task_id: row.task_id.to_string(),
            root_id: row.root_id,
            name: row.name,
            service: row.service,
            state: row.state.as_str(),
            session: row.session_id,
            creator: row.creator_id,
            related: row.related_content_type.zip(row.related_object_id),
        }
    }
}

/// Server-sent events of what changed: `tasks`, `sessions` and `deleted`, those that there are. The last one
/// carries the position, so that nobody who is cut off in between goes on after what they did not get.
pub(super) fn events<'a>(
    position: &str,
    tasks: impl IntoIterator<Item = &'a Fact>,
    sessions: &BTreeSet<String>,
    deleted: &BTreeSet<String>,
) -> String {
    let mut text = String::new();
    let tasks: Vec<&str> = tasks.into_iter().map(|task| &*task.json).collect();
    let lists = [
        (
            "tasks",
            (!tasks.is_empty()).then(|| format!("[{}]", tasks.join(","))),
        ),
        ("sessions", (!sessions.is_empty()).then(|| ids(sessions))),
        ("deleted", (!deleted.is_empty()).then(|| ids(deleted))),
    ];
    let mut lists = lists
        .iter()
        .filter_map(|(name, data)| Some((name, data.as_ref()?)))
        .peekable();
    while let Some((name, data)) = lists.next() {
        if lists.peek().is_none() {
            writeln!(text, "id: {position}").expect("a string takes all text");
        }
        // JSON has its line ends escaped.
        write!(text, "event: {name}\ndata: {data}\n\n").expect("a string takes all text");
    }
    text
}

fn ids(ids: &BTreeSet<String>) -> String {
    serde_json::to_string(ids).expect("texts are JSON")
}
