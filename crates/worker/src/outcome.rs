//! What becomes of a task after an execution. Pure: time and chance come in as arguments.

use crate::panic::PanicNote;
use crate::task_error::{TaskError, Verdict};
use counterfoil_toolbox::delay::MAX_DELAY;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::message::json;
use counterfoil_toolbox::task::TaskOptions;
use serde_json::value::RawValue;
use std::time::Duration;

/// Executions that a message can count. More would be refused by whoever reads it.
const MAX_EXECUTIONS: i32 = 1_000_000;

/// Longest message of a fault, in bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// Longest backtrace, in bytes.
const MAX_TRACEBACK: usize = 64 * 1024;

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
    /// Not run: it is due only after this.
    TooEarly(Duration),
    /// Not run, or ended before it was done: the worker stops.
    Stopped,
}

/// What the decision depends on, beside how the execution ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// How the task is retried.
    pub(crate) options: &'a TaskOptions,
    /// Counted retries so far.
    pub(crate) retries: i32,
    /// Retries so far, counted or not.
    pub(crate) executions: i32,
    /// Largest output, in bytes.
    pub(crate) max_result_bytes: usize,
    /// The handlers have been asked to leave.
    pub(crate) is_leaving: bool,
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
    },
    /// It has not been tried: it comes again after this, as it is.
    Later(Duration),
    /// FAILURE, and the message is kept in the dead queue.
    Dead(TaskFault),
    /// FAILURE.
    Failed(TaskFault),
    /// REVOKED.
    Revoked(TaskFault),
    /// The message goes back to its queue, as if it had not been here.
    HandBack,
}

/// Decides what becomes of a task.
pub(crate) fn decide(ended: Ended, facts: Facts<'_>) -> Outcome {
    match ended {
        Ended::Output(output) => match refuse_output(output.as_deref(), facts.max_result_bytes) {
            None => Outcome::Done(output),
            Some(why) => Outcome::Dead(fault(FaultKind::ResultTooLarge, &why)),
        },
        Ended::Unwritable(why) => {
            let why = format!("the result cannot be written as JSON: {why}");
            Outcome::Dead(fault(FaultKind::ResultTooLarge, &why))
        }
        Ended::Error(error) => after_error(&error, facts),
        // Handlers that were asked to leave may fail because of it.
        Ended::Panicked(_) | Ended::TimedOut(_) if facts.is_leaving => Outcome::HandBack,
        Ended::Panicked(note) => retry(None, true, panic_fault(note), facts),
        Ended::TimedOut(limit) => {
            let why = format!("it was ended at its time limit of {limit:?}");
            retry(None, true, fault(FaultKind::TimeLimit, &why), facts)
        }
        Ended::Unknown(why) => Outcome::Dead(fault(FaultKind::UnknownTask, &why)),
        Ended::BadArguments(why) => Outcome::Dead(fault(FaultKind::BadArguments, &why)),
        Ended::Undecodable(why) => Outcome::Dead(fault(FaultKind::Undecodable, &why)),
        Ended::Refused(why) => Outcome::Dead(fault(FaultKind::Rejected, &why)),
        Ended::Expired => {
            let why = "it expired before it was started";
            Outcome::Revoked(fault(FaultKind::Expired, why))
        }
        Ended::TooEarly(wait) => Outcome::Later(wait.min(MAX_DELAY)),
        Ended::Stopped => Outcome::HandBack,
    }
}

fn after_error(error: &TaskError, facts: Facts<'_>) -> Outcome {
    let text = error.to_string();
    match error.verdict {
        Verdict::Retry { .. } if facts.is_leaving => Outcome::HandBack,
        Verdict::Retry { delay, counted } => {
            retry(delay, counted, fault(FaultKind::Exception, &text), facts)
        }
        Verdict::Fail => Outcome::Failed(fault(FaultKind::Exception, &text)),
        Verdict::Reject => Outcome::Dead(fault(FaultKind::Rejected, &text)),
        Verdict::Skip => Outcome::Skipped(cut(&text, MAX_MESSAGE)),
    }
}

fn retry(delay: Option<Duration>, counted: bool, fault: TaskFault, facts: Facts<'_>) -> Outcome {
    let retries = u32::try_from(facts.retries).unwrap_or(0);
    let max = facts.options.max_retries;
    if (counted && retries >= max) || facts.executions >= MAX_EXECUTIONS {
        let after = match retries {
            0 if counted => "no retry is allowed".to_owned(),
            1 => "after 1 retry".to_owned(),
            n => format!("after {n} retries"),
        };
        return Outcome::Dead(TaskFault {
            kind: FaultKind::Exhausted,
            message: format!("{after}: {}", fault.message),
            traceback: fault.traceback,
        });
    }
    let delay = delay.unwrap_or_else(|| facts.options.backoff.wait(retries, facts.chance));
    Outcome::RetryIn {
        delay: delay.min(MAX_DELAY),
        counted,
        fault,
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

fn fault(kind: FaultKind, text: &str) -> TaskFault {
    TaskFault::new(kind, cut(text, MAX_MESSAGE))
}

/// `text`, at most `max` bytes of it, without NUL, which no database column holds.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let end = text.floor_char_boundary(max);
    text[..end].replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::backoff::Backoff;

    fn options() -> TaskOptions {
        TaskOptions {
            max_retries: 3,
            backoff: Backoff {
                jitter: false,
                ..Backoff::default()
            },
            time_limit: None,
        }
    }

    fn after(ended: Ended, change: impl FnOnce(&mut Facts<'_>)) -> Outcome {
        let options = options();
        let mut facts = Facts {
            options: &options,
            retries: 0,
            executions: 0,
            max_result_bytes: 100,
            is_leaving: false,
            chance: 0.5,
        };
        change(&mut facts);
        decide(ended, facts)
    }

    fn failing() -> Ended {
        Ended::Error(TaskError::retry("no luck"))
    }

    #[test]
    fn waits_double_until_the_retries_are_used_up() {
        let after = |retries| after(failing(), |facts| facts.retries = retries);
        for (retries, seconds) in [(0, 1), (1, 2), (2, 4)] {
            let Outcome::RetryIn { delay, counted, .. } = after(retries) else {
                panic!("no retry after {retries}");
            };
            assert_eq!((delay, counted), (Duration::from_secs(seconds), true));
        }
        let Outcome::Dead(fault) = after(3) else {
            panic!("not dead");
        };
        assert_eq!(fault.kind, FaultKind::Exhausted);
        assert_eq!(fault.message, "after 3 retries: no luck");
    }

    #[test]
    fn a_wait_of_the_handlers_choice_goes_before_the_backoff() {
        let wait = Duration::from_secs(77);
        let ended = Ended::Error(TaskError::retry_after("x", wait));
        let outcome = after(ended, |_| {});
        assert!(matches!(outcome, Outcome::RetryIn { delay, counted: true, .. } if delay == wait));
        let ended = Ended::Error(TaskError::retry_uncounted("x", Duration::MAX));
        let outcome = after(ended, |facts| facts.retries = 3);
        assert!(
            matches!(
                outcome,
                Outcome::RetryIn {
                    delay: MAX_DELAY,
                    counted: false,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }

    #[test]
    fn even_uncounted_retries_end_before_their_number_becomes_unreadable() {
        let ended = Ended::Error(TaskError::retry_uncounted("x", Duration::ZERO));
        let outcome = after(ended, |facts| facts.executions = MAX_EXECUTIONS);
        assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    }

    #[test]
    fn a_handler_that_was_asked_to_leave_loses_nothing_but_what_it_finished_counts() {
        for ended in [failing(), Ended::TimedOut(Duration::ZERO), Ended::Stopped] {
            let outcome = after(ended, |facts| facts.is_leaving = true);
            assert!(matches!(outcome, Outcome::HandBack), "{outcome:?}");
        }
        let outcome = after(Ended::Output(None), |facts| facts.is_leaving = true);
        assert!(matches!(outcome, Outcome::Done(None)), "{outcome:?}");
        let failed = Ended::Error(TaskError::fail("x"));
        let outcome = after(failed, |facts| facts.is_leaving = true);
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }

    #[test]
    fn what_was_not_run_is_dead_with_its_kind_or_revoked() {
        let text = || "why".to_owned();
        for (ended, kind) in [
            (Ended::Unknown(text()), FaultKind::UnknownTask),
            (Ended::BadArguments(text()), FaultKind::BadArguments),
            (Ended::Undecodable(text()), FaultKind::Undecodable),
            (Ended::Refused(text()), FaultKind::Rejected),
            (Ended::Unwritable(text()), FaultKind::ResultTooLarge),
        ] {
            let outcome = after(ended, |_| {});
            assert!(
                matches!(&outcome, Outcome::Dead(f) if f.kind == kind),
                "{outcome:?}"
            );
        }
        let outcome = after(Ended::Expired, |_| {});
        assert!(matches!(outcome, Outcome::Revoked(f) if f.kind == FaultKind::Expired));
    }

    #[test]
    fn texts_are_cut_between_characters_and_lose_what_no_column_holds() {
        assert_eq!(cut("a\0é", 3), "a\u{fffd}");
        let ended = Ended::Error(TaskError::fail("x".repeat(100_000)));
        let Outcome::Failed(fault) = after(ended, |_| {}) else {
            panic!("not failed");
        };
        assert_eq!(fault.message.len(), MAX_MESSAGE);
    }
}
