//! A fault as the exception that Python raises because of it.

use super::{Exception, FaultKind, TaskFault};
use crate::names::TaskName;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;

/// Exceptions of Celery and of what it is built on.
const CELERY: &str = "celery.exceptions";
const BILLIARD: &str = "billiard.exceptions";
const KOMBU: &str = "kombu.exceptions";
/// Of ours: no Python has it, so Celery makes up classes of these names.
const OURS: &str = "counterfoil";

impl Exception {
    /// What a task raised that failed, was cancelled or is retried: what its handler failed with, or what stands for it
    /// in Celery.
    ///
    /// ```
    /// use counterfoil_toolbox::event::{Exception, FaultKind, Raiser, TaskFault};
    ///
    /// let task = "mail.send".parse()?;
    /// let raiser = Raiser { task: &task, hard_limit: None, was_started: false };
    /// let exception = Exception::of_fault(&TaskFault::new(FaultKind::Cancelled, "by ada"), raiser);
    /// assert_eq!(exception.to_string(), "TaskRevokedError: revoked");
    /// assert_eq!(exception.to_celery()["exc_module"], "celery.exceptions");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of_fault(fault: &TaskFault, by: Raiser<'_>) -> Self {
        match &fault.exception {
            Some(exception) => (**exception).clone(),
            None => made_up(fault, by),
        }
    }

    /// A task that was ended at its time limit.
    #[must_use]
    pub fn of_time_limit(limit: Duration) -> Self {
        Self::new("TimeLimitExceeded", [seconds_of(limit.as_secs_f64())]).of_module(BILLIARD)
    }

    /// One that Celery stored. `None`: it is none.
    #[must_use]
    pub fn of_celery(stored: &Value) -> Option<Self> {
        let said = &stored["exc_message"];
        let args = said.as_array().cloned();
        let args = args.unwrap_or_else(|| vec![said.clone()]);
        Some(Self {
            name: stored["exc_type"].as_str()?.into(),
            module: stored["exc_module"].as_str().map(Into::into),
            args,
        })
    }

    /// As Celery stores it.
    #[must_use]
    pub fn to_celery(&self) -> Value {
        json!({
            "exc_type": self.name,
            "exc_message": self.args,
            "exc_module": self.module,
        })
    }
}

impl TaskFault {
    /// What stands where Python tells the traceback of an exception that the code of a task raised: the exception alone,
    /// where no more is known. `None`: no code of a task did.
    #[must_use]
    pub fn traceback_of(&self, raised: &Exception) -> Option<Cow<'_, str>> {
        match self.kind {
            FaultKind::Exception
            | FaultKind::Exhausted
            | FaultKind::Panic
            | FaultKind::BadArguments => Some(match self.traceback.as_deref() {
                Some(traceback) => traceback.into(),
                None => raised.to_string().into(),
            }),
            FaultKind::TimeLimit
            | FaultKind::WorkerCrashed
            | FaultKind::WorkerLost
            | FaultKind::MessageLost
            | FaultKind::UnknownTask
            | FaultKind::Undecodable
            | FaultKind::ResultTooLarge
            | FaultKind::Rejected
            | FaultKind::Replaced
            | FaultKind::SessionTimeout
            | FaultKind::Expired
            | FaultKind::Cancelled
            | FaultKind::Aborted
            | FaultKind::QueueFull => None,
        }
    }
}

/// The task that raises. [`Exception::of_fault`] has an example.
#[derive(Debug, Clone, Copy)]
pub struct Raiser<'a> {
    /// Its type.
    pub task: &'a TaskName,
    /// Its hard time limit, where its message says it.
    pub hard_limit: Option<Duration>,
    /// Whether its handler was started.
    pub was_started: bool,
}

fn made_up(fault: &TaskFault, by: Raiser<'_>) -> Exception {
    let of =
        |module: &str, name: &str, args: Vec<Value>| Exception::new(name, args).of_module(module);
    let told = || vec![Value::from(&*fault.message)];
    match fault.kind {
        FaultKind::Exception | FaultKind::Exhausted | FaultKind::Replaced => {
            of(OURS, "TaskError", told())
        }
        FaultKind::Panic => of(OURS, "Panic", told()),
        FaultKind::TimeLimit => {
            let limit = by.hard_limit.map(Exception::of_time_limit);
            limit.unwrap_or_else(|| of(BILLIARD, "TimeLimitExceeded", told()))
        }
        FaultKind::WorkerCrashed | FaultKind::WorkerLost | FaultKind::MessageLost => {
            of(BILLIARD, "WorkerLostError", told())
        }
        FaultKind::UnknownTask => {
            let name = Value::from(by.task.as_str());
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
            let how = if by.was_started {
                "terminated"
            } else {
                "revoked"
            };
            of(CELERY, "TaskRevokedError", vec![how.into()])
        }
    }
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

    fn raiser(task: &TaskName, was_started: bool) -> Raiser<'_> {
        Raiser {
            task,
            hard_limit: Some(Duration::from_secs(1)),
            was_started,
        }
    }

    fn exception(kind: FaultKind, was_started: bool) -> Value {
        let task = "no.such.task".parse().expect("valid");
        let raiser = raiser(&task, was_started);
        Exception::of_fault(&TaskFault::new(kind, "nope"), raiser).to_celery()
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
    fn what_celery_stored_reads_back() {
        let error = Exception::new("ValueError", [Value::from("it's"), 1.into()]).of_module("m");
        assert_eq!(Exception::of_celery(&error.to_celery()), Some(error));
        assert_eq!(Exception::of_celery(&json!({"exc_message": "x"})), None);
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
        let task = "a.b".parse().expect("valid");
        assert_eq!(
            Exception::of_fault(&fault, raiser(&task, true)).to_celery(),
            json!({"exc_type": "MyErr", "exc_message": ["custom"], "exc_module": "tasks"})
        );
    }
}
