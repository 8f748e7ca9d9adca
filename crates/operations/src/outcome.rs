//! What becomes of each of many things to which the same is done.

use counterfoil_toolbox::error::ErrorChain;
use serde::Serialize;
use std::fmt;

/// What is done, in words.
///
/// ```
/// let words = counterfoil_operations::Words { things: ["task", "tasks"], done: "deleted" };
/// assert_eq!((words.count(1), words.count(2)), ("1 task".to_owned(), "2 tasks".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// One of the things, and several.
    pub things: [&'static str; 2],
    /// What they are afterwards: `deleted`.
    pub done: &'static str,
}

impl Words {
    /// `1 task`, `2 tasks`.
    #[must_use]
    pub fn count(self, count: usize) -> String {
        let [one, many] = self.things;
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Do,
    /// It is only said what would be done.
    DryRun,
}

/// What became of one of the things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with what else there is to say. With [`Mode::DryRun`]: it would be.
    Done(Option<String>),
    /// Somebody was asked to do it, and may be done with the thing before: who.
    Asked(String),
    /// Not done, and why.
    Failed(Objection),
}

impl Outcome {
    /// Not done, and why; there is nothing else that could be done.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(Objection::new(why))
    }

    /// Not done, because of that.
    pub(crate) fn failed_by(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::failed(ErrorChain(error).to_string())
    }
}

/// Why something is not done to a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The reason, as a sentence without its full stop: `it is SUCCESS already`.
    pub why: String,
    /// What can be done instead, where there is something.
    pub instead: Option<Instead>,
}

impl Objection {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            instead: None,
        }
    }

    pub(crate) fn instead(mut self, instead: Instead) -> Self {
        self.instead = Some(instead);
        self
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What can be done instead. How, every front end says in its own words: an option, a command, a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Running the task again although it is not over: [`Living::Allowed`](crate::tasks::Living::Allowed).
    RunLiving,
    /// Asking workers not to start the task, should one of this id come:
    /// [`Cancel::also_unheard`](crate::tasks::Cancel::also_unheard).
    KeepFromStarting,
    /// Discarding the message, or running its task again from the copy that the platform keeps.
    DiscardOrRerun,
    /// Running the task again from the copy that the platform keeps, or forgetting the record by discarding it.
    RerunOrForget,
}

/// Which one of the things it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// What it is found by.
    pub id: String,
    /// Id of the task on the wire, where there is a task.
    pub task_id: Option<String>,
    /// Type of that task.
    #[serde(rename = "type")]
    pub name: Option<String>,
}

impl Subject {
    /// An id that somebody chose and nothing has.
    #[must_use]
    pub fn nobodys(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            task_id: None,
            name: None,
        }
    }
}

/// One of the things, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which one.
    pub subject: Subject,
    /// What became of it.
    pub outcome: Outcome,
}

impl Told {
    pub(crate) const fn new(subject: Subject, outcome: Outcome) -> Self {
        Self { subject, outcome }
    }
}
