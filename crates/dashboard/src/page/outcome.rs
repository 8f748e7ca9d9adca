//! What became of many things, or of one that did not go as it was meant.

use super::dead::public_ids;
use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::App;
use crate::shown::{grouped, visible};
use crate::trail::Came;
use crate::trouble::Trouble;
use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use counterfoil_operations::{Outcome, Told, Words};
use std::collections::BTreeMap;

/// Outcomes that are listed one by one.
const LISTED: usize = 200;

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) told: Vec<Told>,
    /// Why it could not be done to others that match, and to how many.
    pub(crate) left_out: BTreeMap<String, usize>,
    /// What else people should know.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Template)]
#[template(path = "outcome.html")]
struct OutcomePage {
    layout: Layout,
    title: String,
    lines: Vec<Line>,
    more: usize,
    warnings: Vec<String>,
    left_out: Vec<(String, String)>,
    back: String,
}

#[derive(Debug)]
struct Line {
    /// Public id of its task, where there is a row of it.
    id: Option<String>,
    name: String,
    word: &'static str,
    class: &'static str,
    detail: String,
}

impl Done {
    /// Whether all of it was done, and there is nothing else to say.
    pub(crate) fn is_all(&self) -> bool {
        let (_, asked, failed) = self.counts();
        asked == 0 && failed == 0 && self.warnings.is_empty()
    }

    /// To how many it was done, of how many it was asked, and to how many it could not be done.
    fn counts(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for told in &self.told {
            match told.outcome {
                Outcome::Done(_) => counts.0 += 1,
                Outcome::Asked(_) => counts.1 += 1,
                Outcome::Failed(_) => counts.2 += 1,
            }
        }
        counts
    }

    /// The answer to whoever did it: the way on where all of it was done, and else the page that tells what was not.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub(crate) fn answer(
        &self,
        visitor: &Visitor,
        words: Words,
        here: &'static str,
        back: String,
    ) -> Result<Response, Trouble> {
        if !(self.is_all() && self.told.len() == 1) {
            return self.listed(visitor, words, here, back);
        }
        let mut response = Redirect::to(&back).into_response();
        response.extensions_mut().insert(self.came());
        Ok(response)
    }

    /// The page that tells it, whatever came of it.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub(crate) fn listed(
        &self,
        visitor: &Visitor,
        words: Words,
        here: &'static str,
        back: String,
    ) -> Result<Response, Trouble> {
        let mut response = self.page(visitor, words, here, back)?.into_response();
        response.extensions_mut().insert(self.came());
        Ok(response)
    }

    /// Tells of tasks by their public ids: ids on the wire are nobody's business here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn by_public_ids(&mut self, app: &App) -> Result<(), Trouble> {
        let ids = self.told.iter();
        let ids = ids.filter_map(|told| told.subject.task_id.as_deref());
        let public = public_ids(app, ids).await?;
        for told in &mut self.told {
            // What names no task keeps the id of its record.
            if let Some(id) = told.subject.task_id.take() {
                told.subject.task_id = public.get(&id).cloned();
                told.subject.id = told.subject.task_id.clone().unwrap_or_default();
            }
        }
        Ok(())
    }

    /// What came of it, for the trail.
    pub(crate) fn came(&self) -> Came {
        let (ended, asked, failed) = self.counts();
        if self.is_all() && ended == 1 {
            return Came("done".to_owned());
        }
        let whys = self.told.iter().filter_map(|told| match &told.outcome {
            Outcome::Failed(why) => Some(format!("; {why}")),
            Outcome::Done(_) | Outcome::Asked(_) => None,
        });
        let why: String = whys.take(1).collect();
        // The first thing that went wrong besides.
        let besides = self.warnings.first().map(|text| format!("; {text}"));
        let besides = besides.unwrap_or_default();
        Came(format!(
            "{ended} done, {asked} asked, {failed} not done{why}{besides}"
        ))
    }

    /// The page that tells it. `here` is the entry of the navigation, `back` where people go on.
    fn page(&self, visitor: &Visitor, words: Words, here: &'static str, back: String) -> Answer {
        let (ended, asked, failed) = self.counts();
        let mut title = format!("{} {}", words.count(ended), words.done);
        if asked > 0 {
            title.push_str(&format!(", {} asked to stop", count(asked)));
        }
        if failed > 0 {
            title.push_str(&format!(", {} not", count(failed)));
        }
        // What went wrong is what people look for.
        let is_bad = |told: &&Told| matches!(told.outcome, Outcome::Failed(_));
        let (bad, good): (Vec<_>, Vec<_>) = self.told.iter().partition(is_bad);
        let listed = bad.into_iter().chain(good).take(LISTED);
        render(&OutcomePage {
            layout: Layout::new(visitor, here, words.done),
            title,
            lines: listed.map(|told| line(told, words.done)).collect(),
            more: self.told.len().saturating_sub(LISTED),
            warnings: self.warnings.iter().map(|text| visible(text)).collect(),
            left_out: left_out(&self.left_out),
            back,
        })
    }
}

/// To how many it cannot be done, and why.
pub(super) fn left_out(left_out: &BTreeMap<String, usize>) -> Vec<(String, String)> {
    let each = left_out.iter();
    each.map(|(why, many)| (count(*many), visible(why)))
        .collect()
}

fn line(told: &Told, done: &'static str) -> Line {
    let (word, class, detail) = match &told.outcome {
        Outcome::Done(detail) => (done, "good", detail.clone().unwrap_or_default()),
        Outcome::Asked(whom) => ("asked", "running", whom.clone()),
        Outcome::Failed(why) => ("not done", "bad", why.to_string()),
    };
    let subject = &told.subject;
    Line {
        // Any id of a task leads to it.
        id: subject.task_id.as_ref().map(|_| subject.id.clone()),
        name: visible(subject.name.as_deref().unwrap_or(&subject.id)),
        word,
        class,
        detail: visible(&detail),
    }
}

fn count(count: usize) -> String {
    grouped(i64::try_from(count).unwrap_or(i64::MAX))
}
