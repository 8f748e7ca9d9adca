//! What somebody watches.

use super::Rows;
use super::tick::{Fact, News, Tick, events};
use axum::body::Bytes;
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::IntoParams;

/// What somebody watches. Everything that is said must hold; what is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Interest {
    /// The task with this public id.
    pub(crate) task: String,
    /// Tasks of the family of the task with this public id.
    pub(crate) family: String,
    /// Tasks of this session, and the session itself.
    pub(crate) session: String,
    /// Tasks of this type.
    pub(crate) name: String,
    /// Tasks that this service owns.
    pub(crate) service: String,
    /// Tasks in this state now.
    pub(crate) state: String,
    /// Tasks that this user wanted.
    pub(crate) creator: String,
    /// Tasks about this object: `type:id`.
    pub(crate) related: String,
    /// After this position: the `id` of an event, or that of a page. Default: from now on.
    pub(crate) since: String,
    /// Only that something changed, without what.
    pub(crate) brief: bool,
}

impl Interest {
    /// What is sent of a tick; `None`: nothing. `root` is the first task of the family that is watched, by its
    /// id on the wire.
    pub(super) fn told(&self, tick: &Tick, root: Option<&str>) -> Option<Bytes> {
        match tick {
            Tick::Reload { position } => Some(reload(Some(position))),
            Tick::Outage(why) => Some(outage(why)),
            Tick::Changed(news) => self.of_news(news, root),
        }
    }

    /// What has to be known of what changed.
    pub(super) fn needs(&self) -> Rows {
        match self.brief && self.is_everything() {
            true => Rows::Spared,
            false => Rows::Read,
        }
    }

    fn of_news(&self, news: &News, root: Option<&str>) -> Option<Bytes> {
        let brief = |count: usize| {
            let position = &news.position;
            let text = format!("id: {position}\nevent: changed\ndata: {{\"changed\":{count}}}\n\n");
            Bytes::from(text)
        };
        if self.needs() == Rows::Spared {
            return Some(brief(news.count));
        }
        // Whoever came while that was looked at.
        let Some(facts) = &news.tasks else {
            return Some(reload(Some(&news.position)));
        };
        if self.is_everything() {
            return Some(news.whole.clone());
        }
        let is_wanted = |fact: &&Fact| self.wants(fact, root);
        let tasks: Vec<&Fact> = facts.iter().filter(is_wanted).collect();
        let sessions = news.sessions.iter();
        let sessions: BTreeSet<_> = sessions
            .filter(|id| **id == self.session)
            .cloned()
            .collect();
        let deleted = news.deleted.iter();
        let is_watched = |id: &&String| **id == self.task || **id == self.family;
        let deleted: BTreeSet<_> = deleted.filter(is_watched).cloned().collect();
        match (tasks.len() + sessions.len() + deleted.len(), self.brief) {
            (0, _) => None,
            (count, true) => Some(brief(count)),
            (_, false) => Some(events(&news.position, tasks, &sessions, &deleted).into()),
        }
    }

    fn is_everything(&self) -> bool {
        let all = Self {
            brief: self.brief,
            since: self.since.clone(),
            ..Self::default()
        };
        *self == all
    }

    fn wants(&self, fact: &Fact, root: Option<&str>) -> bool {
        let is = |wanted: &str, has: Option<&str>| wanted.is_empty() || has == Some(wanted);
        let related = match self.related.split_once(':') {
            None => self.related.is_empty(),
            Some((kind, id)) => {
                let has = fact.related.as_ref();
                has.is_some_and(|has| has.0 == kind && has.1 == id)
            }
        };
        let is_member = || {
            let first = fact.root_id.as_deref().unwrap_or(&fact.task_id);
            root.is_some_and(|root| root == first || root == fact.task_id)
        };
        related
            && is(&self.task, Some(&fact.id))
            && (self.family.is_empty() || is_member())
            && is(&self.session, fact.session.as_deref())
            && is(&self.name, Some(&fact.name))
            && is(&self.service, Some(&fact.service))
            && (self.state.is_empty() || self.state.eq_ignore_ascii_case(fact.state))
            && is(&self.creator, fact.creator.as_deref())
    }
}

/// Everything that is shown is to be read anew.
pub(super) fn reload(position: Option<&str>) -> Bytes {
    let id = position.map_or(String::new(), |position| format!("id: {position}\n"));
    format!("{id}event: reload\ndata: {{}}\n\n").into()
}

/// Nothing can be said for now.
fn outage(why: &str) -> Bytes {
    let told = serde_json::json!({ "detail": why });
    format!("event: outage\ndata: {told}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_store::Changed;

    fn told(interest: &Interest) -> String {
        let changed = Changed {
            tasks: ["one", "other"].map(str::to_owned).into(),
            sessions: BTreeSet::new(),
            deleted: BTreeSet::new(),
            position: ".7:7:".parse().expect("a position"),
        };
        let tick = Tick::Changed(News::new(changed, None));
        let told = interest.told(&tick, None).expect("something");
        String::from_utf8(told.into()).expect("text")
    }

    #[test]
    fn without_rows_it_is_told_how_much_changed_and_whoever_needs_more_reads_it() {
        let brief = Interest {
            brief: true,
            ..Interest::default()
        };
        assert_eq!(
            told(&brief),
            "id: .7:7:\nevent: changed\ndata: {\"changed\":2}\n\n"
        );
        let of_service = Interest {
            service: "demo".to_owned(),
            ..brief
        };
        for interest in [of_service, Interest::default()] {
            assert_eq!(interest.needs(), Rows::Read);
            assert_eq!(told(&interest), "id: .7:7:\nevent: reload\ndata: {}\n\n");
        }
    }
}
