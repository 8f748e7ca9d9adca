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

/// Longest body of a finalizer's message: the broker takes no more than 16 MiB.
const MOST_BYTES: usize = 15 * 1024 * 1024;

/// What is left of the text of an error where all of them are too long.
const MOST_OF_AN_ERROR: usize = 100;

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
    pub(crate) revoked: i32,
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

impl Complete {
    /// `None`: somebody changed the row so that nobody can read it.
    pub(crate) fn finalizer(&self) -> Option<Finalizer> {
        serde_json::from_str(&self.finalizer).ok()
    }
}

/// What it is now, and what is published. `ends`: of its subtasks, where the finalizer takes a summary.
pub(crate) fn end_of(
    session: &Complete,
    finalizer: Option<&Finalizer>,
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
    let message = finalizer.map(|finalizer| fitting(finalizer, summary(session, status, ends)));
    (status, message)
}

/// The finalizer's message, with as much of the summary as fits.
fn fitting(finalizer: &Finalizer, mut summary: SessionSummary) -> (RoutingKey, Content) {
    for shorten in [cut_errors, leave_out_subtasks] {
        let message = message(finalizer, &summary);
        if message.1.body.len() <= MOST_BYTES {
            return message;
        }
        shorten(&mut summary);
    }
    message(finalizer, &summary)
}

fn message(finalizer: &Finalizer, summary: &SessionSummary) -> (RoutingKey, Content) {
    finalizer.message(&serde_json::to_string(summary).expect("a summary is JSON"))
}

fn cut_errors(summary: &mut SessionSummary) {
    for subtask in &mut summary.subtasks {
        if let Some(text) = &mut subtask.error_message {
            text.truncate(text.floor_char_boundary(MOST_OF_AN_ERROR));
        }
    }
}

fn leave_out_subtasks(summary: &mut SessionSummary) {
    summary.subtasks = Vec::new();
    summary.results_left_out = true;
}

fn summary(session: &Complete, status: SessionStatus, ends: Vec<End>) -> SessionSummary {
    SessionSummary {
        id: session.id.clone(),
        action: session.action.clone(),
        status,
        total: session.total,
        succeeded: session.succeeded,
        failed: session.failed,
        revoked: session.revoked,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(failures: usize, kwargs: &str) -> SessionSummary {
        let session = Complete {
            id: "s1".to_owned(),
            action: "harvest".to_owned(),
            status: SessionStatus::Ongoing,
            policy: "complete".to_owned(),
            timed_out: false,
            total: 1,
            succeeded: 0,
            failed: 1,
            revoked: 0,
            skipped: 0,
            retried_counted: 0,
            retried_uncounted: 0,
            finalizer: format!(
                r#"{{"id":"f","task":"demo.end","args":[],"kwargs":{{"k":"{kwargs}"}},"takes_summary":true}}"#
            ),
            duration_ms: 0,
        };
        let end = End {
            task_id: "t".to_owned(),
            name: "demo.add".to_owned(),
            status: TaskState::Failure,
            error_kind: None,
            error_message: Some("é".repeat(2000)),
            result: None,
            left_out: false,
        };
        let (_, message) = end_of(&session, session.finalizer().as_ref(), vec![end; failures]);
        let (_, content) = message.expect("a finalizer");
        assert!(content.body.len() <= MOST_BYTES, "{}", content.body.len());
        let (_, kwargs, _): (serde_json::Value, serde_json::Value, serde_json::Value) =
            serde_json::from_slice(&content.body).expect("a body");
        serde_json::from_value(kwargs["session"].clone()).expect("a summary")
    }

    #[test]
    fn a_finalizer_fits_a_message_whatever_its_subtasks_failed_with() {
        let whole = ended(10, "");
        let text = whole.subtasks[9].error_message.as_deref();
        assert_eq!(text.map(str::len), Some(4000));
        let cut = ended(10_000, "");
        let text = cut.subtasks[9999].error_message.as_deref();
        assert_eq!(text.map(str::len), Some(MOST_OF_AN_ERROR));
        let none = ended(20_000, &"x".repeat(13 * 1024 * 1024));
        assert!(none.subtasks.is_empty() && none.results_left_out);
    }
}
