//! For the platform's own pages: the last tasks of an object, by a link that is signed, and for a while.
//!
//! A program of the platform asks for the link with its token and gives it to the browser of somebody who may
//! see the object. Whoever has the link sees these tasks, until its time is over, and nothing else.

use crate::access::Seal;
use crate::app::{App, Shared};
use crate::page::tasks::percent;
use crate::query::encoded;
use crate::shown::{State, When, cut, visible};
use crate::trail::Came;
use crate::trouble::Trouble;
use askama::Template;
use axum::extract::{Query, State as Shares};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::TaskFilter;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::TaskState;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

/// Longest time for which a link holds.
const LONGEST: TimeDelta = TimeDelta::days(7);

/// How long it holds where nobody says so.
const HOUR: i64 = 3600;

/// Tasks that a link shows at most.
const MOST: u32 = 50;

/// What a link is to show.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// About this object: `type:id`.
    #[schema(example = "project:17")]
    related: String,
    /// Only tasks that this user wanted.
    #[serde(default)]
    creator: Option<String>,
    /// Only tasks of this type.
    #[serde(default)]
    name: Option<String>,
    /// So many, the last ones. Default: 5, at most 50.
    #[serde(default)]
    limit: Option<u32>,
    /// After so many seconds it holds no more. Default: an hour, at most seven days.
    #[serde(default)]
    lifetime_s: Option<i64>,
}

/// A link, for people and for programs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    /// Path of the fragment of a page.
    html: String,
    /// Path of the same as JSON.
    json: String,
    /// Until when they hold.
    until: DateTime<Utc>,
}

/// What a link says.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Signed {
    related: String,
    creator: String,
    name: String,
    limit: u32,
    /// Seconds since 1970.
    until: i64,
    seal: String,
}

/// A task as the link shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recent {
    id: String,
    r#type: String,
    #[schema(value_type = String)]
    state: &'static str,
    /// Whether it will not change any more.
    over: bool,
    /// How far it is, in per cent.
    percent: Option<i64>,
    progress_message: Option<String>,
    error_message: Option<String>,
    /// What it returned, once it has succeeded; secrets masked.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    created_date: DateTime<Utc>,
    last_updated: DateTime<Utc>,
}

/// The tasks of a link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recents {
    /// The last ones, newest first.
    items: Vec<Recent>,
    /// Whether tasks can be sent now; else the platform's pages should say "temporarily unavailable".
    available: bool,
}

#[derive(Debug, Template)]
#[template(path = "recent.html")]
struct RecentPage {
    rows: Vec<Row>,
    available: bool,
}

#[derive(Debug)]
struct Row {
    name: String,
    state: State,
    percent: Option<i64>,
    note: String,
    changed: When,
    /// Where the result is, if it says so.
    link: Option<String>,
}

impl RecentPage {
    fn version(&self) -> &'static str {
        crate::assets::version()
    }
}

/// What a link opens: results are for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Json,
}

impl Kind {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Page => "recent page",
            Self::Json => "recent json",
        }
    }
}

impl Signed {
    fn seal(&self, seal: &Seal, kind: Kind) -> String {
        let (limit, until) = (self.limit.to_string(), self.until.to_string());
        seal.of(kind.purpose(), &self.parts(&limit, &until))
    }

    fn parts<'a>(&'a self, limit: &'a str, until: &'a str) -> [&'a str; 5] {
        [&self.related, &self.creator, &self.name, limit, until]
    }

    fn query(&self) -> String {
        format!(
            "related={}&creator={}&name={}&limit={}&until={}&seal={}",
            encoded(&self.related),
            encoded(&self.creator),
            encoded(&self.name),
            self.limit,
            self.until,
            self.seal
        )
    }

    /// The filter that it means, if it was signed here and holds.
    fn filter(&self, seal: &Seal, kind: Kind, now: DateTime<Utc>) -> Result<TaskFilter, Trouble> {
        let refused = |why: &str| Trouble::new(StatusCode::FORBIDDEN, why);
        let (limit, until) = (self.limit.to_string(), self.until.to_string());
        let is_ours = seal.is_of(&self.seal, kind.purpose(), &self.parts(&limit, &until));
        if !is_ours || self.limit > MOST {
            return Err(refused("this link was not made here, or was changed"));
        }
        if self.until <= now.timestamp() {
            return Err(refused("this link does not hold any more").remedy("load the page again"));
        }
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(TaskFilter {
            related: self
                .related
                .split_once(':')
                .map(|(kind, id)| (kind.to_owned(), id.to_owned())),
            creator: text(&self.creator),
            name: text(&self.name),
            limit: self.limit,
            ..TaskFilter::default()
        })
    }
}

/// A signed link to the last tasks of an object.
///
/// For programs of the platform, which give it to the browser of somebody who may see that object.
#[utoipa::path(post, path = "/api/links", tag = "links", request_body = Wish, responses(
    (status = 200, body = Links),
    (status = 400, description = "Such a link cannot be meant."),
    (status = 415, description = "It is not sent as JSON."),
    (status = 422, description = "It is JSON, and not of this form."),
))]
pub(crate) async fn link(
    Shares(app): Shares<Shared>,
    Json(wish): Json<Wish>,
) -> Result<(Extension<Came>, Json<Links>), Trouble> {
    let is_object = wish
        .related
        .split_once(':')
        .is_some_and(|(kind, id)| !kind.is_empty() && !id.is_empty());
    if !is_object {
        return Err(Trouble::bad(
            "related: an object of the form type:id was expected",
        ));
    }
    let lifetime = wish.lifetime_s.unwrap_or(HOUR);
    if !(1..=LONGEST.num_seconds()).contains(&lifetime) {
        return Err(Trouble::bad("lifetime_s: from 1 to 604800 were expected"));
    }
    let limit = wish.limit.unwrap_or(5);
    if !(1..=MOST).contains(&limit) {
        return Err(Trouble::bad("limit: from 1 to 50 were expected"));
    }
    let until = Utc::now() + TimeDelta::seconds(lifetime);
    // Whoever says it and means nobody must not get everybody's.
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    if is_empty(&wish.creator) || is_empty(&wish.name) {
        return Err(Trouble::bad(
            "creator, name: leave out what is not meant, instead of \"\"",
        ));
    }
    let signed = Signed {
        related: wish.related,
        creator: wish.creator.unwrap_or_default(),
        name: wish.name.unwrap_or_default(),
        limit,
        until: until.timestamp(),
        seal: String::new(),
    };
    let query = |kind| {
        let seal = signed.seal(&app.seal, kind);
        Signed {
            seal,
            ..signed.clone()
        }
        .query()
    };
    let links = Links {
        html: format!("/embed/recent?{}", query(Kind::Page)),
        json: format!("/api/recent?{}", query(Kind::Json)),
        until,
    };
    // Whose results can be read with it, and until when.
    let came = Came(format!("{} until {until}: done", signed.related));
    Ok((Extension(came), Json(links)))
}

/// The last tasks of an object, by a signed link.
#[utoipa::path(get, path = "/api/recent", tag = "links", params(Signed), responses(
    (status = 200, body = Recents),
    (status = 400, description = "It is no such link."),
    (status = 403, description = "The link was not made here, was changed, or does not hold any more."),
))]
pub(crate) async fn json(
    Shares(app): Shares<Shared>,
    Query(signed): Query<Signed>,
) -> Result<Json<Recents>, Trouble> {
    let filter = signed.filter(&app.seal, Kind::Json, Utc::now())?;
    let mut items = Vec::new();
    for row in app.store.tasks(&filter).await? {
        items.push(recent(&app, row).await?);
    }
    let available = app.can_send();
    Ok(Json(Recents { items, available }))
}

async fn recent(app: &App, row: TaskRow) -> Result<Recent, Trouble> {
    let result = result(app, &row).await?;
    Ok(Recent {
        state: row.state.as_str(),
        over: row.state.is_terminal(),
        percent: percent(&row),
        result: result.and_then(|json| RawValue::from_string(json).ok()),
        id: row.id,
        r#type: row.name,
        progress_message: row.progress_message,
        error_message: row.error_message,
        created_date: row.created_date,
        last_updated: row.last_updated,
    })
}

/// What a task returned, secrets masked.
async fn result(app: &App, row: &TaskRow) -> Result<Option<String>, Trouble> {
    if row.state != TaskState::Success {
        return Ok(None);
    }
    let result = app.store.result(&row.task_id, row.run).await?;
    let result = result.and_then(|row| row.result);
    Ok(result.map(|json| app.mask.json(json.get())))
}

/// `GET /embed/recent`: a fragment that pages of the platform show in a frame.
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Query(signed): Query<Signed>,
) -> Result<Response, Trouble> {
    let filter = signed.filter(&app.seal, Kind::Page, Utc::now())?;
    let mut rows = Vec::new();
    for row in app.store.tasks(&filter).await? {
        let result = result(&app, &row).await?;
        rows.push(Row {
            name: visible(&row.name),
            state: State::of(row.state),
            percent: percent(&row),
            note: cut(&visible(note(&row)), 160),
            changed: When::of(row.last_updated),
            link: result.and_then(|json| address(&json)),
        });
    }
    let available = app.can_send();
    let page = RecentPage { rows, available }.render()?;
    Ok(Html(page).into_response())
}

fn note(row: &TaskRow) -> &str {
    let error = row
        .error_message
        .as_deref()
        .filter(|_| row.state == TaskState::Failure);
    error
        .or(row.progress_message.as_deref())
        .unwrap_or_default()
}

/// Where a result is that says so: `url` of an object, or the text itself. Nothing but the web: a link of
/// another kind would run something.
fn address(json: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let address = value.get("url").unwrap_or(&value).as_str()?;
    let is_web = ["https://", "http://"]
        .iter()
        .any(|scheme| address.starts_with(scheme));
    (is_web && !address.chars().any(char::is_control)).then(|| address.to_owned())
}

#[cfg(test)]
#[path = "embed_tests.rs"]
mod tests;
