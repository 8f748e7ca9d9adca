use super::*;

fn options() -> TaskOptions {
    TaskOptions {
        max_retries: 3,
        backoff: Backoff {
            jitter: false,
            ..Backoff::default()
        },
        ..TaskOptions::default()
    }
}

fn facts(options: &TaskOptions) -> Facts<'_> {
    Facts {
        options,
        max_retries: None,
        retries: 0,
        executions: 0,
        max_result_bytes: 100,
        is_leaving: false,
        revoked: None,
        chance: 0.5,
    }
}

fn after(ended: Ended, change: impl FnOnce(&mut Facts<'_>)) -> Outcome {
    let options = options();
    let mut facts = facts(&options);
    change(&mut facts);
    decide(ended, facts)
}

fn failing() -> Ended {
    Ended::Error(TaskError::retry("no luck"))
}

#[test]
fn waits_double_until_the_retries_are_used_up() {
    let after = |n| {
        after(failing(), |facts| {
            (facts.retries, facts.executions) = (n, n)
        })
    };
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
    assert_eq!(fault.message, "after 3 retries (exception): no luck");
}

fn by_ana(ran: bool) -> Revocation {
    Revocation {
        by: Some("ana".into()),
        what: Cancelled::Task,
        ran,
    }
}

#[test]
fn a_task_that_was_cancelled_is_revoked_and_it_is_told_by_whom_and_when() {
    for (revocation, kind, told) in [
        (
            by_ana(false),
            FaultKind::Cancelled,
            "it was cancelled by ana before it was started",
        ),
        (
            by_ana(true),
            FaultKind::Cancelled,
            "it was cancelled by ana while it ran",
        ),
        (
            Revocation {
                what: Cancelled::Session,
                ..by_ana(false)
            },
            FaultKind::Aborted,
            "its session was ended by ana before it was started",
        ),
        (
            Revocation {
                what: Cancelled::Opening,
                ..by_ana(true)
            },
            FaultKind::Aborted,
            "the session that it was opening was aborted by ana while it ran",
        ),
        (
            Revocation {
                by: None,
                ..by_ana(true)
            },
            FaultKind::Cancelled,
            "it was cancelled while it ran",
        ),
    ] {
        let Outcome::Revoked(fault) = after(Ended::Revoked(revocation), |_| {}) else {
            panic!("not revoked");
        };
        assert_eq!((fault.kind, fault.message.as_str()), (kind, told));
    }
}

#[test]
fn what_a_cancelled_task_fails_with_does_not_count_and_what_it_achieved_does() {
    let (options, by) = (options(), by_ana(true));
    let after = |ended| {
        let facts = Facts {
            revoked: Some(&by),
            is_leaving: true,
            ..facts(&options)
        };
        decide(ended, facts)
    };
    for ended in [
        failing(),
        Ended::Error(TaskError::fail("no")),
        Ended::TimedOut(Duration::ZERO),
    ] {
        let outcome = after(ended);
        assert!(matches!(outcome, Outcome::Revoked(_)), "{outcome:?}");
    }
    assert!(matches!(after(Ended::Output(None)), Outcome::Done(None)));
    let skipped = after(Ended::Error(TaskError::skip("nothing to do")));
    assert!(matches!(skipped, Outcome::Skipped(_)), "{skipped:?}");
    // Given away, it is met by another worker, or by this one when it goes on.
    assert!(matches!(after(Ended::Stopped), Outcome::HandBack));
}

#[test]
fn a_task_that_is_never_retried_fails_with_the_kind_of_its_error() {
    let panicked = || {
        Ended::Panicked(PanicNote {
            message: "boom".to_owned(),
            location: None,
            backtrace: None,
        })
    };
    let once = |ended| {
        let options = TaskOptions {
            max_retries: 0,
            ..options()
        };
        decide(ended, facts(&options))
    };
    for (ended, kind, text) in [
        (failing(), FaultKind::Exception, "no luck"),
        (panicked(), FaultKind::Panic, "panicked: boom"),
        (
            Ended::TimedOut(Duration::from_secs(7)),
            FaultKind::TimeLimit,
            "it was ended at its time limit of 7s",
        ),
    ] {
        let Outcome::Dead(fault) = once(ended) else {
            panic!("not dead");
        };
        assert_eq!((fault.kind, fault.message.as_str()), (kind, text));
    }
    let Outcome::Dead(fault) = after(panicked(), |f| (f.retries, f.executions) = (3, 3)) else {
        panic!("not dead");
    };
    assert_eq!(fault.kind, FaultKind::Exhausted);
    assert_eq!(fault.message, "after 3 retries (panic): panicked: boom");
}

#[test]
fn uncounted_retries_that_ask_for_no_wait_wait_longer_each_time_up_to_a_second() {
    let wait = |asked, executions| {
        let ended = Ended::Error(TaskError::retry_uncounted("x", asked));
        let outcome = after(ended, |f| (f.retries, f.executions) = (2, executions));
        let Outcome::RetryIn { delay, .. } = outcome else {
            panic!("{outcome:?}");
        };
        delay.as_millis()
    };
    let waits: Vec<_> = (2..8).map(|n| wait(Duration::ZERO, n)).collect();
    assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(wait(Duration::from_secs(9), 500), 9000);
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

#[test]
fn a_retry_may_have_other_arguments_and_nothing_else_has_any() {
    let asked = |error: TaskError| Ended::Error(error.with_arguments("[2]", "{}"));
    let Outcome::RetryIn { arguments, .. } = after(asked(TaskError::retry("x")), |_| {}) else {
        panic!("no retry");
    };
    assert_eq!(arguments.expect("others").args(), "[2]");
    let failed = after(asked(TaskError::fail("x")), |_| {});
    assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
    let none = Ended::Error(TaskError::retry("x").with_arguments("2", "{}"));
    let Outcome::Failed(fault) = after(none, |_| {}) else {
        panic!("no arguments are no reason to try again");
    };
    assert!(fault.message.contains("args is not an array"), "{fault:?}");
}

#[test]
fn a_task_is_replaced_unless_somebody_has_cancelled_it() {
    let replaced = || {
        Ended::Error(TaskError::replaced(Replacement {
            by: "a chain".to_owned(),
            messages: Vec::new(),
            within: Duration::ZERO,
        }))
    };
    let outcome = after(replaced(), |facts| facts.is_leaving = true);
    assert!(matches!(outcome, Outcome::Replaced(_)), "{outcome:?}");
    assert_eq!(replaced().failed_how(), None, "its span is no failure");
    let by_ana = by_ana(true);
    let options = options();
    let mut facts = facts(&options);
    facts.revoked = Some(&by_ana);
    let outcome = decide(replaced(), facts);
    assert!(matches!(outcome, Outcome::Revoked(_)), "{outcome:?}");
}
