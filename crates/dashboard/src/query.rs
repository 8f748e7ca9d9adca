//! Which tasks are asked for, in the words of URLs: the same for pages and the API.

use crate::api::task::find;
use crate::app::App;
use crate::shown::visible;
use crate::trouble::Trouble;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{TaskFilter, TaskOrder};
use counterfoil_toolbox::TaskState;
use serde::Deserialize;
use std::fmt::Display;
use std::str::FromStr;
use utoipa::IntoParams;

/// The query of a list of tasks. What is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskQuery {
    /// In this state, for example FAILURE.
    pub(crate) state: String,
    /// Of this type, for example export.project.
    pub(crate) name: String,
    /// Owned by this service.
    pub(crate) service: String,
    /// Wanted by this user.
    pub(crate) creator: String,
    /// With this identifier.
    pub(crate) identifier: String,
    /// About this object: `type:id`.
    pub(crate) related: String,
    /// A subtask of this session.
    pub(crate) session: String,
    /// With this text: a piece of the error, of the type, of the identifier or of the worker's name, the beginning of
    /// the creator's, an id. Arguments and results are not looked at.
    pub(crate) q: String,
    /// In the family of the task with this public id.
    pub(crate) root: String,
    /// Sent at this time or later; or so long ago: `2h`.
    pub(crate) since: String,
    /// Sent before this time; or so long ago.
    pub(crate) until: String,
    /// `oldest`: those that were sent first come first. Else the last ones do.
    pub(crate) order: String,
    /// The page before: `previous` of this one.
    pub(crate) before: String,
    /// Where to go on: `next` of the page before.
    pub(crate) cursor: String,
}

impl TaskQuery {
    /// The filter that it means.
    ///
    /// # Errors
    /// What cannot be meant, and what is expected instead.
    pub(crate) fn filter(&self, limit: u32, now: DateTime<Utc>) -> Result<TaskFilter, Trouble> {
        Ok(TaskFilter {
            state: asked(&self.state)
                .map(|state| parse_state(&state))
                .transpose()?,
            name: asked(&self.name),
            service: asked(&self.service),
            creator: asked(&self.creator),
            identifier: asked(&self.identifier),
            related: asked(&self.related)
                .map(|related| parse_related(&related))
                .transpose()?,
            root: asked(&self.root),
            session: asked(&self.session),
            text: asked(&self.q),
            since: asked(&self.since)
                .map(|since| parse_time("since", &since, now))
                .transpose()?,
            until: asked(&self.until)
                .map(|until| parse_time("until", &until, now))
                .transpose()?,
            order: match self.order.as_str() {
                "" | "newest" => TaskOrder::NewestFirst,
                "oldest" => TaskOrder::OldestFirst,
                other => {
                    return Err(Trouble::bad(format!(
                        "order: {other:?} is neither newest nor oldest"
                    )));
                }
            },
            before: place("before", &self.before)?,
            after: place("cursor", &self.cursor)?,
            limit,
        })
    }

    /// The same, with the family found by the public id of any of its members.
    ///
    /// # Errors
    /// Also when there is no such task, or the database does not answer.
    pub(crate) async fn filter_in(
        &self,
        app: &App,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<TaskFilter, Trouble> {
        let mut filter = self.filter(limit, now)?;
        if let Some(id) = &mut filter.root {
            let member = find(app, id).await?;
            *id = member.root_id.unwrap_or_else(|| member.task_id.to_string());
        }
        Ok(filter)
    }

    /// Whether all tasks are asked for.
    pub(crate) fn is_everything(&self) -> bool {
        let fields = [
            &self.state,
            &self.name,
            &self.service,
            &self.creator,
            &self.identifier,
            &self.related,
            &self.session,
            &self.q,
            &self.root,
            &self.since,
            &self.until,
        ];
        fields.iter().all(|field| field.trim().is_empty())
    }

    /// The same in the other order.
    pub(crate) fn turned(&self) -> Self {
        let order = if self.is_oldest_first() { "" } else { "oldest" };
        Self {
            order: order.to_owned(),
            ..self.clone()
        }
    }

    /// Whether the page before is asked for.
    pub(crate) fn goes_back(&self) -> bool {
        !self.before.is_empty() && self.cursor.is_empty()
    }

    pub(crate) fn is_oldest_first(&self) -> bool {
        self.order == "oldest"
    }

    /// What is asked for, for people.
    pub(crate) fn said(&self) -> Vec<(&'static str, String)> {
        let pairs = [
            ("State", &self.state),
            ("Service", &self.service),
            ("Type", &self.name),
            ("Creator", &self.creator),
            ("Identifier", &self.identifier),
            ("About", &self.related),
            ("Family of", &self.root),
            ("Session", &self.session),
            ("Text", &self.q),
            ("Since", &self.since),
            ("Until", &self.until),
        ];
        let pairs = pairs.into_iter().filter(|(_, said)| !said.is_empty());
        pairs.map(|(name, said)| (name, visible(said))).collect()
    }

    /// What a page that shows these watches, as the query of the stream. A state is left out: a task that
    /// leaves it changes the page, too.
    pub(crate) fn watched(&self) -> String {
        let pairs = [
            ("name", &self.name),
            ("service", &self.service),
            ("creator", &self.creator),
            ("related", &self.related),
            ("session", &self.session),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.trim().is_empty());
        let pairs = pairs.map(|(name, value)| format!("{name}={}", encoded(value.trim())));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The same with another place in the list, as the query of a URL.
    pub(crate) fn at(&self, place: Place<'_>) -> String {
        let (cursor, before) = match place {
            Place::Beginning => ("", ""),
            Place::After(cursor) => (cursor, ""),
            Place::Before(cursor) => ("", cursor),
        };
        let pairs = [
            ("state", &*self.state),
            ("name", &self.name),
            ("service", &self.service),
            ("creator", &self.creator),
            ("identifier", &self.identifier),
            ("related", &self.related),
            ("root", &self.root),
            ("session", &self.session),
            ("q", &self.q),
            ("since", &self.since),
            ("until", &self.until),
            ("order", &self.order),
            ("cursor", cursor),
            ("before", before),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let pairs = pairs.map(|(name, value)| format!("{name}={}", encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// A place in a list, by the cursor of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Beginning,
    After(&'a str),
    Before(&'a str),
}

/// What a field asks for: nothing where it is empty.
pub(crate) fn asked(field: &str) -> Option<String> {
    let text = field.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The place in a list that a field names, if it does.
///
/// # Errors
/// When it names none.
pub(crate) fn place<T>(name: &str, field: &str) -> Result<Option<T>, Trouble>
where
    T: FromStr,
    T::Err: Display,
{
    let place = asked(field).map(|text| text.parse());
    place
        .transpose()
        .map_err(|error| Trouble::bad(format!("{name}: {error}")))
}

/// Text for a place in a URL.
pub(crate) fn encoded(text: &str) -> String {
    match askama::filters::urlencode_strict(text) {
        Ok(encoded) => encoded.to_string(),
        Err(never) => match never {},
    }
}

fn parse_state(text: &str) -> Result<TaskState, Trouble> {
    text.to_uppercase().parse().map_err(|_| {
        let known = TaskState::ALL.map(TaskState::as_str).join(", ");
        Trouble::bad(format!("state: {text:?} is none of {known}"))
    })
}

fn parse_related(text: &str) -> Result<(String, String), Trouble> {
    match text.split_once(':') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
            Ok((kind.to_owned(), id.to_owned()))
        }
        Some(_) | None => Err(Trouble::bad(format!(
            "related: {text:?} is not of the form type:id, for example project:17"
        ))),
    }
}

fn parse_time(field: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Trouble> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let ago = humantime::parse_duration(text).ok();
    let ago = ago.and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(|| {
        Trouble::bad(format!(
            "{field}: {text:?} is neither a time such as 2026-01-31T12:00:00Z nor so long ago, such as 2h or 7d"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &str) -> TaskQuery {
        let uri = format!("/?{pairs}").parse().expect("a URI");
        axum::extract::Query::try_from_uri(&uri).expect("a query").0
    }

    #[test]
    fn what_is_empty_asks_for_nothing_and_what_is_not_is_read() {
        let now = Utc::now();
        let all = query("state=&name=+&cursor=")
            .filter(50, now)
            .expect("good");
        assert_eq!(all, TaskFilter::default());
        let some = query("state=failure&related=project:17:a&since=2h&unknown=1");
        let some = some.filter(50, now).expect("good");
        assert_eq!(some.state, Some(TaskState::Failure));
        assert_eq!(
            some.related,
            Some(("project".to_owned(), "17:a".to_owned()))
        );
        assert_eq!(some.since, Some(now - TimeDelta::hours(2)));
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_its_name() {
        for (pairs, begins) in [
            ("state=DONE", "state: \"DONE\" is none of PENDING"),
            ("related=project", "related: "),
            ("since=yesterday", "since: "),
            ("since=99999999999999y", "since: "),
            ("cursor=x", "cursor: "),
        ] {
            let trouble = query(pairs).filter(50, Utc::now()).expect_err(pairs);
            assert!(trouble.detail.starts_with(begins), "{trouble:?}");
        }
    }

    #[test]
    fn a_query_survives_the_way_through_a_link() {
        let odd = query("name=a%26b%3D%22%3Cscript%3E&related=x:%20%2F%3F%23&state=FAILURE");
        let link = odd.at(Place::After("1-abc"));
        let mut again = query(&link);
        assert_eq!(std::mem::take(&mut again.cursor), "1-abc");
        assert_eq!(again, odd);
    }
}
