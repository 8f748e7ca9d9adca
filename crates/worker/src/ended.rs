//! How executions end.

use crate::outcome::Revocation;
use crate::panic::PanicNote;
use crate::task_error::{TaskError, Verdict};
use serde_json::value::RawValue;
use std::time::Duration;

/// How an execution ended, or why there was none.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The handler returned this; `None`: null.
    Output(Option<Box<RawValue>>),
    /// The handler gave up.
    Error(TaskError),
    /// The handler panicked.
    Panicked(PanicNote),
    /// The handler was ended at its time limit.
    TimedOut(Duration),
    /// The output cannot be written as JSON.
    Unwritable(String),
    /// Not run: no handler has the task's name.
    Unknown(String),
    /// Not run: the arguments do not fit.
    BadArguments(String),
    /// Not run: the body is no task.
    Undecodable(String),
    /// Not run: the message goes around the broker's permissions.
    Refused(String),
    /// Not run: its time was over.
    Expired,
    /// Not run: so many workers have vanished with it, and that is too many.
    LostTooOften(i32),
    /// Not run: so many deliveries of it have ended with a lost worker, and that is too many.
    CrashedTooOften(i32),
    /// Not run: it is due only after this.
    TooEarly(Duration),
    /// Not run: too many of its type run, or have begun lately. It asks again after this.
    Limited(Duration),
    /// Not run, or ended before it was done: somebody cancelled it.
    Revoked(Revocation),
    /// Not run: somebody holds it back. It is looked at again after this.
    HeldBack(Duration),
    /// Not run: as many run as may, over all workers. It asks again after this.
    NoToken(Duration),
    /// Ended before it was done: others may run in its place, by the token that this worker lost.
    Dispossessed,
    /// Not run: its delivery was lost while it waited, and it has not been delivered here again.
    Lost,
    /// Not run, or ended before it was done: the worker stops, or takes nothing of its queue for now.
    Stopped,
}

impl Ended {
    /// Whether a handler came to its end by itself.
    pub(crate) fn is_by_handler(&self) -> bool {
        matches!(
            self,
            Self::Output(_) | Self::Error(_) | Self::Panicked(_) | Self::Unwritable(_)
        )
    }

    /// One word for how a handler failed that was started, for its span.
    pub(crate) fn failed_how(&self) -> Option<&'static str> {
        if matches!(self, Self::Panicked(_)) {
            Some("panic")
        } else if matches!(self, Self::TimedOut(_)) {
            Some("time_limit")
        } else if matches!(self, Self::Unwritable(_)) {
            Some("result_invalid")
        } else if matches!(self, Self::Error(error) if matches!(error.verdict, Verdict::Replaced(_)))
        {
            None
        } else {
            self.is_failure().then_some("error")
        }
    }

    /// Whether a handler was started and did not succeed.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Error(error) => !matches!(error.verdict, Verdict::Skip),
            Self::Panicked(_) | Self::TimedOut(_) | Self::Dispossessed => true,
            Self::Output(_)
            | Self::Unwritable(_)
            | Self::Unknown(_)
            | Self::BadArguments(_)
            | Self::Undecodable(_)
            | Self::Refused(_)
            | Self::Expired
            | Self::LostTooOften(_)
            | Self::CrashedTooOften(_)
            | Self::TooEarly(_)
            | Self::Limited(_)
            | Self::NoToken(_)
            | Self::Revoked(_)
            | Self::HeldBack(_)
            | Self::Lost
            | Self::Stopped => false,
        }
    }
}
