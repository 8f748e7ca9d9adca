//! What is said about an id.

use serde::Serialize;

/// Where a task is, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Explanation {
    /// A word for programs: `waiting`, `running`, `held`…
    pub(super) place: &'static str,
    /// The answer, in one sentence.
    pub(super) answer: String,
    /// What goes with it.
    pub(super) details: Vec<String>,
    /// What can be done.
    pub(super) remedies: Vec<String>,
}

impl Explanation {
    pub(super) fn new(place: &'static str, answer: impl Into<String>) -> Self {
        Self {
            place,
            answer: answer.into(),
            details: Vec::new(),
            remedies: Vec::new(),
        }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }

    pub(super) fn details_of(mut self, details: Option<String>) -> Self {
        self.details.extend(details);
        self
    }

    pub(super) fn remedies_of(mut self, remedies: Option<String>) -> Self {
        self.remedies.extend(remedies);
        self
    }
}
