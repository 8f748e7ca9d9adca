//! A fault as the exception that Python raises because of it.

use counterfoil_toolbox::event::{Exception, FaultKind, TaskFault};
use counterfoil_toolbox::message::Envelope;
use serde_json::{Value, json};

/// Exceptions of Celery and of what it is built on.
const CELERY: &str = "celery.exceptions";
const BILLIARD: &str = "billiard.exceptions";
const KOMBU: &str = "kombu.exceptions";
/// Of ours: no Python has it, so Celery makes up classes of these names.
const OURS: &str = "counterfoil";

/// The exception of a task that failed, was cancelled or is retried. `was_started`: its handler was.
pub(crate) fn raised(fault: &TaskFault, task: &Envelope, was_started: bool) -> Exception {
    if let Some(exception) = &fault.exception {
        return (**exception).clone();
    }
    let of =
        |module: &str, name: &str, args: Vec<Value>| Exception::new(name, args).of_module(module);
    let told = || vec![Value::from(&*fault.message)];
    match fault.kind {
        FaultKind::Exception | FaultKind::Exhausted | FaultKind::Replaced => {
            of(OURS, "TaskError", told())
        }
        FaultKind::Panic => of(OURS, "Panic", told()),
        FaultKind::TimeLimit => {
            let limit = task.time_limits.hard.map(|limit| limit.as_secs_f64());
            let args = limit.map_or_else(told, |seconds| vec![seconds_of(seconds)]);
            of(BILLIARD, "TimeLimitExceeded", args)
        }
        FaultKind::WorkerCrashed | FaultKind::WorkerLost | FaultKind::MessageLost => {
            of(BILLIARD, "WorkerLostError", told())
        }
        FaultKind::UnknownTask => {
            let name = Value::from(task.name.as_str());
            of(CELERY, "NotRegistered", vec![name])
        }
        FaultKind::BadArguments => of("builtins", "TypeError", told()),
        FaultKind::Undecodable => of(KOMBU, "DecodeError", told()),
        FaultKind::ResultTooLarge => of(KOMBU, "EncodeError", told()),
        FaultKind::Rejected | FaultKind::QueueFull => {
            of(CELERY, "Reject", vec![told().remove(0), false.into()])
        }
        FaultKind::Expired => of(CELERY, "TaskRevokedError", vec!["expired".into()]),
        FaultKind::Cancelled | FaultKind::Aborted | FaultKind::SessionTimeout => {
            let how = if was_started { "terminated" } else { "revoked" };
            of(CELERY, "TaskRevokedError", vec![how.into()])
        }
    }
}

/// As Celery stores it.
pub(crate) fn to_json(exception: &Exception) -> Value {
    json!({
        "exc_type": exception.name,
        "exc_message": exception.args,
        "exc_module": exception.module,
    })
}

/// Whole seconds as a whole number, as Python's callers give them.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a whole number of seconds below 2^53, as a time limit is"
)]
fn seconds_of(seconds: f64) -> Value {
    match seconds.fract() == 0.0 && seconds.abs() < 1e15 {
        true => Value::from(seconds as i64),
        false => Value::from(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn exception(kind: FaultKind, was_started: bool) -> Value {
        let mut task = Envelope::new(
            "t1".parse().expect("valid"),
            "no.such.task".parse().expect("valid"),
        );
        task.time_limits.hard = Some(Duration::from_secs(1));
        to_json(&raised(&TaskFault::new(kind, "nope"), &task, was_started))
    }

    /// The left sides are what Celery 5.7 answered in these cases.
    #[test]
    fn a_fault_has_the_exception_that_celery_has_for_it() {
        for (wanted, found) in [
            (
                json!({"exc_type": "NotRegistered", "exc_message": ["no.such.task"], "exc_module": "celery.exceptions"}),
                exception(FaultKind::UnknownTask, false),
            ),
            (
                json!({"exc_type": "TimeLimitExceeded", "exc_message": [1], "exc_module": "billiard.exceptions"}),
                exception(FaultKind::TimeLimit, true),
            ),
            (
                json!({"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"}),
                exception(FaultKind::Expired, false),
            ),
            (
                json!({"exc_type": "TaskRevokedError", "exc_message": ["terminated"], "exc_module": "celery.exceptions"}),
                exception(FaultKind::Cancelled, true),
            ),
            (
                json!({"exc_type": "Reject", "exc_message": ["nope", false], "exc_module": "celery.exceptions"}),
                exception(FaultKind::Rejected, true),
            ),
        ] {
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn what_a_handler_raised_itself_stays_as_it_is() {
        let raised_by_handler = Exception::new("MyErr", ["custom"]).of_module("tasks");
        let fault = TaskFault {
            exception: Some(Box::new(raised_by_handler)),
            ..TaskFault::new(
                FaultKind::Exhausted,
                "after 3 retries (exception): MyErr: custom",
            )
        };
        let task = Envelope::new("t1".parse().expect("valid"), "a.b".parse().expect("valid"));
        assert_eq!(
            to_json(&raised(&fault, &task, true)),
            json!({"exc_type": "MyErr", "exc_message": ["custom"], "exc_module": "tasks"})
        );
    }
}
