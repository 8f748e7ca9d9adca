//! How a session ends: its status and its finalizer's message. Pure.

use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::session::{
    ErrorPolicy, Finalizer, SessionStatus, SessionSummary, SubtaskSummary,
};
use sqlx::FromRow;

/// Bytes of all results together up to which a finalizer gets them with its summary.
pub(crate) const MOST_RESULT_BYTES: i64 = 256 * 1024;

/// An open session whose subtasks are all over.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Complete {
    pub(crate) id: String,
    pub(crate) action: String,
    #[sqlx(try_from = "String")]
    pub(crate) status: SessionStatus,
    pub(crate) policy: String,
    pub(crate) timed_out: bool,
    pub(crate) total: i32,
    pub(crate) succeeded: i32,
    pub(crate) failed: i32,
    pub(crate) skipped: i32,
    pub(crate) retried_counted: i32,
    pub(crate) retried_uncounted: i32,
    pub(crate) finalizer: String,
    pub(crate) duration_ms: i64,
}

/// How one of its subtasks ended.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct End {
    pub(crate) task_id: String,
    #[sqlx(rename = "type")]
    pub(crate) name: String,
    #[sqlx(try_from = "String")]
    pub(crate) status: TaskState,
    pub(crate) error_kind: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) left_out: bool,
}

/// What it is now, and what is published. `None` instead of the message: somebody changed the row so that
/// nobody can read its finalizer.
pub(crate) fn end_of(
    session: &Complete,
    ends: Vec<End>,
) -> (SessionStatus, Option<(RoutingKey, Content)>) {
    let policy = if session.policy == ErrorPolicy::Fail.as_str() {
        ErrorPolicy::Fail
    } else {
        ErrorPolicy::Complete
    };
    let status = session
        .status
        .ended(session.timed_out, session.failed, policy);
    let finalizer = serde_json::from_str::<Finalizer>(&session.finalizer).ok();
    let message = finalizer.map(|finalizer| {
        let summary = summary(session, status, ends);
        let json = serde_json::to_string(&summary).expect("a summary is JSON");
        finalizer.message(&json)
    });
    (status, message)
}

fn summary(session: &Complete, status: SessionStatus, ends: Vec<End>) -> SessionSummary {
    SessionSummary {
        id: session.id.clone(),
        action: session.action.clone(),
        status,
        total: session.total,
        succeeded: session.succeeded,
        failed: session.failed,
        skipped: session.skipped,
        retried_counted: session.retried_counted,
        retried_uncounted: session.retried_uncounted,
        duration_ms: session.duration_ms,
        results_left_out: ends.iter().any(|end| end.left_out)
            || ends.len() > SessionSummary::MOST_LISTED,
        subtasks: if ends.len() > SessionSummary::MOST_LISTED {
            Vec::new()
        } else {
            ends.into_iter().map(subtask).collect()
        },
    }
}

fn subtask(end: End) -> SubtaskSummary {
    let result = end.result.as_deref().map(serde_json::from_str);
    SubtaskSummary {
        id: end.task_id,
        task: end.name,
        state: end.status,
        result: result.and_then(Result::ok),
        error_kind: end.error_kind,
        error_message: end.error_message,
    }
}
