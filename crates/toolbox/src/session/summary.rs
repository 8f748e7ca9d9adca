//! What a finalizer is told of its session.

use super::status::SessionStatus;
use crate::state::TaskState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a session ended: the argument `session` of its finalizer.
///
/// ```
/// use counterfoil_toolbox::TaskState;
/// use counterfoil_toolbox::session::SessionSummary;
///
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Publish {
///     catalogue: String,
///     session: Option<SessionSummary>, // filled in by the platform
/// }
///
/// /// What its handler does with it.
/// fn missing(task: &Publish) -> Vec<&str> {
///     let subtasks = task.session.iter().flat_map(|session| &session.subtasks);
///     subtasks.filter(|it| it.state != TaskState::Success).map(|it| &*it.id).collect()
/// }
/// # let session = Some(SessionSummary::default());
/// # assert!(missing(&Publish { catalogue: String::new(), session }).is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct SessionSummary {
    /// Id of the session.
    pub id: String,
    /// What the session was for.
    pub action: String,
    /// How it ended.
    pub status: SessionStatus,
    /// How many subtasks it had.
    pub total: i32,
    /// Those that succeeded, the skipped ones included.
    pub succeeded: i32,
    /// Those that failed, were revoked or rejected, or did not end in time.
    pub failed: i32,
    /// Those of them that were revoked: cancelled, expired, or not run because the session was aborted.
    #[serde(default)]
    pub revoked: i32,
    /// Those that succeeded because there was nothing to do.
    pub skipped: i32,
    /// Retries that used up one of a subtask's retries.
    pub retried_counted: i32,
    /// Other retries.
    pub retried_uncounted: i32,
    /// Milliseconds from the opening to the end, by the clock of the database.
    pub duration_ms: i64,
    /// The subtasks, in the order of the session. Empty where there are more than
    /// [`MOST_LISTED`](Self::MOST_LISTED).
    #[serde(default)]
    pub subtasks: Vec<SubtaskSummary>,
    /// Whether results were left out because all of them together take more than 256 KiB. They are read by
    /// task id then: from the table `task_result`, or by `counterfoil task show`.
    #[serde(default)]
    pub results_left_out: bool,
}

impl SessionSummary {
    /// Most subtasks that a summary lists.
    pub const MOST_LISTED: usize = 20_000;
}

/// How a subtask ended. [`SessionSummary`] has an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubtaskSummary {
    /// Id of the task.
    pub id: String,
    /// Type of the task.
    pub task: String,
    /// Its state: one of those that end a task.
    #[schemars(with = "String")]
    pub state: TaskState,
    /// SUCCESS: what its handler returned, unless [left out](SessionSummary::results_left_out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Kind of error: see [`FaultKind`](crate::event::FaultKind).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// One line about the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}
