//! What is said about an id.

use serde::Serialize;

/// Where a task is, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// A word for programs: `waiting`, `running`, `held`…
    pub place: &'static str,
    /// The answer, in one sentence.
    pub answer: String,
    /// What goes with it.
    pub details: Vec<String>,
    /// What can be done, each as one sentence or as a command to type.
    pub remedies: Vec<String>,
}

/// The place of an id that nobody has heard of.
pub(super) const UNKNOWN: &str = "unknown";

impl Explanation {
    /// Whether nobody has heard of the id.
    #[must_use]
    pub fn is_of_nobody(&self) -> bool {
        self.place == UNKNOWN
    }

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
