//! Who runs tasks.

use super::{Answer, Layout, render, said};
use crate::access::Visitor;
use crate::act::warn_unless_passed_on;
use crate::app::Shared;
use crate::shown::{When, grouped, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::State as Shares;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use chrono::{DateTime, Utc};
use counterfoil_operations::Doer;
use counterfoil_operations::workers::{self, Wish, is_alive};
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::config::AccessRole;
use serde::Deserialize;

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
    processed: String,
    started: Option<When>,
    heard: When,
    /// Services that somebody paused.
    paused: String,
    /// Whether it does what is asked of workers.
    follows: bool,
}

/// `GET /workers`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
) -> Answer {
    let now = app.store.clock().await?;
    let rows = app.store.workers().await?;
    let (living, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_alive(row, now));
    render(&WorkersPage {
        layout: Layout::new(&visitor, "/workers", "Workers"),
        may_act: visitor.role >= AccessRole::Operator,
        living: living.into_iter().map(|row| worker(row, now)).collect(),
        gone: gone.into_iter().map(|row| worker(row, now)).collect(),
    })
}

fn worker(row: &WorkerRow, now: DateTime<Utc>) -> Worker {
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
    warn_unless_passed_on(&*app.store, &[asked], &mut warnings).await?;
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
