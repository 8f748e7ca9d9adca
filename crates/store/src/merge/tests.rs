//! The laws by which rows merge, without a database.

use super::*;
use crate::batch::Batch;
use crate::stored::StoredMessage;
use counterfoil_toolbox::event::EventKind;
use counterfoil_toolbox::message::{Content, Envelope};
use counterfoil_toolbox::state::Lineage;
use proptest::prelude::*;
use uuid::Uuid;

fn lineage() -> impl Strategy<Value = Lineage> {
    let counts = (0..2, 0..2, 0..3, 0..2, 0..2);
    counts.prop_map(|(run, rescue, executions, deliveries, tries)| Lineage {
        run,
        rescue,
        executions,
        deliveries,
        tries,
    })
}

fn task_id() -> TaskId {
    TaskId::new("t1").expect("a task id")
}

/// Events that may even disagree about what cannot change: type, parent, session.
fn event_change() -> impl Strategy<Value = TaskChange> {
    let texts = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let state = prop::sample::select(TaskState::ALL.to_vec());
    let name = prop::sample::select(vec!["demo.add", "demo.echo", "demo-x.add"]);
    (lineage(), state, name, texts.clone(), texts, 0..4_u128).prop_map(
        |(lineage, state, name, parent, session, id)| {
            let name = TaskName::new(name).expect("a task name");
            let mut event = Event::new(
                task_id(),
                name,
                lineage,
                EventKind::State(state),
                DateTime::UNIX_EPOCH,
            );
            event.event_id = Uuid::from_u128(id);
            event.parent_id = parent.map(|id| TaskId::new(id).expect("a task id"));
            event.session_id = session.map(Into::into);
            change_from_event(&event).expect("a state")
        },
    )
}

fn copy(lineage: Lineage, routing_key: &str, seen: Seen) -> TrackingCopy {
    let mut envelope = Envelope::new(task_id(), TaskName::new("demo.add").expect("a task name"));
    envelope.lineage = lineage;
    TrackingCopy {
        envelope,
        input: None,
        message: StoredMessage {
            exchange: "x".into(),
            routing_key: routing_key.into(),
            content: Content::json("[[], {}, {}]"),
        },
        seen,
    }
}

/// Copies of one attempt that came by two ways, too.
fn copy_change() -> impl Strategy<Value = TaskChange> {
    let key = prop::sample::select(vec!["demo.add", "0.0.1.demo.add"]);
    let seen = prop::sample::select(vec![Seen::Scheduled, Seen::Unroutable]);
    let sent = prop::option::of(1..4_i64);
    (lineage(), key, seen, sent).prop_map(|(lineage, key, seen, sent)| {
        let mut copy = copy(lineage, key, seen);
        copy.envelope.sent_at = sent.and_then(DateTime::from_timestamp_millis);
        copy.change()
    })
}

fn change() -> impl Strategy<Value = TaskChange> {
    prop_oneof![copy_change(), event_change()]
}

fn joined(mut one: TaskChange, other: TaskChange) -> TaskChange {
    one.join(other);
    one
}

/// What becomes of a row: what only fills gaps does not count once a copy is there. Equal keys with
/// different content do not occur outside of this test, so of the state only the key counts.
fn outcome(change: &TaskChange) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        change.state.key,
        change.copy.clone(),
        change.name().clone(),
        change.parent_id().cloned(),
        change.session_id().map(str::to_owned),
    )
}

proptest! {
    #[test]
    fn merging_takes_no_notice_of_order(a in change(), b in change()) {
        let one = joined(a.clone(), b.clone());
        prop_assert_eq!(outcome(&one), outcome(&joined(b, a)));
    }

    #[test]
    fn merging_takes_no_notice_of_grouping(a in change(), b in change(), c in change()) {
        let left = joined(joined(a.clone(), b.clone()), c.clone());
        prop_assert_eq!(outcome(&left), outcome(&joined(a, joined(b, c))));
    }

    #[test]
    fn merging_takes_no_notice_of_repetition(a in change(), b in change()) {
        let once = joined(a.clone(), b.clone());
        prop_assert_eq!(outcome(&joined(joined(once.clone(), a), b)), outcome(&once));
    }
}

#[test]
fn a_retrys_copy_is_pending_of_its_own_execution_and_a_retry_of_the_one_before() {
    let at = |executions| Lineage {
        executions,
        ..Lineage::default()
    };
    let copy = copy(at(2), "demo.add", Seen::Scheduled);
    let lines: Vec<_> = copy
        .lines()
        .map(|(_, lineage, state)| (lineage, state))
        .collect();
    assert_eq!(
        lines,
        [(at(2), TaskState::Pending), (at(1), TaskState::Retry)]
    );
}

#[test]
fn a_task_that_waits_for_its_retry_shows_the_retry_until_it_runs_again() {
    let at = |executions| Lineage {
        executions,
        ..Lineage::default()
    };
    let mut waiting = copy(at(2), "demo.add", Seen::Scheduled);
    waiting.message.content.headers.push("lang", "rs");
    let waiting = waiting.change().state;
    assert_eq!(waiting.state, TaskState::Retry);
    let key = |lineage, state| StateKey::new(lineage, state, Uuid::now_v7());
    assert!(
        waiting.key < key(at(1), TaskState::Retry),
        "the worker tells why"
    );
    assert!(waiting.key > key(at(1), TaskState::Started));
    assert!(waiting.key < key(at(2), TaskState::Started));
}

#[test]
fn a_retry_that_no_worker_reports_shows_whichever_delivery_was_retried() {
    let waiting = copy(
        Lineage {
            executions: 2,
            ..Lineage::default()
        },
        "demo.add",
        Seen::Scheduled,
    );
    let waiting = waiting.change().state;
    assert_eq!(waiting.state, TaskState::Retry);
    let key = |executions, deliveries, state| {
        let lineage = Lineage {
            executions,
            deliveries,
            ..Lineage::default()
        };
        StateKey::new(lineage, state, Uuid::now_v7())
    };
    assert!(waiting.key > key(1, 3, TaskState::Started));
    for state in [
        TaskState::Unroutable,
        TaskState::Received,
        TaskState::Started,
    ] {
        assert!(waiting.key < key(2, 0, state), "{state}");
    }
}

#[test]
fn how_often_the_tracking_queue_delivered_a_copy_does_not_lift_the_task() {
    let redelivered = Lineage {
        deliveries: 3,
        ..Lineage::default()
    };
    let copy = copy(redelivered, "demo.add", Seen::Scheduled);
    assert_eq!(copy.change().state.key.lineage(), Lineage::default());
}

#[test]
fn a_broker_that_delivers_again_does_not_make_another_copy() {
    let first = copy(Lineage::default(), "demo.add", Seen::Scheduled);
    let mut again = first.clone();
    again.message.content.headers.push("x-delivery-count", 2);
    assert_eq!(first.change(), again.change());
}

#[test]
fn lines_of_a_message_have_ids_that_begin_with_the_tasks_time_and_never_change() {
    let id = TaskId::new("01938c5e-1234-7000-8000-000000000001").expect("a task id");
    let line = crate::copy::line_id(&id, Lineage::default(), TaskState::Pending);
    assert_eq!(line.to_string(), "01938c5e-1234-8fe8-9cf4-a01334602824");
    let foreign = crate::copy::line_id(&task_id(), Lineage::default(), TaskState::Pending);
    assert_eq!(foreign.get_version_num(), 5);
    assert_ne!(
        line,
        crate::copy::line_id(&id, Lineage::default(), TaskState::Retry)
    );
}

#[test]
fn a_batch_holds_one_change_per_task_and_one_result_per_run() {
    let mut batch = Batch::new();
    for (run, state) in [
        (0, TaskState::Failure),
        (0, TaskState::Success),
        (1, TaskState::Failure),
    ] {
        let lineage = Lineage {
            run,
            ..Lineage::default()
        };
        let name = TaskName::new("demo.add").expect("a task name");
        let kind = EventKind::State(state);
        batch.event(&Event::new(
            task_id(),
            name,
            lineage,
            kind,
            DateTime::UNIX_EPOCH,
        ));
    }
    batch.track(&copy(Lineage::default(), "demo.add", Seen::Scheduled));
    assert_eq!(batch.tasks().count(), 1);
    let results: Vec<_> = batch
        .results()
        .map(|result| (result.key.run, result.status))
        .collect();
    assert_eq!(results, [(0, TaskState::Success), (1, TaskState::Failure)]);
}

#[test]
fn what_a_worker_says_of_its_retry_comes_before_what_the_copy_of_it_says() {
    let reported = |tries| Lineage {
        tries,
        deliveries: 1,
        ..Lineage::default()
    };
    for tries in 0..3 {
        let next = Lineage {
            executions: tries + 1,
            ..Lineage::default()
        };
        let mut sent = copy(next, "demo.add", Seen::Scheduled);
        sent.envelope.tries_before = tries;
        sent.message.content.headers.push("lang", "rs");
        let waiting = sent.change().state;
        let told = StateKey::new(reported(tries), TaskState::Retry, Uuid::now_v7());
        let before = StateKey::new(
            Lineage {
                tries,
                ..Lineage::default()
            },
            TaskState::Started,
            Uuid::max(),
        );
        let after = StateKey::new(next, TaskState::Started, Uuid::nil());
        assert!(
            before < waiting.key && waiting.key < told && told < after,
            "{tries}"
        );
    }
}

#[test]
fn a_copy_of_what_was_put_off_comes_after_the_deliveries_before_it() {
    for executions in 0..2 {
        let attempt = |deliveries| Lineage {
            executions,
            deliveries,
            ..Lineage::default()
        };
        let mut put_off = copy(attempt(0), "demo.add", Seen::Scheduled);
        put_off.envelope.deliveries_before = 3;
        put_off.message.content.headers.push("lang", "rs");
        let waiting = put_off.change().state;
        assert_eq!(waiting.state, TaskState::Pending, "nothing was retried");
        let crashed = StateKey::new(attempt(2), TaskState::Started, Uuid::max());
        let started = StateKey::new(attempt(3), TaskState::Started, Uuid::nil());
        assert!(crashed < waiting.key && waiting.key < started);
        assert_eq!(put_off.lines().count(), 1);
    }
}
