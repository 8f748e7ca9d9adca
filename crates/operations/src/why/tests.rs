//! What is said about a task in every place that it can be in.

use super::explain::{explain, unknown};
use super::explanation::Explanation;
use super::facts::{DeadFact, Facts, Lag, Queue, QueueState, Tokens, WorkerFact};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::{ControlRow, TaskRow};
use counterfoil_testkit::task_row;
use counterfoil_toolbox::TaskState;
use std::time::Duration;
use uuid::Uuid;

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn row(state: TaskState) -> TaskRow {
    let an_hour_ago = now() - TimeDelta::hours(1);
    TaskRow {
        routing_key: Some("demo.add".to_owned()),
        created_date: an_hour_ago,
        last_updated: an_hour_ago,
        ..task_row(state)
    }
}

fn facts(state: TaskState) -> Facts {
    Facts {
        task: row(state),
        now: now(),
        asked: Vec::new(),
        paused_by: None,
        queue: queue(3, 2),
        consumed_by: vec![worker(true)],
        worker: None,
        due: 1,
        dead: None,
        parked: Vec::new(),
        tokens: None,
        session: None,
        is_unsent: false,
        refusal: None,
        lost_after: Duration::from_secs(360),
        lag: Lag::Known {
            tracking: 0,
            events: 0,
            daemons: 1,
        },
    }
}

pub(super) fn queue(ready: u32, consumers: u32) -> Queue {
    Queue {
        name: "demo".to_owned(),
        state: QueueState::There { ready, consumers },
    }
}

pub(super) fn worker(is_alive: bool) -> WorkerFact {
    WorkerFact {
        id: "demo@h.1".to_owned(),
        age: TimeDelta::seconds(7),
        interval: TimeDelta::seconds(10),
        is_alive,
        phase: "running".to_owned(),
        running: 64,
        knows: Some(true),
    }
}

/// Everything that is said, on one line.
fn said(explanation: &Explanation) -> String {
    let parts = [&explanation.details[..], &explanation.remedies[..]].concat();
    format!(
        "{}: {} | {}",
        explanation.place,
        explanation.answer,
        parts.join(" | ")
    )
}

/// What is said of facts that `change` makes special.
pub(super) fn told(state: TaskState, change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = facts(state);
    change(&mut facts);
    said(&explain(&facts))
}

pub(super) fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn a_task_that_a_worker_put_off_is_nobodys_and_comes_again() {
    let put_off = |until: TimeDelta| {
        told(TaskState::Pending, |facts| {
            facts.task.retry_at = Some(now() + until);
            facts.task.eta = facts.task.retry_at;
        })
    };
    let waits = put_off(TimeDelta::seconds(5));
    holds(
        &waits,
        &["put_off: a worker put it off", "in 5s", "delay levels"],
    );
    holds(
        &put_off(TimeDelta::seconds(-5)),
        &["waiting: it waits in queue demo"],
    );
}

#[test]
fn a_task_that_waits_is_told_where_behind_whom_and_for_what() {
    let text = told(TaskState::Pending, |_| ());
    holds(
        &text,
        &[
            "waiting: it waits in queue demo, one of 3",
            "1 workers consume it, and run 64",
        ],
    );
    let text = told(TaskState::Pending, |facts| facts.due = 4);
    holds(
        &text,
        &[
            "waiting: it waits in queue demo, or its message is gone: there are 3 messages, and more tasks",
            "1 workers consume it, and run 64",
            "counterfoil audit names those",
        ],
    );
    let text = told(TaskState::Pending, |facts| {
        facts.queue = queue(3, 0);
        facts.consumed_by.clear();
    });
    holds(&text, &["nobody consumes that", "start a worker"]);
    let text = told(TaskState::Pending, |facts| {
        facts.queue = queue(3, 0);
        facts.consumed_by[0].phase = "quiet".to_owned();
    });
    holds(
        &text,
        &[
            "nobody consumes that",
            "worker demo@h.1 is quiet: it takes nothing",
        ],
    );
    let text = told(TaskState::Pending, |facts| {
        facts.paused_by = Some("ana".to_owned())
    });
    holds(
        &text,
        &[
            "paused: its service is paused by ana",
            "counterfoil resume demo",
        ],
    );
    let text = told(TaskState::Pending, |facts| facts.consumed_by.clear());
    holds(&text, &["2 consumers, of which no sign of life is heard"]);
    let text = told(TaskState::Pending, |facts| {
        facts.consumed_by[0].knows = Some(false)
    });
    holds(&text, &["none of them knows demo.add"]);
    let text = told(TaskState::Pending, |facts| {
        facts.consumed_by[0].phase = "quiet".to_owned()
    });
    holds(&text, &["quiet or draining"]);
    let text = told(TaskState::Pending, |facts| {
        facts.queue = queue(0, 2);
        facts.tokens = Some(Tokens {
            limit: 2,
            held_by: vec!["demo@h.9".to_owned()],
        });
    });
    holds(
        &text,
        &[
            "at most 2 of demo.add run at once",
            "held by demo@h.9",
            "delay levels",
        ],
    );
}

#[test]
fn one_whose_message_is_gone_is_told_when_it_is_sent_again() {
    let empty = |facts: &mut Facts| facts.queue = queue(0, 0);
    let text = told(TaskState::Pending, |facts| {
        empty(facts);
        facts.task.last_updated = now() - TimeDelta::minutes(1);
    });
    holds(
        &text,
        &[
            "lost: its message is not in queue demo",
            "not before 2027-01-15T08:05:00Z",
        ],
    );
    holds(&told(TaskState::Pending, empty), &["seen empty", "for 6m"]);
    let text = told(TaskState::Pending, |facts| {
        facts.queue.state = QueueState::Missing
    });
    holds(
        &text,
        &["lost: queue demo is gone", "counterfoil topology apply"],
    );
}

#[test]
fn one_that_is_held_delayed_or_nobodys_is_told_until_when() {
    let text = told(TaskState::Pending, |facts| {
        facts.task.held = true;
        facts.asked.push(ControlRow {
            id: Uuid::nil(),
            kind: "hold".to_owned(),
            subject: "t1".to_owned(),
            run: None,
            created_by: Some("ana".to_owned()),
            created_date: now(),
            published_at: None,
            ends_at: None,
        });
    });
    holds(
        &text,
        &[
            "held: it is held back by ana",
            "counterfoil task resume pub1",
        ],
    );
    let text = told(TaskState::Pending, |facts| {
        facts.task.eta = Some(now() + TimeDelta::minutes(5))
    });
    holds(
        &text,
        &["delayed: it is not due before 2027-01-15T08:05:00Z, in 5m"],
    );
    let text = told(TaskState::Unroutable, |facts| {
        facts.queue.state = QueueState::Missing
    });
    holds(
        &text,
        &[
            "unroutable: no service owns it: its key leads to queue demo",
            "topology apply",
        ],
    );
}

#[test]
fn a_retry_tells_its_number_its_time_and_the_last_error() {
    let retry = |minutes| {
        told(TaskState::Retry, |facts| {
            facts.task.executions = 1;
            facts.task.error_message = Some("no route".to_owned());
            facts.task.retry_at = Some(now() + TimeDelta::minutes(minutes));
        })
    };
    holds(
        &retry(2),
        &[
            "retry: retry 2 begins at",
            "in 2m",
            "the last error: no route",
        ],
    );
    holds(
        &retry(-2),
        &["waiting: retry 2 is due: it waits in queue demo"],
    );
}

#[test]
fn one_that_is_over_is_told_why_and_how_to_run_it_again() {
    let failed = |dead: Option<u32>| {
        told(TaskState::Failure, |facts| {
            facts.task.error_kind = Some("exhausted".to_owned());
            facts.task.error_message = Some("no route".to_owned());
            facts.dead = dead.map(|ready| DeadFact {
                service: "demo".to_owned(),
                reason: "exhausted".to_owned(),
                ready: Some(ready),
            });
        })
    };
    holds(
        &failed(None),
        &["failed: it failed (exhausted): no route", "task rerun pub1"],
    );
    holds(
        &failed(Some(1)),
        &[
            "dead: it failed",
            "dead queue of demo",
            "dead redrive demo --id pub1",
        ],
    );
    holds(
        &failed(Some(0)),
        &[
            "which is empty: somebody took it",
            "task rerun pub1 runs it",
            "dead discard demo --id pub1 strikes it out",
        ],
    );
    let text = told(TaskState::Revoked, |facts| {
        facts.task.error_message = Some("it was cancelled by ana".to_owned());
    });
    holds(&text, &["revoked: it was cancelled by ana"]);
    holds(&told(TaskState::Success, |_| ()), &["over: it succeeded"]);
}

#[test]
fn a_daemon_that_is_behind_and_an_unknown_id_are_told() {
    let away = Lag::Known {
        tracking: 5,
        events: 0,
        daemons: 0,
    };
    let text = told(TaskState::Pending, |facts| {
        facts.lag = away.clone();
        facts.parked.push("service \"x\" reported".to_owned());
        facts.session = Some(("s1".to_owned(), "ONGOING".to_owned()));
    });
    holds(
        &text,
        &[
            "start `counterfoil-sync`",
            "a report about it is parked",
            "session s1, which is ONGOING",
        ],
    );
    let text = said(&unknown("t9", &away));
    holds(
        &text,
        &[
            "unknown: no task has the id \"t9\"",
            "start `counterfoil-sync`",
        ],
    );
}

#[test]
fn a_task_that_nobody_has_sent_yet_is_in_the_outbox_and_not_lost() {
    let facts = Facts {
        is_unsent: true,
        queue: queue(0, 0),
        ..facts(TaskState::Pending)
    };
    assert_eq!(explain(&facts).place, "outbox");
}
