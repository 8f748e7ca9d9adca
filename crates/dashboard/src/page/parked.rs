//! Messages that the platform could not read.

use super::dead::public_ids;
use super::outcome::Done;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::Shared;
use crate::shown::{When, cut, grouped, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::State as Shares;
use axum::response::Response;
use axum::{Extension, Form};
use counterfoil_operations::Told;
use counterfoil_operations::parked::{self, Fate, Reading};
use counterfoil_store::ParkedFilter;
use counterfoil_store::record::ParkedRow;
use counterfoil_toolbox::config::AccessRole;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Messages that are shown, the newest.
const PAGE: u32 = 100;

/// Longest piece of a body that is shown, in characters.
const BODY: usize = 2000;

#[derive(Debug, Template)]
#[template(path = "parked.html")]
struct ParkedPage {
    layout: Layout,
    rows: Vec<Row>,
    has_more: bool,
    may_redrive: bool,
    may_discard: bool,
}

#[derive(Debug)]
struct Row {
    id: String,
    task: Option<String>,
    name: String,
    queue: String,
    reason: String,
    bytes: String,
    times: i64,
    parked: When,
    /// The body, for those who may see it.
    body: Option<String>,
}

/// `GET /parked`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
) -> Answer {
    let filter = ParkedFilter {
        // One more than is shown tells that there are more.
        limit: PAGE + 1,
        ..ParkedFilter::default()
    };
    let mut letters = app.store.parked(&filter).await?;
    let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_more = letters.len() > page;
    letters.truncate(page);
    let public = public_ids(
        &app,
        letters.iter().filter_map(|row| row.task_id.as_deref()),
    )
    .await?;
    let may_look = visitor.role >= AccessRole::Operator;
    let row = |row: &ParkedRow| Row {
        id: row.id.to_string(),
        task: row
            .task_id
            .as_ref()
            .and_then(|id| public.get(id.as_str()).cloned()),
        name: visible(row.name.as_deref().unwrap_or_default()),
        queue: visible(&row.queue),
        reason: visible(&row.reason),
        bytes: grouped(i64::try_from(row.body_bytes).unwrap_or(i64::MAX)),
        times: row.times,
        parked: When::of(row.parked_at),
        body: may_look.then(|| body(&app, row)),
    };
    render(&ParkedPage {
        layout: Layout::new(&visitor, "/parked", "Parked messages"),
        rows: letters.iter().map(row).collect(),
        has_more,
        may_redrive: may_look,
        may_discard: visitor.role >= AccessRole::Admin,
    })
}

/// What is JSON is masked. Of what is none nothing can be, so that its length alone is told.
fn body(app: &Shared, row: &ParkedRow) -> String {
    let body = &row.message.content.body;
    let is_json = serde_json::from_slice::<&RawValue>(body).is_ok();
    match std::str::from_utf8(body) {
        Ok(json) if is_json => cut(&app.mask.lines(json), BODY),
        Ok(_) | Err(_) => format!(
            "{} bytes that are no JSON; `counterfoil parked show {}` shows them",
            body.len(),
            row.id
        ),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    id: String,
}

/// What is to become of a parked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Redrive,
    Discard,
}

/// `POST /parked/{redrive,discard}`
pub(crate) async fn deal(
    wish: Wish,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Form(Which { id }): Form<Which>,
) -> Result<Response, Trouble> {
    let fate = match wish {
        Wish::Redrive => Fate::Redrive(Box::new(Reading {
            names: app.platform.names.clone(),
            celery_services: app.sync.celery_services.clone(),
        })),
        Wish::Discard => Fate::Discard,
    };
    app.tell_python().await?;
    let found = parked::find(&*app.store, std::slice::from_ref(&id), None, 0).await?;
    if found.rows.is_empty() {
        return Err(Trouble::not_found(format!(
            "nothing is parked under the id {id:?}"
        )));
    }
    let mut done = Done::default();
    for row in &found.rows {
        let outcome = fate.apply(row, &*app.store).await?;
        let subject = parked::subject(row);
        done.told.push(Told { subject, outcome });
    }
    done.answer(&visitor, fate.words(), "/parked", "/parked".to_owned())
}
