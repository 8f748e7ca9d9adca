//! One task: where it stands, and everything that is known of it.

mod family;
mod timeline;

use super::tasks::Row;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::act::Deed;
use crate::api::task::find;
use crate::app::{App, Shared};
use crate::query::encoded;
use crate::shown::{Mask, When, cut, object, span, visible};
use askama::Template;
use axum::Extension;
use axum::extract::{Path, State as Shares};
use counterfoil_operations::why::{Explanation, Inquiry, Site};
use counterfoil_store::record::{ResultRow, TaskRow};
use counterfoil_store::{Cancelling, JsonText, StoredMessage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::AccessRole;
use family::Family;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use timeline::{Line, LogLine, lines, log_lines};

/// Lines of history and log that are shown, the last ones.
const LINES: u32 = 300;

/// How long broker and database may take to tell why a task is where it is.
const WHY: Duration = Duration::from_secs(2);

/// Longest traceback that is shown, in characters.
const TRACEBACK: usize = 20_000;

#[derive(Debug, Template)]
#[template(path = "task.html")]
struct TaskPage {
    layout: Layout,
    row: Row,
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, When)>,
    error: Option<(String, String)>,
    traceback: Option<String>,
    arguments: Option<String>,
    result: Option<String>,
    progress_message: String,
    history: Vec<Line>,
    /// Whether there are earlier lines, as with the log.
    history_goes_back: bool,
    log: Vec<LogLine>,
    log_goes_back: bool,
    family: Family,
    message: Option<Message>,
    /// What this visitor may try: the others are refused anyway.
    deeds: Vec<Deed>,
    why: Option<Explanation>,
}

#[derive(Debug)]
struct Message {
    exchange: String,
    routing_key: String,
    headers: String,
    body: String,
}

/// `GET /tasks/{id}`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Answer {
    let layout = Layout::new(&visitor, "/tasks", "");
    let layout = layout
        .watching(&app, &format!("family={}", encoded(&id)))
        .await?;
    let task = find(&app, &id).await?;
    let mask = &app.mask;
    let events = app.store.last_of_history(&task.task_id, LINES).await?;
    let log = app.store.last_of_log(&task.task_id, LINES).await?;
    let result = match task.state.is_terminal() {
        true => app.store.result(&task.task_id, task.run).await?,
        false => None,
    };
    let message = match visitor.role >= AccessRole::Operator {
        true => app
            .store
            .stored_tasks(std::slice::from_ref(&task.task_id))
            .await?
            .pop(),
        false => None,
    };
    let name = visible(&task.name);
    render(&TaskPage {
        layout: Layout {
            title: name,
            ..layout
        },
        row: Row::of(&task, mask),
        facts: facts(&task, result.as_ref(), visitor.role),
        times: times(&task, result.as_ref()),
        error: error(&task),
        traceback: result
            .as_ref()
            .and_then(|row| row.traceback.as_deref())
            .map(|text| cut(&visible(text), TRACEBACK)),
        arguments: json(task.input.as_ref(), mask),
        result: json(result.as_ref().and_then(|row| row.result.as_ref()), mask),
        progress_message: visible(task.progress_message.as_deref().unwrap_or_default()),
        deeds: deeds(&task, visitor.role),
        why: why(&app, &task).await,
        history: lines(&events.rows, mask),
        history_goes_back: events.has_more,
        log: log_lines(&log.rows, mask),
        log_goes_back: log.has_more,
        family: Family::of(&app, &task).await?,
        message: message.map(|stored| shown_message(&stored.message, mask)),
    })
}

fn facts(
    task: &TaskRow,
    result: Option<&ResultRow>,
    role: AccessRole,
) -> Vec<(&'static str, String)> {
    let kind = task.related_content_type.as_deref();
    let related = object(kind, task.related_object_id.as_deref());
    let attempt = format!("{} of run {}", task.attempt(), task.run);
    let runtime = result.and_then(|row| row.runtime_ms).map(span);
    let facts = [
        ("Service", Some(task.service.clone())),
        ("Creator", task.creator_id.clone()),
        ("About", related),
        ("Identifier", task.identifier.clone()),
        ("Session", task.session_id.clone()),
        ("Worker", task.worker.clone()),
        ("Attempt", Some(attempt)),
        ("Run time", runtime),
        ("Routing key", task.routing_key.clone()),
        // As logs have it.
        (
            "Task id",
            (role >= AccessRole::Operator).then(|| task.task_id.to_string()),
        ),
    ];
    let known = facts.into_iter();
    known
        .filter_map(|(name, fact)| Some((name, visible(&fact?))))
        .collect()
}

fn times(task: &TaskRow, result: Option<&ResultRow>) -> Vec<(&'static str, When)> {
    let times = [
        ("Sent", Some(task.created_date)),
        ("Not before", task.eta),
        ("Expires", task.expires),
        (
            "Runs again",
            task.retry_at.filter(|_| task.state == TaskState::Retry),
        ),
        (
            "Leased until",
            task.lease_until.filter(|_| !task.state.is_terminal()),
        ),
        ("Over", result.map(|row| row.date_done)),
        ("Last news", Some(task.last_updated)),
    ];
    let known = times.into_iter();
    known
        .filter_map(|(name, time)| Some((name, When::of(time?))))
        .collect()
}

fn error(task: &TaskRow) -> Option<(String, String)> {
    let kind = task.error_kind.as_deref();
    let message = task.error_message.as_deref();
    (kind.is_some() || message.is_some()).then(|| {
        let kind = visible(kind.unwrap_or_default()).replace('_', " ");
        (kind, visible(message.unwrap_or_default()))
    })
}

fn json(text: Option<&JsonText>, mask: &Mask) -> Option<String> {
    Some(mask.lines(text?.get()))
}

fn shown_message(stored: &StoredMessage, mask: &Mask) -> Message {
    // Python's way of writing the arguments down, which the body tells, too, and of which nothing could be masked.
    let is_shown = |name: &str| !matches!(name, "argsrepr" | "kwargsrepr");
    let headers = stored.content.headers.iter();
    let headers = headers.filter(|(name, _)| is_shown(name));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_json()));
    let headers = Value::Object(headers.collect()).to_string();
    let body = &stored.content.body;
    let is_json = serde_json::from_slice::<&RawValue>(body).is_ok();
    let body = match std::str::from_utf8(body) {
        Ok(json) if is_json => mask.lines(json),
        Ok(_) | Err(_) => format!("{} bytes that are no JSON", body.len()),
    };
    Message {
        exchange: visible(&stored.exchange),
        routing_key: visible(&stored.routing_key),
        headers: mask.lines(&headers),
        body,
    }
}

/// What can be done to a task as it stands.
fn deeds(task: &TaskRow, role: AccessRole) -> Vec<Deed> {
    let is_over = task.state.is_terminal();
    let starts = matches!(Cancelling::of(task), Cancelling::BeforeStart);
    let makes_sense = |deed: &Deed| match deed {
        Deed::Cancel => !is_over,
        Deed::Rerun | Deed::Delete => is_over && !task.immutable,
        Deed::Pause => starts && !task.held,
        Deed::Resume => task.held,
    };
    let may = |deed: &Deed| role >= deed.role();
    Deed::ALL
        .into_iter()
        .filter(makes_sense)
        .filter(may)
        .collect()
}

/// Why a task that is not over, or that failed, is where it is. What cannot be found out is left out.
async fn why(app: &App, task: &TaskRow) -> Option<Explanation> {
    if task.state == TaskState::Success {
        return None;
    }
    let broker = Ok(Arc::clone(&app.platform.transport));
    let site = Site {
        store: &*app.store,
        broker: &broker,
        names: &app.platform.names,
        settings: &app.sync,
    };
    let looking = async {
        let inquiry = Inquiry::begin(site).await;
        inquiry.of_task(task.clone()).await
    };
    match tokio::time::timeout(WHY, looking).await {
        Ok(Ok(explanation)) => Some(explanation),
        Ok(Err(_)) | Err(_) => None,
    }
}
