//! What became of the members of a chord, in the order of their results. Pure.

use super::unpickle::unpickle;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::chord::MOST_BYTES;
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::FromRow;
use std::ops::ControlFlow;

pub(crate) use counterfoil_toolbox::chord::Outcome;

/// Most bytes of results that are asked for: the broker takes no larger message.
pub(crate) const MOST_OF_CHORD: i64 = MOST_BYTES as i64;

/// What is told of a chord whose time is over, and that waits for this task.
pub(crate) fn late(task_id: &str) -> Outcome {
    Outcome::failed(format!(
        "its header was not over in time: task {task_id} was not"
    ))
}

/// What is known of a member.
#[derive(Debug, Default, FromRow)]
pub(crate) struct MemberRow {
    task_id: String,
    /// How many members there are.
    of_all: i64,
    state: Option<String>,
    worker: Option<String>,
    result: Option<String>,
    error_message: Option<String>,
    /// Why it is never sent.
    exception: Option<String>,
    /// What callers in Python are told.
    status: Option<String>,
    told: Option<Vec<u8>>,
}

/// What became of one member.
enum End {
    Success(Box<RawValue>),
    Failure {
        exception: Option<Value>,
        message: String,
    },
}

/// What became of all members, told one after the other in the order of their results.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    results: Vec<Box<RawValue>>,
    bytes: usize,
    /// How many members there are.
    of_all: usize,
    /// The others do not matter.
    failed: Option<Outcome>,
}

impl Ends {
    /// What became of the next member. Broken off: nothing more has to be known.
    pub(crate) fn add(&mut self, member: &MemberRow) -> ControlFlow<()> {
        self.of_all = usize::try_from(member.of_all).unwrap_or_default();
        match end(member) {
            End::Success(result) => {
                self.bytes = self.bytes.saturating_add(result.get().len());
                if self.bytes <= MOST_BYTES {
                    self.results.push(result);
                    return ControlFlow::Continue(());
                }
                self.failed = Some(Outcome::too_large());
            }
            End::Failure { exception, message } => {
                self.failed = Some(Outcome::Failed {
                    id: TaskId::new(&member.task_id).ok(),
                    exception,
                    message: message.into(),
                });
            }
        }
        ControlFlow::Break(())
    }

    /// Of those that were not told there were too many bytes.
    pub(crate) fn outcome(self) -> Outcome {
        match self.failed {
            Some(failed) => failed,
            None if self.results.len() < self.of_all => Outcome::too_large(),
            None => Outcome::Results(self.results),
        }
    }
}

/// What became of a member that is over.
fn end(member: &MemberRow) -> End {
    let state: Option<TaskState> = member.state.as_deref().and_then(|state| state.parse().ok());
    let state = state.filter(|state| state.is_terminal());
    let worker = member
        .worker
        .as_deref()
        .and_then(|id| WorkerId::new(id).ok());
    let is_ours = worker.is_some_and(|worker| worker.is_of_a_process());
    let told = || member.told.as_deref().and_then(read);
    let success = |json: Option<&str>| {
        let result = RawValue::from_string(json.unwrap_or("null").to_owned());
        result.map_or_else(|_| unreadable(), End::Success)
    };
    match (state, member.status.as_deref()) {
        // Of ours everything is known, of Celery's tasks what their workers wrote.
        (Some(TaskState::Success), _) if is_ours => success(member.result.as_deref()),
        (_, Some("SUCCESS")) => told().map_or_else(unreadable, |result| success(Some(&result))),
        (_, Some("FAILURE" | "REVOKED")) => {
            let exception = told().and_then(|json| serde_json::from_str(&json).ok());
            failure(member, exception)
        }
        (Some(TaskState::Success), _) => success(member.result.as_deref()),
        (Some(_), _) => failure(member, None),
        (None, _) => {
            let exception = member.exception.as_deref();
            failure(
                member,
                exception.and_then(|json| serde_json::from_str(json).ok()),
            )
        }
    }
}

fn unreadable() -> End {
    End::Failure {
        exception: None,
        message: "its result cannot be read: it is neither JSON nor a pickle of plain data"
            .to_owned(),
    }
}

fn failure(member: &MemberRow, exception: Option<Value>) -> End {
    let message = member.error_message.clone();
    let nothing_said = || match member.state {
        Some(_) => "it did not succeed".to_owned(),
        None => "nobody has heard of it".to_owned(),
    };
    End::Failure {
        exception,
        message: message.unwrap_or_else(nothing_said),
    }
}

/// A result of Celery's as JSON.
pub(super) fn read(result: &[u8]) -> Option<String> {
    match result.first()? {
        0x80 => unpickle(result),
        _ => {
            let text = std::str::from_utf8(result).ok()?;
            let facts = counterfoil_toolbox::message::json::inspect(text);
            let is_json = facts.depth <= counterfoil_toolbox::message::json::MAX_DEPTH
                // Python writes NaN, which is none, and Celery may be told to write YAML.
                && serde_json::from_str::<&RawValue>(text).is_ok();
            is_json.then(|| text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(members: &[MemberRow]) -> (String, usize) {
        let mut ends = Ends::default();
        let looked_at = members
            .iter()
            .take_while(|member| ends.add(member).is_continue());
        let looked_at = looked_at.count();
        let outcome = serde_json::to_string(&ends.outcome());
        (outcome.expect("JSON"), looked_at)
    }

    fn succeeded(result: &str) -> MemberRow {
        MemberRow {
            task_id: "t1".to_owned(),
            state: Some("SUCCESS".to_owned()),
            result: Some(result.to_owned()),
            ..MemberRow::default()
        }
    }

    #[test]
    fn results_are_as_they_were_and_the_first_failure_is_told_in_their_place() {
        let members = ["1", r#"{"a":1.10}"#].map(succeeded);
        let (outcome, _) = outcome_of(&members);
        assert_eq!(outcome, r#"{"results":[1,{"a":1.10}]}"#);

        let failed = MemberRow {
            task_id: "t2".to_owned(),
            state: Some("FAILURE".to_owned()),
            error_message: Some("no such project".to_owned()),
            ..MemberRow::default()
        };
        let (outcome, looked_at) = outcome_of(&[succeeded("1"), failed, succeeded("2")]);
        let wanted = r#"{"failed":{"id":"t2","exception":null,"message":"no such project"}}"#;
        assert_eq!((&*outcome, looked_at), (wanted, 1));
    }

    #[test]
    fn no_more_is_kept_of_results_than_a_message_holds() {
        let half = format!("\"{}\"", "x".repeat(MOST_BYTES / 2 - 2));
        let (outcome, _) = outcome_of(&[succeeded(&half), succeeded(&half)]);
        assert!(outcome.starts_with(r#"{"results":["x"#));
        let (outcome, looked_at) = outcome_of(&[
            succeeded(&half),
            succeeded(&half),
            succeeded("1"),
            succeeded("2"),
        ]);
        assert!(outcome.contains("more than 15 MiB"), "{outcome}");
        assert_eq!(looked_at, 2, "the last one does not matter");
    }

    #[test]
    fn of_whom_nobody_has_heard_that_is_said() {
        let unknown = MemberRow {
            task_id: "t3".to_owned(),
            ..MemberRow::default()
        };
        let (outcome, _) = outcome_of(&[unknown]);
        assert!(outcome.contains("nobody has heard of it"), "{outcome}");
    }
}
