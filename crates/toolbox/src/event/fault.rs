//! Why a task did not succeed.

use crate::text::InvalidText;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Why a task failed, was retried or was revoked. [`sending_id`](crate::sent::sending_id) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFault {
    /// The class of the error, for filters and statistics.
    pub kind: FaultKind,
    /// One line for people.
    pub message: String,
    /// Chain of causes or backtrace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
    /// The error as callers in Python get it. Absent: they get one by its `kind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Box<Exception>>,
}

impl TaskFault {
    /// A fault without traceback.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            traceback: None,
            exception: None,
        }
    }
}

/// An error as Python raises it, by its class: what a caller in Python catches by name.
///
/// A handler fails with it as with any error; who reads the task's fault sees `name: arguments`. A class that the
/// caller has not imported is made up by Celery under this name.
///
/// ```
/// use counterfoil_toolbox::event::Exception;
///
/// let error = Exception::new("ValueError", ["no such page"]).of_module("builtins");
/// assert_eq!(error.to_string(), "ValueError: no such page");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Name of its class.
    pub name: Box<str>,
    /// Module of its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<Box<str>>,
    /// What it is made with.
    #[serde(default)]
    pub args: Vec<Value>,
}

impl Exception {
    /// One of a class that no module has.
    #[must_use]
    pub fn new<V: Into<Value>>(name: &str, args: impl IntoIterator<Item = V>) -> Self {
        Self {
            name: name.into(),
            module: None,
            args: args.into_iter().map(Into::into).collect(),
        }
    }

    /// The same, of a class of this module.
    #[must_use]
    pub fn of_module(mut self, module: &str) -> Self {
        self.module = Some(module.into());
        self
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (n, arg) in self.args.iter().enumerate() {
            f.write_str(if n == 0 { ": " } else { ", " })?;
            match arg.as_str() {
                Some(text) => f.write_str(text)?,
                None => write!(f, "{arg}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Exception {}

/// Classes of errors of a task. [`sending_id`](crate::sent::sending_id) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The handler returned an error.
    Exception,
    /// The handler panicked.
    Panic,
    /// The handler ran longer than its hard time limit.
    TimeLimit,
    /// The broker gave up: every delivery of the message ended with a lost worker.
    WorkerCrashed,
    /// An early-acked task's worker vanished.
    WorkerLost,
    /// Its message was in no queue any more: somebody purged or deleted that.
    MessageLost,
    /// No worker of the service knows the task's name.
    UnknownTask,
    /// The arguments do not fit the task.
    BadArguments,
    /// The message is not a task message.
    Undecodable,
    /// The handler's result is larger than the limit, or cannot be written as JSON.
    ResultTooLarge,
    /// The last of the allowed retries failed.
    Exhausted,
    /// The handler sent the message to the dead queue.
    Rejected,
    /// No failure: another task goes on in its place, under its id.
    Replaced,
    /// The session ran out of time.
    SessionTimeout,
    /// Revoked: its time to live ended before it started.
    Expired,
    /// Revoked: somebody cancelled it.
    Cancelled,
    /// Revoked: its session was aborted.
    Aborted,
    /// Rejected: the queue was full.
    QueueFull,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::Exception,
        Self::Panic,
        Self::TimeLimit,
        Self::WorkerCrashed,
        Self::WorkerLost,
        Self::MessageLost,
        Self::UnknownTask,
        Self::BadArguments,
        Self::Undecodable,
        Self::ResultTooLarge,
        Self::Exhausted,
        Self::Rejected,
        Self::Replaced,
        Self::SessionTimeout,
        Self::Expired,
        Self::Cancelled,
        Self::Aborted,
        Self::QueueFull,
    ];

    /// The name on the wire, in the database, and as the reason of a dead letter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Panic => "panic",
            Self::TimeLimit => "time_limit",
            Self::WorkerCrashed => "worker_crashed",
            Self::WorkerLost => "worker_lost",
            Self::MessageLost => "message_lost",
            Self::UnknownTask => "unknown_task",
            Self::BadArguments => "bad_arguments",
            Self::Undecodable => "undecodable",
            Self::ResultTooLarge => "result_too_large",
            Self::Exhausted => "exhausted",
            Self::Rejected => "rejected",
            Self::Replaced => "replaced",
            Self::SessionTimeout => "session_timeout",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Aborted => "aborted",
            Self::QueueFull => "queue_full",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for FaultKind {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidText::new("error kind", text, "no kind has this name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_error_kinds_on_the_wire_are_those_in_the_database() {
        for kind in FaultKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("writes"), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }

    #[test]
    fn an_exception_is_told_by_its_name_and_arguments() {
        assert_eq!(Exception::new::<&str>("Boom", []).to_string(), "Boom");
        let two = Exception::new("Boom", [Value::from("a"), 2.into()]);
        assert_eq!(two.to_string(), "Boom: a, 2");
    }
}
