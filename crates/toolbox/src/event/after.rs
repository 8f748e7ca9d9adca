//! What a worker says of what comes after a task.

use super::Exception;
use crate::ids::TaskId;
use crate::names::TaskName;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What comes after a task, for those who look at results as Celery keeps them in a database.
///
/// ```
/// use counterfoil_toolbox::event::{After, SkippedStep};
///
/// let mail = SkippedStep::new("t2".parse()?, "mail.send".parse()?);
/// let after = After { skipped: vec![mail], ..After::default() }; // t2 will never run
/// assert!(!after.is_nothing());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct After {
    /// What was called because it succeeded, as Celery writes results down: a list of `[[id, null], members]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Box<RawValue>>,
    /// Tasks that were to follow and will never be sent: whoever waits for one waits in vain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedStep>,
    /// Why they are not. Absent: because of the fault of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Box<Exception>>,
}

/// A task that will never be sent. [`After`] has an example.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SkippedStep {
    /// The id that it was to have.
    pub id: TaskId,
    /// Its type.
    pub task: TaskName,
    /// Arguments by position that it was to have beside the result of the step before: a JSON array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Box<RawValue>>,
    /// Arguments by keyword: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kwargs: Option<Box<RawValue>>,
}

impl After {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.children.is_none() && self.skipped.is_empty() && self.because.is_none()
    }
}

impl SkippedStep {
    /// One of whose arguments nothing is said.
    #[must_use]
    pub const fn new(id: TaskId, task: TaskName) -> Self {
        Self {
            id,
            task,
            args: None,
            kwargs: None,
        }
    }
}

impl PartialEq for SkippedStep {
    /// Arguments are compared as texts.
    fn eq(&self, other: &Self) -> bool {
        let text = |json: &Option<Box<RawValue>>| json.as_ref().map(|json| json.get().to_owned());
        (&self.id, &self.task) == (&other.id, &other.task)
            && text(&self.args) == text(&other.args)
            && text(&self.kwargs) == text(&other.kwargs)
    }
}
