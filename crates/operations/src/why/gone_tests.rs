use super::super::facts::{Facts, QueueState, WorkerFact};
use super::super::tests::{holds, now, queue, told, worker};
use chrono::TimeDelta;
use counterfoil_store::record::ControlRow;
use counterfoil_toolbox::TaskState;
use uuid::Uuid;

#[test]
fn one_that_runs_is_told_where_and_who_goes_on_if_its_worker_is_gone() {
    let with = |is_alive: bool, lease: bool| {
        told(TaskState::Progress, |facts| {
            facts.task.worker = Some("demo@h.1".to_owned());
            facts.task.progress_current = Some(3);
            facts.worker = Some(worker(is_alive));
            facts.task.lease_until = lease.then(|| now() + TimeDelta::minutes(1));
        })
    };
    holds(
        &with(true, false),
        &[
            "running: it runs on worker demo@h.1 and last told of itself at",
            "heard of 7s ago",
            "progress: 3",
        ],
    );
    let silent = told(TaskState::Started, |facts| {
        facts.task.worker = Some("demo@h.1".to_owned());
        facts.worker = Some(worker(true));
    });
    holds(&silent, &["running: it runs on worker demo@h.1 since 20"]);
    holds(
        &with(true, true),
        &["its lease holds until 2027-01-15T08:01:00Z"],
    );
    let gone = "worker_gone: it ran on worker demo@h.1, which is not heard of any more since 2027-01-15T07:59:53Z";
    holds(
        &with(false, false),
        &[
            gone,
            "the broker has its message again: it waits in queue demo, one of 3",
            "progress: 3",
        ],
    );
    holds(
        &with(false, true),
        &[
            gone,
            "the daemon sends it again soon after its lease ends, at 2027-01-15T08:01:00Z",
        ],
    );
}

#[test]
fn a_worker_that_is_late_or_that_the_broker_misses_is_not_just_said_to_run_it() {
    let with = |change: fn(&mut Facts)| {
        told(TaskState::Started, |facts| {
            facts.worker = Some(worker(true));
            change(facts);
        })
    };
    let late = |facts: &mut Facts| facts.worker.as_mut().expect("one").age = TimeDelta::seconds(16);
    holds(
        &with(late),
        &[
            "running: it runs on",
            "heard of 16s ago, and gives a sign every 10s: it may be gone",
        ],
    );
    holds(
        &with(|facts| facts.queue = queue(1, 0)),
        &[
            "worker_gone: it ran on worker demo@h.1, of which the broker has no consumer any more; it was last heard of at 2027-01-15T07:59:53Z",
            "the broker has its message again: it waits in queue demo, one of 1",
        ],
    );
    for has_reason in [
        |facts: &mut Facts| facts.worker.as_mut().expect("one").phase = "quiet".to_owned(),
        |facts: &mut Facts| facts.paused_by = Some("ana".to_owned()),
    ] {
        let text = told(TaskState::Started, |facts| {
            facts.worker = Some(worker(true));
            facts.queue = queue(1, 0);
            has_reason(facts);
        });
        holds(&text, &["running: it runs on"]);
    }
    let asked = |facts: &mut Facts| {
        facts.asked.push(ControlRow {
            id: Uuid::nil(),
            kind: "revoke".to_owned(),
            subject: "t1".to_owned(),
            run: Some(0),
            created_by: Some("eve".to_owned()),
            created_date: now(),
            published_at: None,
            ends_at: None,
        });
    };
    holds(
        &with(asked),
        &["its worker is asked to stop it by eve since 2027"],
    );
}

#[test]
fn what_a_lost_worker_had_is_followed_to_wherever_its_message_can_be() {
    let with = |state: QueueState, told_to_stop: bool| {
        told(TaskState::Received, |facts| {
            facts.queue.state = state;
            let mut lost = worker(false);
            if told_to_stop {
                lost.phase = "stopped".to_owned();
            }
            facts.worker = Some(lost);
        })
    };
    let there = |ready, consumers| QueueState::There { ready, consumers };
    holds(
        &with(there(0, 2), true),
        &[
            "it waited for a free place on worker demo@h.1, which has stopped at 2027",
            "another worker has its message already and has not told yet",
        ],
    );
    holds(
        &with(there(0, 0), false),
        &[
            "its message is gone: `counterfoil audit` tells",
            "start a worker of the service",
        ],
    );
    holds(
        &with(there(4, 0), false),
        &["one of 4 messages, and nobody consumes that"],
    );
    holds(
        &with(QueueState::Missing, false),
        &["task rerun --force pub1"],
    );
    let reason = "away".to_owned();
    holds(
        &with(QueueState::Unknown { reason }, false),
        &["to another worker as soon as it notices"],
    );
}

#[test]
fn a_worker_that_lives_and_runs_nothing_has_it_no_more() {
    let running = |running: i64, ago: TimeDelta| {
        told(TaskState::Started, |facts| {
            facts.task.last_updated = now() - ago;
            facts.worker = Some(WorkerFact {
                running,
                ..worker(true)
            });
        })
    };
    let nothing = "by its last sign of life the worker runs nothing";
    let (long_ago, just_now) = (TimeDelta::minutes(1), TimeDelta::seconds(10));
    holds(&running(0, long_ago), &[nothing, "goes back to queue demo"]);
    assert!(!running(1, long_ago).contains(nothing));
    assert!(
        !running(0, just_now).contains(nothing),
        "it may be older than the start"
    );
}
