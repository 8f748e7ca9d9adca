//! What becomes of a task after an execution. Pure: time and chance come in as arguments.

use crate::ended::Ended;
use crate::extension::Replacement;
use crate::panic::PanicNote;
use crate::retry::SHORTEST;
use crate::task_error::{TaskError, Verdict};
use crate::traceback::traceback;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::delay::MAX_DELAY;
use counterfoil_toolbox::event::{Exception, FaultKind, TaskFault};
use counterfoil_toolbox::message::{Payload, json};
use counterfoil_toolbox::task::TaskOptions;
use serde_json::value::RawValue;
use std::time::Duration;

/// Executions that a message can count. More would be refused by whoever reads it.
const MAX_EXECUTIONS: i32 = 1_000_000;

/// Shortest waits before uncounted retries, whatever the handler says: no limit ends them, so one
/// that always asks to be called at once must not keep a worker and a broker busy.
const UNCOUNTED: Backoff = Backoff {
    first: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(1),
    jitter: false,
};

/// Longest message of a fault, in bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// Longest backtrace, in bytes.
const MAX_TRACEBACK: usize = 64 * 1024;

/// Somebody cancelled a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Who, if that is known.
    pub(crate) by: Option<Box<str>>,
    /// What was cancelled.
    pub(crate) what: Cancelled,
    /// Whether its handler had been started.
    pub(crate) ran: bool,
}

/// What somebody cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The task, or its family.
    Task,
    /// The session that it is part of.
    Session,
    /// A session whose subtasks it was sending.
    Opening,
}

/// What the decision depends on, beside how the execution ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// How the task is retried.
    pub(crate) options: &'a TaskOptions,
    /// How many retries its sender allows; `None`: as many as its options.
    pub(crate) max_retries: Option<u32>,
    /// Counted retries so far.
    pub(crate) retries: i32,
    /// Retries so far, counted or not.
    pub(crate) executions: i32,
    /// Largest output, in bytes.
    pub(crate) max_result_bytes: usize,
    /// The handlers have been asked to leave.
    pub(crate) is_leaving: bool,
    /// Somebody has cancelled the task.
    pub(crate) revoked: Option<&'a Revocation>,
    /// A random number in `0.0..1.0`.
    pub(crate) chance: f64,
}

/// What becomes of the task.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// SUCCESS with this output; `None`: null.
    Done(Option<Box<RawValue>>),
    /// SUCCESS: there was nothing to do.
    Skipped(String),
    /// It runs again after `delay`.
    RetryIn {
        delay: Duration,
        counted: bool,
        fault: TaskFault,
        /// With these arguments. `None`: with those that it had.
        arguments: Option<Box<Payload>>,
    },
    /// Others go on in its place.
    Replaced(Replacement),
    /// It has not been tried: it comes again after this, as it is.
    Later(Duration),
    /// The same, at the broker in any case, and due when it was due before.
    HeldBack(Duration),
    /// FAILURE, and the message is kept in the dead queue.
    Dead(TaskFault),
    /// FAILURE.
    Failed(TaskFault),
    /// REVOKED.
    Revoked(TaskFault),
    /// The message goes back to its queue, as if it had not been here.
    HandBack,
    /// The message is at its queue already: whoever gets it next runs it.
    LetGo,
}

impl Outcome {
    /// A retry with other arguments, if it is one.
    fn with_arguments(mut self, anew: Option<Box<Payload>>) -> Self {
        if let Self::RetryIn { arguments, .. } = &mut self {
            *arguments = anew;
        }
        self
    }

    /// Whether a message may be sent that goes on with the task.
    pub(crate) fn sends_on(&self) -> bool {
        match self {
            Self::Later(wait) => *wait >= SHORTEST,
            Self::RetryIn { .. }
            | Self::Replaced(_)
            | Self::Dead(_)
            | Self::HeldBack(_)
            | Self::HandBack => true,
            Self::Done(_) | Self::Skipped(_) | Self::Failed(_) | Self::Revoked(_) | Self::LetGo => {
                false
            }
        }
    }
}

/// Decides what becomes of a task.
pub(crate) fn decide(ended: Ended, facts: Facts<'_>) -> Outcome {
    // Handlers that were asked to leave may fail because of it.
    if let Some(by) = facts.revoked.filter(|_| ended.is_failure()) {
        return Outcome::Revoked(revoked(by));
    }
    match ended {
        Ended::Output(output) => match refuse_output(output.as_deref(), facts.max_result_bytes) {
            None => Outcome::Done(output),
            Some(why) => Outcome::Dead(fault(FaultKind::ResultTooLarge, &why)),
        },
        Ended::Unwritable(why) => {
            let why = format!("the result cannot be written as JSON: {why}");
            Outcome::Dead(fault(FaultKind::ResultTooLarge, &why))
        }
        Ended::Error(error) => match error.into_replacement() {
            Ok(replacement) => Outcome::Replaced(replacement),
            Err(mut error) => {
                let anew = error.arguments.take();
                after_error(&error, facts).with_arguments(anew)
            }
        },
        Ended::Panicked(_) | Ended::TimedOut(_) if facts.is_leaving => Outcome::HandBack,
        Ended::Panicked(note) => retry(None, true, panic_fault(note), facts),
        Ended::TimedOut(limit) => {
            let why = format!("it was ended at its time limit of {limit:?}");
            let fault = TaskFault {
                exception: Some(Box::new(Exception::of_time_limit(limit))),
                ..fault(FaultKind::TimeLimit, &why)
            };
            retry(None, true, fault, facts)
        }
        Ended::Unknown(why) => Outcome::Dead(fault(FaultKind::UnknownTask, &why)),
        Ended::BadArguments(why) => Outcome::Dead(fault(FaultKind::BadArguments, &why)),
        Ended::Undecodable(why) => Outcome::Dead(fault(FaultKind::Undecodable, &why)),
        Ended::Refused(why) => Outcome::Dead(fault(FaultKind::Rejected, &why)),
        Ended::Expired => {
            let why = "it expired before it was started";
            Outcome::Revoked(fault(FaultKind::Expired, why))
        }
        Ended::LostTooOften(times) => {
            let why = format!("its worker vanished while it ran, {times} times");
            Outcome::Dead(fault(FaultKind::WorkerLost, &why))
        }
        Ended::CrashedTooOften(times) => {
            let why = format!("{times} deliveries in a row ended with a lost worker");
            Outcome::Dead(fault(FaultKind::WorkerCrashed, &why))
        }
        Ended::TooEarly(wait) | Ended::Limited(wait) | Ended::NoToken(wait) => {
            Outcome::Later(wait.min(MAX_DELAY))
        }
        Ended::Revoked(by) => Outcome::Revoked(revoked(&by)),
        Ended::HeldBack(wait) => Outcome::HeldBack(wait),
        Ended::Dispossessed if facts.is_leaving => Outcome::HandBack,
        Ended::Dispossessed => {
            let why = "its worker lost the connection to the broker, and others run in its place";
            let fault = fault(FaultKind::WorkerLost, why);
            retry(Some(Duration::ZERO), false, fault, facts)
        }
        Ended::Lost => Outcome::LetGo,
        Ended::Stopped => Outcome::HandBack,
    }
}

fn after_error(error: &TaskError, facts: Facts<'_>) -> Outcome {
    let text = error.to_string();
    let raised = || TaskFault {
        exception: error.exception().and_then(told),
        traceback: traceback(&*error.cause).map(|text| cut(&text, MAX_TRACEBACK)),
        ..fault(FaultKind::Exception, &text)
    };
    match &error.verdict {
        Verdict::Retry { .. } if facts.is_leaving => Outcome::HandBack,
        Verdict::Retry { delay, counted } => retry(*delay, *counted, raised(), facts),
        // Unpacked by whoever runs the handler, or by whoever asks, so the last two are not seen here.
        Verdict::Fail | Verdict::Returned(_) | Verdict::Replaced(_) => Outcome::Failed(raised()),
        Verdict::Reject => Outcome::Dead(fault(FaultKind::Rejected, &text)),
        Verdict::Skip => Outcome::Skipped(cut(&text, MAX_MESSAGE)),
    }
}

/// The exception as it is told: one that is too large to be told is left to its text.
fn told(exception: &Exception) -> Option<Box<Exception>> {
    let json = serde_json::to_string(exception).ok()?;
    let is_small = json.len() <= MAX_TRACEBACK && json::inspect(&json).storable().is_ok();
    is_small.then(|| Box::new(exception.clone()))
}

fn retry(delay: Option<Duration>, counted: bool, fault: TaskFault, facts: Facts<'_>) -> Outcome {
    let retries = u32::try_from(facts.retries).unwrap_or(0);
    let allowed = facts.max_retries.unwrap_or(facts.options.max_retries);
    if (counted && retries >= allowed) || facts.executions >= MAX_EXECUTIONS {
        return Outcome::Dead(exhausted(fault, facts));
    }
    let wait = || facts.options.backoff.wait(retries, facts.chance);
    let delay = delay.unwrap_or_else(wait).min(MAX_DELAY);
    let uncounted = facts.executions.saturating_sub(facts.retries);
    Outcome::RetryIn {
        delay: if counted {
            delay
        } else {
            delay.max(UNCOUNTED.wait(u32::try_from(uncounted).unwrap_or(0), 0.0))
        },
        counted,
        fault,
        arguments: None,
    }
}

/// The fault of a task that is not retried any more, with the kind of its last error. A task that
/// was never retried has exhausted nothing: its error stands as it is.
fn exhausted(fault: TaskFault, facts: Facts<'_>) -> TaskFault {
    let after = match facts.executions {
        ..=0 => return fault,
        1 => "after 1 retry".to_owned(),
        n => format!("after {n} retries"),
    };
    TaskFault {
        kind: FaultKind::Exhausted,
        message: format!("{after} ({}): {}", fault.kind, fault.message),
        traceback: fault.traceback,
        exception: fault.exception,
    }
}

/// Why an output cannot be recorded; `None`: it can.
fn refuse_output(output: Option<&RawValue>, max_bytes: usize) -> Option<String> {
    let json = output?.get();
    if json.len() > max_bytes {
        let len = json.len();
        return Some(format!(
            "the result is {len} bytes long; at most {max_bytes} are kept"
        ));
    }
    let facts = json::inspect(json);
    let why = facts.storable().err()?;
    Some(format!("the result cannot be stored: {why}"))
}

fn panic_fault(note: PanicNote) -> TaskFault {
    let place = note.location.map(|place| format!(" at {place}"));
    let text = format!("panicked{}: {}", place.unwrap_or_default(), note.message);
    TaskFault {
        traceback: note.backtrace.map(|text| cut(&text, MAX_TRACEBACK)),
        ..fault(FaultKind::Panic, &text)
    }
}

fn revoked(revocation: &Revocation) -> TaskFault {
    let by = revocation.by.as_deref();
    let by = by.map_or(String::new(), |by| format!(" by {by}"));
    let when = if revocation.ran {
        "while it ran"
    } else {
        "before it was started"
    };
    let (kind, what) = match revocation.what {
        Cancelled::Task => (FaultKind::Cancelled, "it was cancelled"),
        Cancelled::Session => (FaultKind::Aborted, "its session was ended"),
        Cancelled::Opening => (
            FaultKind::Aborted,
            "the session that it was opening was aborted",
        ),
    };
    fault(kind, &format!("{what}{by} {when}"))
}

fn fault(kind: FaultKind, text: &str) -> TaskFault {
    TaskFault::new(kind, cut(text, MAX_MESSAGE))
}

/// `text`, at most `max` bytes of it, without NUL, which no database column holds.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let end = text.floor_char_boundary(max);
    text[..end].replace('\0', "\u{fffd}")
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
