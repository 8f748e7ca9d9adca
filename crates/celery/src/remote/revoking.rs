//! Tasks that somebody does not want any more.

use super::answer::{Raised, ok};
use super::arguments::Arguments;
use super::cut;
use super::panel::Panel;
use super::python::{repr, repr_set, repr_str};
use crate::json::header;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::HeaderValue;
use counterfoil_worker::extension::{HeldTask, Stage, WhileItRuns};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most values of stamps that one command may name.
const MOST_VALUES: usize = 50_000;

impl Panel {
    pub(super) fn revoked(&self) -> Value {
        let ids = self.inside.revoked();
        ids.iter().map(|id| Value::from(id.as_str())).collect()
    }

    /// Ids that were revoked on another worker.
    pub(super) fn merge_revoked(&self, ids: &[String]) {
        let ids = parsed(ids);
        if !ids.is_empty() {
            self.inside.revoke(&ids, WhileItRuns::GoesOn);
        }
    }

    pub(super) fn revoke(&self, arguments: &Arguments) -> Result<Value, Raised> {
        if !arguments.0.contains_key("task_id") {
            return Err(Raised::missing("revoke", "task_id"));
        }
        let ids = arguments.texts("task_id");
        match arguments.is_true("terminate") {
            true => Ok(self.revoke_and_end(&ids)),
            false => {
                self.inside.revoke(&parsed(&ids), WhileItRuns::GoesOn);
                let ids = repr_set(ids.iter().map(String::as_str));
                tracing::info!(what = cut(&ids), "tasks are revoked by remote control");
                Ok(ok(format!("tasks {ids} flagged as revoked")))
            }
        }
    }

    /// The tasks that a command of this name has revoked and that do not run here: whoever waits for their results need not
    /// wait until somebody takes their messages.
    pub(super) fn revoked_by(&self, method: &str, arguments: &Arguments) -> Vec<TaskId> {
        if !matches!(method, "revoke" | "terminate") {
            return Vec::new();
        }
        let mut ids = parsed(&arguments.texts("task_id"));
        let running: BTreeSet<_> = self.running();
        ids.retain(|id| !running.contains(id));
        ids
    }

    /// Ids of the tasks that run.
    fn running(&self) -> BTreeSet<TaskId> {
        let tasks = self.inside.tasks();
        let running = tasks
            .iter()
            .filter(|task| matches!(task.stage(), Stage::Runs(_) | Stage::HasEnded));
        running.map(|task| task.envelope().id.clone()).collect()
    }

    pub(super) fn terminate(&self, arguments: &Arguments) -> Result<Value, Raised> {
        for argument in ["signal", "task_id"] {
            if !arguments.0.contains_key(argument) {
                return Err(Raised::missing("terminate", argument));
            }
        }
        Ok(self.revoke_and_end(&arguments.texts("task_id")))
    }

    fn revoke_and_end(&self, ids: &[String]) -> Value {
        let in_hand = self.inside.revoke(&parsed(ids), WhileItRuns::IsEnded);
        let ids = in_hand.iter().map(|task| task.envelope().id.as_str());
        let in_hand: Vec<_> = ids.collect();
        let what = in_hand.join(", ");
        match in_hand.is_empty() {
            true => ok("terminate: tasks unknown"),
            false => {
                tracing::info!(what = cut(&what), "tasks are ended by remote control");
                ok(format!("terminate: {what}"))
            }
        }
    }

    pub(super) fn revoke_by_stamped_headers(&self, arguments: &Arguments) -> Result<Value, Raised> {
        let headers = arguments.get("headers");
        let headers =
            headers.ok_or_else(|| Raised::missing("revoke_by_stamped_headers", "headers"))?;
        let headers = stamps(headers)?;
        let values = headers.values().map(|values| listed(values).len().max(1));
        let asked: usize = values.sum();
        if asked > MOST_VALUES {
            return Err(Raised::value_error(&format!(
                "{asked} values of stamps are more than the {MOST_VALUES} that a worker remembers: revoke fewer"
            )));
        }
        for (stamp, values) in &headers {
            let values: Vec<_> = listed(values).iter().map(header).collect();
            self.inside.revoke_stamped(stamp, &values);
        }
        let said = repr(&Value::Object(headers.clone()));
        tracing::info!(
            what = cut(&said),
            "tasks of some stamps are revoked by remote control"
        );
        if !arguments.is_true("terminate") {
            return Ok(ok(format!(
                "headers {said} flagged as revoked, but not terminated"
            )));
        }
        let mut ended = Vec::new();
        let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let tasks = self.inside.tasks();
        let running = tasks
            .iter()
            .filter(|task| matches!(task.stage(), Stage::Runs(_)));
        // Once for all tasks: there may be many values, and nothing else is done meanwhile.
        let wanted = headers
            .iter()
            .map(|(stamp, values)| (stamp, listed(values).iter().collect::<HashSet<_>>()));
        let wanted: Vec<_> = wanted.collect();
        for task in running {
            for (stamp, wanted) in &wanted {
                let matching = matching(task, stamp, wanted);
                if !matching.is_empty() {
                    found.entry(stamp).or_default().extend(matching);
                    ended.push(task.clone());
                }
            }
        }
        if ended.is_empty() {
            return Ok(ok(format!("headers {said} were not terminated")));
        }
        self.inside.terminate(&ended);
        let found = found.into_iter().map(|(stamp, values)| {
            let values: Vec<_> = values.into_iter().collect();
            format!("{}: {{{}}}", repr_str(stamp), values.join(", "))
        });
        let found: Vec<_> = found.collect();
        Ok(ok(format!(
            "headers defaultdict(<class 'set'>, {{{}}}) revoked",
            found.join(", ")
        )))
    }
}

/// The values under a stamp of a task that are among `wanted`, as Python prints them.
fn matching(task: &HeldTask, stamp: &str, wanted: &HashSet<&Value>) -> Vec<String> {
    let Some(HeaderValue::Table(stamps)) = task.envelope().extra.get("stamps") else {
        return Vec::new();
    };
    let found = stamps.get(stamp).map(HeaderValue::to_json);
    let found = found.as_ref().map(listed).unwrap_or_default();
    let both = found.iter().filter(|value| wanted.contains(value));
    both.map(repr).collect()
}

/// Stamps with their values, also from texts like `stamp=value`.
fn stamps(headers: &Value) -> Result<Map<String, Value>, Raised> {
    match headers {
        Value::Object(headers) => Ok(headers.clone()),
        Value::Array(texts) => {
            let pair = |text: &Value| {
                let mut parts = text.as_str().unwrap_or_default().split('=');
                let (stamp, value) = (parts.next(), parts.next());
                let pair = stamp.zip(value);
                pair.map(|(stamp, value)| (stamp.to_owned(), Value::from(value)))
            };
            let pairs: Option<_> = texts.iter().map(pair).collect();
            pairs.ok_or_else(Raised::index_error)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Raised::type_error("headers are stamps with their values"))
        }
    }
}

fn listed(values: &Value) -> &[Value] {
    match values {
        Value::Array(values) => values,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(values)
        }
    }
}

/// What can be ids of tasks.
fn parsed(ids: &[String]) -> Vec<TaskId> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}
