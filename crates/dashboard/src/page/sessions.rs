//! The list of sessions.

use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::Shared;
use crate::query::{asked, encoded, place};
use crate::shown::{When, grouped, span, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::Extension;
use axum::extract::{Query, State as Shares};
use counterfoil_store::{Part, SessionFilter, SessionRow};
use counterfoil_toolbox::session::SessionStatus;
use serde::Deserialize;
use utoipa::IntoParams;

/// Rows of a page.
const PAGE: u32 = 50;

#[derive(Debug, Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    layout: Layout,
    query: SessionQuery,
    statuses: Vec<&'static str>,
    rows: Vec<Row>,
    /// Query of the next page, if there is one.
    next: Option<String>,
    wrong: Option<String>,
}

/// The query of a list of sessions. What is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionQuery {
    /// With this status.
    status: String,
    /// For this action.
    action: String,
    /// Where to go on: `next` of the page before.
    cursor: String,
}

/// A session in a list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) link: String,
    pub(super) action: String,
    pub(super) status: &'static str,
    pub(super) class: &'static str,
    pub(super) percent: i32,
    pub(super) is_open: bool,
    pub(super) attempted: String,
    pub(super) total: String,
    pub(super) failed: i32,
    pub(super) started: When,
    pub(super) took: String,
}

impl Row {
    pub(super) fn of(row: &SessionRow) -> Self {
        Self {
            id: visible(row.id.as_str()),
            link: encoded(row.id.as_str()),
            action: visible(&row.action),
            status: row.status.as_str(),
            class: class(row.status),
            percent: row.progress(),
            is_open: row.status.is_open(),
            attempted: grouped(row.attempted().into()),
            total: grouped(row.total.into()),
            failed: row.failed,
            started: When::of(row.started_at),
            took: span(row.duration_ms),
        }
    }
}

const fn class(status: SessionStatus) -> &'static str {
    match status {
        SessionStatus::Ongoing => "running",
        SessionStatus::Success => "good",
        SessionStatus::CompletedWithErrors => "retrying",
        SessionStatus::Failure | SessionStatus::TimedOut => "bad",
        SessionStatus::Aborting | SessionStatus::Aborted => "stopped",
    }
}

impl SessionQuery {
    pub(crate) fn filter(&self, limit: u32) -> Result<SessionFilter, Trouble> {
        let status = asked(&self.status).map(|status| {
            let known = SessionStatus::ALL.into_iter();
            let mut known = known.filter(|known| known.as_str().eq_ignore_ascii_case(&status));
            known.next().ok_or_else(|| {
                let known = SessionStatus::ALL.map(SessionStatus::as_str).join(", ");
                Trouble::bad(format!("status: {status:?} is none of {known}"))
            })
        });
        Ok(SessionFilter {
            status: status.transpose()?,
            action: asked(&self.action),
            after: place("cursor", &self.cursor)?,
            limit,
            ..SessionFilter::default()
        })
    }

    fn with_cursor(&self, cursor: &str) -> String {
        format!(
            "status={}&action={}&cursor={}",
            encoded(&self.status),
            encoded(&self.action),
            encoded(cursor)
        )
    }

    fn is_everything(&self) -> bool {
        self.status.is_empty() && self.action.is_empty()
    }
}

/// `GET /sessions`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<SessionQuery>,
) -> Answer {
    let layout = Layout::new(&visitor, "/sessions", "Sessions");
    let layout = layout.watching(&app, "").await?;
    // One more than is shown tells that there are more.
    let (rows, wrong) = match query.filter(PAGE + 1) {
        Ok(filter) => (app.store.sessions(&filter).await?, None),
        Err(trouble) => (Vec::new(), Some(trouble.detail)),
    };
    let part = Part::of(rows, PAGE);
    render(&SessionsPage {
        layout,
        next: part
            .end()
            .map(|row| query.with_cursor(&row.place().to_string())),
        statuses: SessionStatus::ALL.map(SessionStatus::as_str).to_vec(),
        rows: part.rows.iter().map(Row::of).collect(),
        query,
        wrong,
    })
}
