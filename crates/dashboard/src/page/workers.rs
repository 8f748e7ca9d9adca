//! Who runs tasks.

use super::{Answer, Layout, render, said};
use crate::access::Visitor;
use crate::act::warn_unless_passed_on;
use crate::app::Shared;
use crate::shown::{When, grouped, span, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::State as Shares;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use chrono::{DateTime, Utc};
use counterfoil_operations::Doer;
use counterfoil_operations::workers::{self, Wish, is_alive};
use counterfoil_store::RunningTask;
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::config::AccessRole;
use serde::Deserialize;
use std::collections::HashMap;

/// Tasks of each worker that are shown, those that were sent first.
pub(crate) const EACH: u32 = 10;

#[derive(Debug, Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    layout: Layout,
    living: Vec<Worker>,
    /// Those that ended, or of which nothing is heard any more.
    gone: Vec<Worker>,
    may_act: bool,
}

#[derive(Debug)]
struct Worker {
    /// As it is, for forms.
    key: String,
    id: String,
    service: String,
    host: String,
    version: String,
    phase: String,
    class: &'static str,
    running: String,
    runs: Vec<Run>,
    /// How many run besides, as far as the worker said.
    more: Option<String>,
    processed: String,
    started: Option<When>,
    heard: When,
    /// Services that somebody paused.
    paused: String,
    /// Whether it does what is asked of workers.
    follows: bool,
}

/// A task that runs.
#[derive(Debug)]
struct Run {
    id: String,
    name: String,
    started: Option<When>,
    /// For how long.
    since: String,
}

/// `GET /workers`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
) -> Answer {
    let now = app.store.clock().await?;
    let rows = app.store.workers().await?;
    let (living, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_alive(row, now));
    let ids: Vec<&str> = living.iter().map(|row| row.id.as_str()).collect();
    let mut runs: HashMap<String, Vec<Run>> = HashMap::new();
    for task in app.store.running(&ids, EACH).await? {
        let worker = task.worker.clone();
        runs.entry(worker).or_default().push(run(task, now));
    }
    let mut of = |row: &WorkerRow| {
        let runs = runs.remove(&row.id).unwrap_or_default();
        worker(row, runs, now)
    };
    render(&WorkersPage {
        layout: Layout::new(&visitor, "/workers", "Workers"),
        may_act: visitor.role >= AccessRole::Operator,
        living: living.into_iter().map(&mut of).collect(),
        gone: gone.into_iter().map(of).collect(),
    })
}

/// Its start is by the worker's clock, `now` by the database's.
fn run(task: RunningTask, now: DateTime<Utc>) -> Run {
    let passed = |at: DateTime<Utc>| span((now - at).num_milliseconds().max(0));
    Run {
        id: task.id,
        name: visible(&task.name),
        since: task.started_at.map_or_else(String::new, passed),
        started: task.started_at.map(When::of),
    }
}

fn worker(row: &WorkerRow, runs: Vec<Run>, now: DateTime<Utc>) -> Worker {
    let shown = i64::try_from(runs.len()).unwrap_or(i64::MAX);
    let more = row.running.saturating_sub(shown);
    let phase = match is_alive(row, now) || row.has_stopped() {
        true => visible(&row.phase),
        false => "gone".to_owned(),
    };
    let paused: Vec<String> = serde_json::from_value(row.paused.to_value()).unwrap_or_default();
    Worker {
        key: row.id.clone(),
        id: visible(&row.id),
        service: visible(&row.service),
        host: visible(&row.host),
        version: visible(row.version.as_deref().unwrap_or_default()),
        class: match phase.as_str() {
            "running" => "good",
            "gone" => "bad",
            _ => "stopped",
        },
        phase,
        running: grouped(row.running),
        more: (more > 0 && shown > 0).then(|| grouped(more)),
        runs,
        processed: grouped(row.processed),
        started: row.started_at.map(When::of),
        heard: When::of(row.last_heartbeat),
        paused: visible(&paused.join(", ")),
        follows: row.follows_control,
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Whom {
    worker: String,
}

/// `POST /workers/{quiet,stop}`
pub(crate) async fn tell(
    wish: Wish,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Form(Whom { worker }): Form<Whom>,
) -> Result<Response, Trouble> {
    // Not by how it begins: that is for people who type.
    let rows = app.store.workers().await?;
    if !rows.iter().any(|row| row.id == worker) {
        return Err(Trouble::not_found(format!(
            "no worker {worker:?} was ever heard of"
        )));
    }
    let row = workers::find(&*app.store, &worker).await?;
    let doer = Doer::new(Some(visitor.name.clone()));
    let asked = workers::tell(&*app.store, &row, wish, &doer).await?;
    let mut warnings = Vec::new();
    warn_unless_passed_on(&*app.store, &[asked], &mut warnings).await;
    if !row.follows_control {
        warnings.push(
            "this worker does not do what it is asked: it cannot read the control stream"
                .to_owned(),
        );
    }
    match warnings.is_empty() {
        true => Ok(Redirect::to("/workers").into_response()),
        false => said::page(&visitor, "/workers", "Workers", &warnings),
    }
}
