//! Messages that the platform could not read.

use super::dead::public_ids;
use super::outcome::Done;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::{App, Shared};
use crate::query::{asked, encoded, place};
use crate::shown::{When, cut, grouped, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::{Query, State as Shares};
use axum::response::Response;
use axum::{Extension, Form};
use counterfoil_operations::parked::{self, Fate, Reading};
use counterfoil_operations::{Told, Words};
use counterfoil_store::record::ParkedRow;
use counterfoil_store::{ParkedFilter, Part};
use counterfoil_toolbox::config::AccessRole;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;

/// Messages that are shown, the newest.
const PAGE: u32 = 100;

/// Longest piece of a body that is shown, in characters.
const BODY: usize = 2000;

#[derive(Debug, Template)]
#[template(path = "parked.html")]
struct ParkedPage {
    layout: Layout,
    rows: Vec<Row>,
    query: ParkedQuery,
    /// Query of the next page, if there is one.
    next: Option<String>,
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

/// The query of a list of parked messages. What is empty asks for nothing.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ParkedQuery {
    /// Read from this queue.
    queue: String,
    /// Where to go on: `next` of the page before.
    cursor: String,
}

impl ParkedQuery {
    /// One page of them.
    ///
    /// # Errors
    /// When the cursor is none, or the database does not answer.
    pub(crate) async fn page(&self, app: &App) -> Result<Part<ParkedRow>, Trouble> {
        let filter = ParkedFilter {
            queue: asked(&self.queue),
            after: place("cursor", &self.cursor)?,
            // One more than is shown tells that there are more.
            limit: PAGE + 1,
            ..ParkedFilter::default()
        };
        Ok(Part::of(app.store.parked(&filter).await?, PAGE))
    }

    fn with_cursor(&self, cursor: &str) -> String {
        format!("queue={}&cursor={}", encoded(&self.queue), encoded(cursor))
    }
}

/// `GET /parked`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<ParkedQuery>,
) -> Answer {
    let letters = query.page(&app).await?;
    let public = public_ids(
        &app,
        letters.rows.iter().filter_map(|row| row.task_id.as_deref()),
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
        next: letters
            .end()
            .map(|row| query.with_cursor(&row.place().to_string())),
        rows: letters.rows.iter().map(row).collect(),
        query,
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
    let (words, mut done) = perform(&app, wish, std::slice::from_ref(&id)).await?;
    if done.told.is_empty() {
        return Err(Trouble::not_found(format!(
            "nothing is parked under the id {id:?}"
        )));
    }
    done.by_public_ids(&app).await?;
    done.answer(&visitor, words, "/parked", "/parked".to_owned())
}

/// Deals with the messages that are parked under these ids, of records or of tasks.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn perform(
    app: &App,
    wish: Wish,
    ids: &[String],
) -> Result<(Words, Done), Trouble> {
    let fate = match wish {
        Wish::Redrive => Fate::Redrive(Box::new(Reading {
            names: app.platform.names.clone(),
            celery_services: app.sync.celery_services.clone(),
        })),
        Wish::Discard => Fate::Discard,
    };
    app.tell_python().await?;
    let mut done = Done::default();
    for row in parked::find(&*app.store, ids, None, 0).await?.rows {
        let outcome = fate.apply(&row, &*app.store).await?;
        let subject = parked::subject(&row);
        done.told.push(Told { subject, outcome });
    }
    Ok((fate.words(), done))
}
