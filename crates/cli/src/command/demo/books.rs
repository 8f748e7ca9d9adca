//! What was sent against what was mirrored.

use super::producers::Sent;
use crate::text::plain;
use counterfoil_store::record::{ParkedRow, TaskRow};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::QueueName;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What the database knows of one task.
pub(super) struct Found<'a> {
    pub(super) sent: &'a Sent,
    pub(super) row: Option<TaskRow>,
    /// What its handler returned; read only when that is known beforehand.
    pub(super) result: Option<Value>,
    pub(super) children: Vec<TaskRow>,
}

/// Tasks of one name in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) name: String,
    pub(super) state: TaskState,
    pub(super) expected: usize,
    pub(super) mirrored: usize,
}

/// A task, or a message, that is not where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unaccounted {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    #[serde(rename = "type")]
    name: String,
    problem: String,
}

/// All lines, and everything that does not fit.
#[derive(Debug, Default)]
pub(super) struct Books {
    lines: Vec<Line>,
    unaccounted: Vec<Unaccounted>,
}

impl Books {
    /// Compares every task with its row.
    pub(super) fn balance(found: &[Found<'_>]) -> Self {
        let mut lines: BTreeMap<(String, TaskState), (usize, usize)> = BTreeMap::new();
        let mut unaccounted = Vec::new();
        for task in found {
            let planned = &task.sent.planned;
            let name = planned.task.name.to_string();
            lines.entry((name.clone(), planned.expected)).or_default().0 += 1;
            lines.entry((name, TaskState::Success)).or_default().0 += planned.children;
            for row in task.row.iter().chain(&task.children) {
                lines.entry((row.name.clone(), row.state)).or_default().1 += 1;
            }
            unaccounted.extend(problem(task).map(|problem| Unaccounted {
                task_id: Some(task.sent.id.to_string()),
                name: planned.task.name.to_string(),
                problem,
            }));
        }
        lines.retain(|_, (expected, mirrored)| *expected + *mirrored > 0);
        let lines = lines
            .into_iter()
            .map(|((name, state), (expected, mirrored))| Line {
                name,
                state,
                expected,
                mirrored,
            });
        Self {
            lines: lines.collect(),
            unaccounted,
        }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(super) fn unaccounted(&self) -> &[Unaccounted] {
        &self.unaccounted
    }

    /// Adds what was found outside of the rows.
    pub(super) fn add_leftovers(&mut self, leftovers: Vec<Unaccounted>) {
        self.unaccounted.extend(leftovers);
    }
}

/// What is wrong with one task, if anything is.
fn problem(task: &Found<'_>) -> Option<String> {
    let planned = &task.sent.planned;
    let expected = planned.expected;
    let Some(row) = &task.row else {
        return Some(format!("expected {expected}, was never mirrored"));
    };
    if row.state != expected {
        let why = row.error_message.as_deref().unwrap_or("no reason given");
        return Some(format!("expected {expected}, is {} ({why})", row.state));
    }
    if let Some(kind) = planned.fault
        && row.error_kind.as_deref() != Some(kind.as_str())
    {
        let is = row.error_kind.as_deref().unwrap_or("none");
        return Some(format!("expected the error {kind}, is {is}"));
    }
    if planned.result.is_some() && planned.result != task.result {
        return Some("its result is not the expected one".to_owned());
    }
    let ended = |child: &&TaskRow| child.state == TaskState::Success;
    let children = task.children.iter().filter(ended).count();
    (children != planned.children || task.children.len() != planned.children).then(|| {
        let (all, of) = (task.children.len(), planned.children);
        format!("expected {of} children with SUCCESS, has {children} of {all}")
    })
}

impl Unaccounted {
    pub(super) fn parked(row: &ParkedRow) -> Self {
        Self {
            task_id: row.task_id.clone(),
            name: row.name.clone().unwrap_or_default(),
            problem: format!("parked in the database: {}", row.reason),
        }
    }

    pub(super) fn waiting(queue: &QueueName, ready: u32) -> Self {
        Self {
            task_id: None,
            name: String::new(),
            problem: format!("{ready} messages wait in queue {queue}"),
        }
    }
}

impl fmt::Display for Unaccounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.task_id {
            write!(f, "{} {}: ", plain(id), plain(&self.name))?;
        }
        f.write_str(&plain(&self.problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_demo::scenario::plan;
    use counterfoil_testkit::task_row;
    use counterfoil_toolbox::ids::TaskId;

    fn row(id: &TaskId, name: &str, state: TaskState) -> TaskRow {
        TaskRow {
            task_id: id.clone(),
            name: name.to_owned(),
            ..task_row(state)
        }
    }

    /// Everything as it should be.
    fn ideal(sent: &Sent) -> Found<'_> {
        let planned = &sent.planned;
        let mut own = row(&sent.id, planned.task.name.as_str(), planned.expected);
        own.error_kind = planned.fault.map(|kind| kind.to_string());
        let child = |_| row(&TaskId::random(), "demo.tree", TaskState::Success);
        Found {
            sent,
            row: Some(own),
            result: planned.result.clone(),
            children: (0..planned.children).map(child).collect(),
        }
    }

    fn sent() -> Vec<Sent> {
        let sent = |planned| Sent {
            id: TaskId::random(),
            planned,
        };
        plan(30).into_iter().map(sent).collect()
    }

    #[test]
    fn books_balance_when_every_task_and_child_is_where_it_belongs() {
        let sent = sent();
        let found: Vec<_> = sent.iter().map(ideal).collect();
        let books = Books::balance(&found);
        assert_eq!(books.unaccounted(), []);
        let balanced = |line: &Line| line.expected == line.mirrored;
        assert!(books.lines().iter().all(balanced), "{:?}", books.lines());
        let all: usize = books.lines().iter().map(|line| line.mirrored).sum();
        assert_eq!(
            all,
            30 + sent.iter().map(|s| s.planned.children).sum::<usize>()
        );
    }

    #[test]
    fn each_way_in_which_a_task_can_be_missing_is_told_with_its_id() {
        let sent = sent();
        type Harm = fn(&mut Found<'_>);
        let damage: [(&str, Harm); 5] = [
            ("was never mirrored", |found| found.row = None),
            ("expected SUCCESS, is STARTED", |found| {
                if let Some(row) = &mut found.row {
                    row.state = TaskState::Started;
                }
            }),
            ("its result is not the expected one", |found| {
                found.result = None
            }),
            ("children with SUCCESS, has", |found| {
                drop(found.children.pop())
            }),
            ("children with SUCCESS, has", |found| {
                found.children[0].state = TaskState::Pending;
            }),
        ];
        for (problem, harm) in damage {
            let has_children = |s: &&Sent| s.planned.children > 0 && s.planned.result.is_some();
            let victim = sent.iter().find(has_children).expect("a tree is planned");
            let mut found = ideal(victim);
            harm(&mut found);
            let books = Books::balance(&[found]);
            let told = books.unaccounted().iter().map(ToString::to_string);
            let told: Vec<_> = told.collect();
            assert_eq!(told.len(), 1, "{problem}");
            assert!(
                told[0].starts_with(victim.id.as_str()) && told[0].contains(problem),
                "{told:?}"
            );
        }
    }

    #[test]
    fn the_wrong_kind_of_error_is_told_too() {
        let sent = sent();
        let failing = |s: &&Sent| s.planned.fault.is_some();
        let victim = sent.iter().find(failing).expect("failures are planned");
        let mut found = ideal(victim);
        found.row.as_mut().expect("ideal").error_kind = Some("panic".to_owned());
        let books = Books::balance(&[found]);
        assert!(books.unaccounted()[0].to_string().ends_with("is panic"));
    }
}
