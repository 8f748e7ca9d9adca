//! Dead letters: messages of tasks that will not run again by themselves.

use super::outcome::Done;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::{App, Shared};
use crate::query::{asked, encoded, place};
use crate::shown::{When, cut, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::{Query, State as Shares};
use axum::response::Response;
use axum::{Extension, Form};
use chrono::SecondsFormat;
use counterfoil_operations::dead::{Deal, Dealing, Fate, Which};
use counterfoil_operations::{Doer, Mode};
use counterfoil_store::record::DeadRow;
use counterfoil_store::{DeadFilter, Part};
use counterfoil_toolbox::config::AccessRole;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::ServiceName;
use serde::Deserialize;
use std::collections::HashMap;
use utoipa::IntoParams;

/// Letters that are shown, the newest.
const PAGE: u32 = 100;

/// Longest piece of a reason, in characters.
const SHORT: usize = 160;

#[derive(Debug, Template)]
#[template(path = "dead.html")]
struct DeadPage {
    layout: Layout,
    query: DeadQuery,
    services: Vec<String>,
    rows: Vec<Row>,
    /// Query of the next page, if there is one.
    next: Option<String>,
    may_redrive: bool,
    may_discard: bool,
}

/// The query of a list of dead letters. What is empty asks for nothing.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadQuery {
    /// In the dead queue of this service.
    service: String,
    /// Died for this reason, for example exhausted.
    reason: String,
    /// Of this type, for example export.project.
    name: String,
    /// Where to go on: `next` of the page before.
    cursor: String,
}

impl DeadQuery {
    /// One page of them.
    ///
    /// # Errors
    /// When the cursor is none, or the database does not answer.
    pub(crate) async fn page(&self, app: &App) -> Result<Part<DeadRow>, Trouble> {
        let filter = DeadFilter {
            service: asked(&self.service),
            reason: asked(&self.reason),
            name: asked(&self.name),
            after: place("cursor", &self.cursor)?,
            // One more than is shown tells that there are more.
            limit: PAGE + 1,
            ..DeadFilter::default()
        };
        Ok(Part::of(app.store.dead(&filter).await?, PAGE))
    }

    fn with_cursor(&self, cursor: &str) -> String {
        let (service, reason) = (encoded(&self.service), encoded(&self.reason));
        let (name, cursor) = (encoded(&self.name), encoded(cursor));
        format!("service={service}&reason={reason}&name={name}&cursor={cursor}")
    }
}

#[derive(Debug)]
struct Row {
    /// Id of the record.
    id: String,
    /// Public id of its task, where there is a row of it.
    task: Option<String>,
    name: String,
    service: String,
    reason: String,
    text: String,
    attempt: String,
    died: When,
}

/// `GET /dead`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<DeadQuery>,
) -> Answer {
    let letters = query.page(&app).await?;
    let public = public_ids(
        &app,
        letters.rows.iter().filter_map(|row| row.task_id.as_deref()),
    )
    .await?;
    let row = |letter: &DeadRow| Row {
        id: letter.id.to_string(),
        task: letter
            .task_id
            .as_ref()
            .and_then(|id| public.get(id.as_str()).cloned()),
        name: visible(
            letter
                .name
                .as_deref()
                .unwrap_or("a message that names no task"),
        ),
        service: visible(&letter.service),
        reason: visible(&letter.reason.replace('_', " ")),
        text: cut(
            &visible(letter.reason_text.as_deref().unwrap_or_default()),
            SHORT,
        ),
        attempt: letter.attempt.clone(),
        died: When::of(letter.died_at),
    };
    render(&DeadPage {
        layout: Layout::new(&visitor, "/dead", "Dead letters"),
        services: app.store.services().await?,
        next: letters
            .end()
            .map(|row| query.with_cursor(&row.place().to_string())),
        rows: letters.rows.iter().map(row).collect(),
        query,
        may_redrive: visitor.role >= AccessRole::Operator,
        may_discard: visitor.role >= AccessRole::Admin,
    })
}

/// What is to become of which dead letters.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    service: String,
    /// The record alone; else all that match.
    #[serde(default)]
    id: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    name: String,
    /// Those that died before then.
    #[serde(default)]
    until: String,
}

/// Letters that are dealt with by one request.
pub(crate) const MOST: usize = 10_000;

#[derive(Debug, Template)]
#[template(path = "dead_confirm.html")]
struct ConfirmPage {
    layout: Layout,
    button: &'static str,
    fate: &'static str,
    count: String,
    can: bool,
    wanted: Wanted,
}

impl Wanted {
    fn deal(&self, fate: Fate, mode: Mode, visitor: &Visitor) -> Result<Deal, Trouble> {
        let until = asked(&self.until).map(|until| until.parse());
        let service = ServiceName::new(&self.service);
        Ok(Deal {
            fate,
            mode,
            service: service.map_err(|error| Trouble::bad(error.to_string()))?,
            which: Which {
                ids: asked(&self.id).into_iter().collect(),
                reason: asked(&self.reason),
                name: asked(&self.name),
                since: None,
                until: until
                    .transpose()
                    .map_err(|_| Trouble::bad("until: a time was expected"))?,
            },
            limit: MOST,
            doer: Doer::new(Some(visitor.name.clone())),
        })
    }
}

const fn button(fate: Fate) -> &'static str {
    match fate {
        Fate::Redrive => "Redrive",
        Fate::Discard => "Discard",
    }
}

/// `GET /dead/{redrive,discard}`: how many there are, before anything is done.
pub(crate) async fn confirm(
    fate: Fate,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(mut wanted): Query<Wanted>,
) -> Answer {
    if wanted.until.is_empty() {
        let now = app.store.clock().await?;
        // What dies from now on was not counted, and nothing is done to it.
        wanted.until = now.to_rfc3339_opts(SecondsFormat::Micros, true);
    }
    let deal = wanted.deal(fate, Mode::DryRun, &visitor)?;
    let dealing = Dealing::begin(&app.platform, deal).await?;
    let expected = dealing.expected();
    render(&ConfirmPage {
        layout: Layout::new(&visitor, "/dead", button(fate)),
        button: button(fate),
        fate: match fate {
            Fate::Redrive => "redrive",
            Fate::Discard => "discard",
        },
        count: fate.words().count(expected),
        can: expected > 0,
        wanted,
    })
}

/// `POST /dead/{redrive,discard}`
pub(crate) async fn deal(
    fate: Fate,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Trouble> {
    let deal = wanted.deal(fate, Mode::Do, &visitor)?;
    let done = perform(&app, deal).await?;
    let back = format!("/dead?service={}", encoded(&wanted.service));
    done.listed(&visitor, fate.words(), "/dead", back)
}

/// Deals with dead letters, and tells what became of each by the public id of its task.
///
/// # Errors
/// When the service has no dead queue, somebody else is at work on it, or broker or database do not answer.
pub(crate) async fn perform(app: &App, deal: Deal) -> Result<Done, Trouble> {
    if !app.platform.has_dead_queue(&deal.service).await? {
        let service = &deal.service;
        return Err(Trouble::not_found(format!(
            "the service {service} has no dead queue"
        )));
    }
    app.tell_python().await?;
    let (mut done, words) = (Done::default(), deal.fate.words());
    let mut dealing = Dealing::begin(&app.platform, deal).await?;
    dealing.run(|told| done.told.push(told)).await?;
    if dealing.unread() > 0 {
        done.warnings.push(format!(
            "{} named no task: sent as they are, they can be followed in the log of the worker alone",
            words.count(dealing.unread())
        ));
    }
    drop(dealing);
    done.by_public_ids(app).await?;
    Ok(done)
}

/// The public ids of those of these tasks that have rows.
pub(crate) async fn public_ids<'a>(
    app: &App,
    task_ids: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, String>, Trouble> {
    let ids: Vec<TaskId> = task_ids.filter_map(|id| TaskId::new(id).ok()).collect();
    let rows = app.store.tasks_with_ids(&ids).await?.into_iter();
    Ok(rows.map(|row| (row.task_id.to_string(), row.id)).collect())
}
