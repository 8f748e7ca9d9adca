//! Doing something to tasks: to one, or after a look at how many there are to all that match.

use super::outcome::left_out;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::act::{Choice, Deed, LOOKED, Look, MOST, look, perform};
use crate::app::Shared;
use crate::page::overview::counted;
use crate::query::{Place, TaskQuery, encoded};
use crate::trouble::Trouble;
use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State as Shares};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};

#[derive(Debug, Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    layout: Layout,
    deed: Deed,
    /// `12 tasks`; where not all were looked at, those of them.
    count: String,
    /// `10 000 tasks`: what is done at once.
    most: String,
    done: &'static str,
    can: bool,
    /// How many match, where not all were looked at.
    of: Option<String>,
    looked: String,
    left_out: Vec<(String, String)>,
    /// What is asked for, as the query of a URL.
    query: String,
    filter: Vec<(&'static str, String)>,
}

/// `POST /tasks/{id}/{deed}`
pub(crate) async fn one(
    deed: Deed,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let done = perform(&app, &visitor, deed, Choice::One(id.clone())).await?;
    let is_done = done.is_all();
    let back = match deed {
        Deed::Delete if is_done => "/tasks".to_owned(),
        Deed::Cancel | Deed::Rerun | Deed::Pause | Deed::Resume | Deed::Delete => {
            format!("/tasks/{}", encoded(&id))
        }
    };
    done.answer(&visitor, deed.words(), "/tasks", back)
}

/// `GET /tasks/all/{deed}`
pub(crate) async fn confirm(
    deed: Deed,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(mut query): Query<TaskQuery>,
) -> Answer {
    refuse_everything(&query)?;
    // What is sent from now on was not counted, and nothing is done to it.
    let now = app.store.clock().await?;
    let filter = query.filter(0, now)?;
    query.until = exact(filter.until.unwrap_or(now));
    query.since = filter.since.map(exact).unwrap_or_default();
    let filter = query.filter_in(&app, 0, now).await?;
    let found = look(&app, deed, filter.clone(), Look::Glance).await?;
    let of = match found.ids.len() + found.count_left_out() {
        ..LOOKED => None,
        LOOKED.. => Some(counted(app.store.count_tasks(&filter).await?)),
    };
    let words = deed.words();
    render(&ConfirmPage {
        layout: Layout::new(&visitor, "/tasks", deed.button()),
        count: words.count(found.ids.len()),
        done: words.done,
        most: words.count(MOST),
        can: !found.ids.is_empty() || of.is_some(),
        of,
        looked: words.count(LOOKED),
        left_out: left_out(&found.left_out),
        filter: query.said(),
        query: query.at(Place::Beginning),
        deed,
    })
}

/// A time as URLs tell it.
fn exact(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// `POST /tasks/all/{deed}`
pub(crate) async fn all(
    deed: Deed,
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<TaskQuery>,
) -> Result<Response, Trouble> {
    refuse_everything(&query)?;
    let now = app.store.clock().await?;
    let filter = Box::new(query.filter_in(&app, 0, now).await?);
    let done = perform(&app, &visitor, deed, Choice::All(filter)).await?;
    let back = format!("/tasks?{}", query.at(Place::Beginning));
    done.answer(&visitor, deed.words(), "/tasks", back)
}

/// Nobody means all tasks that there ever were.
fn refuse_everything(query: &TaskQuery) -> Result<(), Trouble> {
    match query.is_everything() {
        true => Err(Trouble::bad("no tasks were chosen").remedy("filter the list first")),
        false => Ok(()),
    }
}
