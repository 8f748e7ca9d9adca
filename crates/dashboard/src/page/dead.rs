//! Dead letters: messages of tasks that will not run again by themselves.

use super::outcome::Done;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::Shared;
use crate::query::encoded;
use crate::shown::{When, cut, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::{Query, State as Shares};
use axum::response::Response;
use axum::{Extension, Form};
use chrono::SecondsFormat;
use counterfoil_operations::dead::{Deal, Dealing, Fate, Which};
use counterfoil_operations::{Doer, Mode};
use counterfoil_store::DeadFilter;
use counterfoil_store::record::DeadRow;
use counterfoil_toolbox::config::AccessRole;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::ServiceName;
use serde::Deserialize;
use std::collections::HashMap;

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
    has_more: bool,
    may_redrive: bool,
    may_discard: bool,
}

/// The query of a list of dead letters. What is empty asks for nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeadQuery {
    service: String,
    reason: String,
    name: String,
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
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = DeadFilter {
        service: text(&query.service),
        reason: text(&query.reason),
        name: text(&query.name),
        // One more than is shown tells that there are more.
        limit: PAGE + 1,
        ..DeadFilter::default()
    };
    let mut letters = app.store.dead(&filter).await?;
    let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_more = letters.len() > page;
    letters.truncate(page);
    let public = public_ids(
        &app,
        letters.iter().filter_map(|row| row.task_id.as_deref()),
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
        rows: letters.iter().map(row).collect(),
        query,
        has_more,
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
const MOST: usize = 10_000;

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
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let until = text(&self.until).map(|until| until.parse());
        let service = ServiceName::new(&self.service);
        Ok(Deal {
            fate,
            mode,
            service: service.map_err(|error| Trouble::bad(error.to_string()))?,
            which: Which {
                ids: text(&self.id).into_iter().collect(),
                reason: text(&self.reason),
                name: text(&self.name),
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
    app.tell_python().await?;
    let mut done = Done::default();
    let mut dealing = Dealing::begin(&app.platform, deal).await?;
    dealing.run(|told| done.told.push(told)).await?;
    if dealing.unread() > 0 {
        done.warnings.push(format!(
            "{} named no task: sent as they are, they can be followed in the log of the worker alone",
            fate.words().count(dealing.unread())
        ));
    }
    drop(dealing);
    let ids = done
        .told
        .iter()
        .filter_map(|told| told.subject.task_id.as_deref());
    let public = public_ids(&app, ids).await?;
    for told in &mut done.told {
        // Ids on the wire are nobody's business here.
        let id = told
            .subject
            .task_id
            .take()
            .and_then(|id| public.get(&id).cloned());
        told.subject.id = id.clone().unwrap_or_default();
        told.subject.task_id = id;
    }
    let back = format!("/dead?service={}", encoded(&wanted.service));
    done.listed(&visitor, fate.words(), "/dead", back)
}

/// The public ids of those of these tasks that have rows.
pub(super) async fn public_ids<'a>(
    app: &Shared,
    task_ids: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, String>, Trouble> {
    let ids: Vec<TaskId> = task_ids.filter_map(|id| TaskId::new(id).ok()).collect();
    let rows = app.store.tasks_with_ids(&ids).await?.into_iter();
    Ok(rows.map(|row| (row.task_id.to_string(), row.id)).collect())
}
