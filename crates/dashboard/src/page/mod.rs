//! Pages, a module each, with their templates in `templates`.

pub(crate) mod audit;
pub(crate) mod dead;
pub(crate) mod deed;
pub(crate) mod outcome;
pub(crate) mod overview;
pub(crate) mod parked;
pub(crate) mod problem;
pub(crate) mod queues;
mod said;
pub(crate) mod schedules;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod task;
pub(crate) mod tasks;
pub(crate) mod workers;

use crate::access::{Via, Visitor};
use crate::app::App;
use crate::assets;
use crate::trouble::Trouble;
use askama::Template;
use axum::response::Html;
use counterfoil_toolbox::config::AccessRole;

/// What all pages of somebody who is signed in have in common.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) title: String,
    /// Which entry of the navigation is this one.
    pub(crate) here: &'static str,
    pub(crate) who: String,
    pub(crate) role: &'static str,
    /// What forms of the page must send.
    pub(crate) form_token: String,
    /// What the page watches, as the query of the stream; `None`: nothing.
    pub(crate) live: Option<String>,
    /// From where on.
    pub(crate) since: String,
}

/// A page, or why there is none.
pub(crate) type Answer = Result<Html<String>, Trouble>;

/// The navigation: path and name.
const PLACES: [(&str, &str); 9] = [
    ("/", "Overview"),
    ("/tasks", "Tasks"),
    ("/sessions", "Sessions"),
    ("/queues", "Queues"),
    ("/workers", "Workers"),
    ("/schedules", "Schedules"),
    ("/dead", "Dead letters"),
    ("/parked", "Parked"),
    ("/audit", "Audit"),
];

impl Layout {
    pub(crate) fn new(visitor: &Visitor, here: &'static str, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            here,
            who: visitor.name.clone(),
            role: visitor.role.as_str(),
            form_token: match &visitor.via {
                Via::Browser { form_token } => form_token.clone(),
                Via::Token => String::new(),
            },
            live: None,
            since: String::new(),
        }
    }

    /// The same for a page that shows again what has changed of `watched`, since before it was read.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn watching(mut self, app: &App, watched: &str) -> Result<Self, Trouble> {
        self.since = app.store.feed_position().await?.to_string();
        self.live = Some(watched.to_owned());
        Ok(self)
    }

    /// The entries that this visitor may open: the last one is for admins.
    fn places(&self) -> &'static [(&'static str, &'static str)] {
        match self.role == AccessRole::Admin.as_str() {
            true => &PLACES,
            false => &PLACES[..PLACES.len() - 1],
        }
    }

    fn version(&self) -> &'static str {
        assets::version()
    }
}

pub(crate) fn render(template: &impl Template) -> Answer {
    Ok(Html(template.render()?))
}
