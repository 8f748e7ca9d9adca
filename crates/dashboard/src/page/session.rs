//! One session: its counters, its subtasks, its finalizer.

use super::sessions::Row;
use super::{Answer, Layout, render, said};
use crate::access::Visitor;
use crate::act::warn_unless_passed_on;
use crate::api::sessions::After;
use crate::app::Shared;
use crate::query::encoded;
use crate::shown::{State, When, cut, grouped, object, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State as Shares};
use axum::response::{IntoResponse, Redirect, Response};
use counterfoil_operations::{Doer, sessions};
use counterfoil_store::{Part, SessionRow, SubtaskRow};
use counterfoil_toolbox::config::AccessRole;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use counterfoil_toolbox::session::SessionStatus;

/// Subtasks of a page.
const PAGE: u32 = 100;

/// Longest piece of an error in a list, in characters.
const SHORT: usize = 120;

#[derive(Debug, Template)]
#[template(path = "session.html")]
struct SessionPage {
    layout: Layout,
    row: Row,
    counters: Vec<(&'static str, String)>,
    facts: Vec<(&'static str, String)>,
    finished: Option<When>,
    deadline: Option<When>,
    finalizer: Finalizer,
    subtasks: Vec<Subtask>,
    /// The place after which the next page of subtasks begins.
    next: Option<i32>,
    is_first: bool,
    can_abort: bool,
}

#[derive(Debug)]
struct Finalizer {
    name: String,
    /// Public id, once there is a row.
    id: Option<String>,
    state: Option<State>,
    /// Why it never ran.
    discarded: Option<String>,
}

#[derive(Debug)]
struct Subtask {
    position: i32,
    id: Option<String>,
    name: String,
    state: State,
    skipped: bool,
    retries: i32,
    /// Its error, or why it counts as it does.
    note: String,
}

/// `GET /sessions/{id}`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
) -> Answer {
    let unknown = || Trouble::not_found(format!("no session has the id {id:?}"));
    let session_id = SessionId::new(&id).map_err(|_| unknown())?;
    let layout = Layout::new(&visitor, "/sessions", "");
    let watched = format!("session={}", encoded(&id));
    let layout = layout.watching(&app, &watched).await?;
    let session = app.store.session(&session_id).await?.ok_or_else(unknown)?;
    let subtasks = app.store.subtasks(&session_id, after, PAGE + 1).await?;
    let subtasks = Part::of(subtasks, PAGE);
    let finalizer = match TaskId::new(&session.finalizer_id) {
        Ok(id) => app.store.tasks_with_ids(&[id]).await?.pop(),
        Err(_) => None,
    };
    let deadline = session.deadline(app.sync.session_estimate, app.sync.session_buffer);
    render(&SessionPage {
        layout: Layout {
            title: visible(&session.action),
            ..layout
        },
        row: Row::of(&session),
        counters: counters(&session),
        facts: facts(&session),
        finished: session.finished_at.map(When::of),
        deadline: session.status.is_open().then(|| When::of(deadline)),
        finalizer: Finalizer {
            name: visible(&session.finalizer_type),
            state: finalizer.as_ref().map(|row| State::of(row.state)),
            id: finalizer.map(|row| row.id),
            discarded: discarded(&session),
        },
        next: subtasks.end().map(|row| row.position),
        is_first: after.is_none(),
        can_abort: visitor.role >= AccessRole::Operator
            && session.status.is_open()
            && session.status != SessionStatus::Aborting,
        subtasks: subtasks
            .rows
            .iter()
            .map(|row| subtask(row, session.status.is_open()))
            .collect(),
    })
}

fn counters(session: &SessionRow) -> Vec<(&'static str, String)> {
    let counters = [
        ("Subtasks", session.total),
        ("Succeeded", session.succeeded),
        ("Failed", session.failed),
        ("of these revoked", session.revoked),
        ("Skipped", session.skipped),
        ("Retries", session.retried_counted),
        ("Uncounted retries", session.retried_uncounted),
    ];
    let counters = counters.into_iter();
    let counters = counters.filter(|(name, count)| *count != 0 || *name == "Subtasks");
    counters
        .map(|(name, count)| (name, grouped(count.into())))
        .collect()
}

fn facts(session: &SessionRow) -> Vec<(&'static str, String)> {
    let kind = session.related_content_type.as_deref();
    let related = object(kind, session.related_object_id.as_deref());
    let policy = match session.policy.as_str() {
        "fail" => "it fails when a subtask does",
        _ => "it completes with errors when a subtask fails",
    };
    let facts = [
        ("Creator", session.creator_id.clone()),
        ("About", related),
        ("Aborted by", session.aborted_by.clone()),
        ("Policy", Some(policy.to_owned())),
        ("Id", Some(session.id.to_string())),
    ];
    let known = facts.into_iter();
    known
        .filter_map(|(name, fact)| Some((name, visible(&fact?))))
        .collect()
}

fn discarded(session: &SessionRow) -> Option<String> {
    session.finalizer_discarded_at?;
    let by = session.finalizer_discarded_by.as_deref();
    Some(visible(by.unwrap_or("somebody")))
}

fn subtask(row: &SubtaskRow, is_open: bool) -> Subtask {
    let why = match (&row.state, row.is_own) {
        (None, _) if is_open => "not sent yet".to_owned(),
        (None, _) => "its row was removed".to_owned(),
        (Some(_), true) if !row.was_sent => "nothing was heard of it".to_owned(),
        (Some(_), false) => "another task has its id, and does not count".to_owned(),
        (Some(state), true) if state != row.status.as_str() => format!("now {state}"),
        (Some(_), true) => String::new(),
    };
    let error = row.error_message.as_deref().unwrap_or_default();
    let note = [why.as_str(), error];
    let note: Vec<_> = note.into_iter().filter(|text| !text.is_empty()).collect();
    Subtask {
        position: row.position,
        id: row.id.clone(),
        name: visible(&row.name),
        state: State::of(row.status),
        skipped: row.skipped,
        retries: row.retried_counted + row.retried_uncounted,
        note: cut(&visible(&note.join(": ")), SHORT),
    }
}

/// `POST /sessions/{id}/abort`
pub(crate) async fn abort(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let session_id = SessionId::new(&id).map_err(|error| Trouble::bad(error.to_string()))?;
    let session = sessions::find(&*app.store, &session_id).await?;
    let doer = Doer::new(Some(visitor.name.clone()));
    let asked = sessions::abort(&*app.store, &session, &doer).await?;
    let mut warnings = Vec::new();
    warn_unless_passed_on(&*app.store, &[asked], &mut warnings).await;
    match warnings.is_empty() {
        true => Ok(Redirect::to(&format!("/sessions/{}", encoded(&id))).into_response()),
        false => said::page(&visitor, "/sessions", "Sessions", &warnings),
    }
}
