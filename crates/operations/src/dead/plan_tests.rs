//! Every way that a dead message can go.

use super::plan::{Plan, plan};
use chrono::Utc;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{DeadLetter, StoredMessage};
use counterfoil_testkit::task_row;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::message::names::{REASON, RUN};
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::Names;

fn letter(name: &'static str, run: i32) -> DeadLetter {
    let mut content = Content::json("[[1, 2], {}, {}]");
    content.headers.push("task", name);
    content.headers.push("id", "t1");
    content.headers.push("retries", 3);
    content.headers.push(RUN, run);
    content.headers.push(REASON, "exhausted");
    DeadLetter {
        service: "demo".into(),
        reason: "exhausted".into(),
        reason_text: None,
        task_id: TaskId::new("t1").ok(),
        name: Some(name.into()),
        lineage: Lineage {
            run,
            executions: 3,
            ..Lineage::default()
        },
        died_at: None,
        message: StoredMessage {
            exchange: "task_exchange.dead".into(),
            routing_key: "demo".into(),
            content,
        },
    }
}

fn row(state: TaskState, run: i32) -> TaskRow {
    TaskRow {
        run,
        executions: 3,
        routing_key: Some("demo.add".to_owned()),
        ..task_row(state)
    }
}

/// `send <key> <run>`, `left over <run>` or `refuse: …`.
fn planned(letter: &DeadLetter, row: Option<&TaskRow>, sent: Option<i32>) -> String {
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
    let service = ServiceName::new("demo").expect("valid");
    match plan(letter, &service, row, sent, &names, Utc::now()) {
        Plan::Send(anew) => {
            let publication = &anew.publication;
            assert_eq!(publication.exchange, names.requeue);
            assert_eq!(publication.content.body, letter.message.content.body);
            let run = publication.content.headers.int(RUN).unwrap_or(0);
            let copied = anew.copy.map(|copy| i64::from(copy.envelope.lineage.run));
            assert!(copied.is_none_or(|copied| copied == run));
            format!("send {} {run}", publication.routing_key)
        }
        Plan::LeftOver(run) => format!("left over {run}"),
        Plan::Refuse(why) => format!("refuse: {why}"),
    }
}

#[test]
fn a_dead_task_is_sent_as_the_next_run_also_when_nothing_is_known_of_it() {
    let failed = row(TaskState::Failure, 0);
    assert_eq!(
        planned(&letter("demo.add", 0), Some(&failed), None),
        "send demo.add 1"
    );
    assert_eq!(
        planned(&letter("demo.add", 0), None, None),
        "send demo.add 1"
    );
    assert_eq!(
        planned(
            &letter("demo.add", 6),
            Some(&row(TaskState::Failure, 6)),
            None
        ),
        "send demo.add 7"
    );
    // The report of its end is still on its way.
    let started = row(TaskState::Started, 0);
    assert_eq!(
        planned(&letter("demo.add", 0), Some(&started), None),
        "send demo.add 1"
    );
}

#[test]
fn a_dead_task_keeps_the_class_that_it_was_sent_with() {
    let mut failed = row(TaskState::Failure, 0);
    for (sent_to, name, wanted) in [
        ("demo~high.add", "demo.add", "send demo~high.add 1"),
        ("demo~low.add", "foreign.add", "send demo~low 1"),
        ("demo.add", "demo.add", "send demo.add 1"),
    ] {
        failed.routing_key = Some(format!("{}{sent_to}", "0.1.".repeat(14)));
        assert_eq!(planned(&letter(name, 0), Some(&failed), None), wanted);
        failed.routing_key = Some(sent_to.to_owned());
        assert_eq!(planned(&letter(name, 0), Some(&failed), None), wanted);
    }
}

#[test]
fn a_task_of_another_name_goes_back_to_the_queue_that_it_came_from() {
    assert_eq!(
        planned(&letter("foreign.add", 0), None, None),
        "send demo 1"
    );
}

#[test]
fn what_was_sent_before_is_not_sent_again() {
    for (row_run, sent, wanted) in [
        (1, None, "left over 1"),
        (0, Some(1), "left over 1"),
        (2, Some(1), "left over 2"),
    ] {
        for state in [TaskState::Pending, TaskState::Success, TaskState::Failure] {
            let row = row(state, row_run);
            assert_eq!(planned(&letter("demo.add", 0), Some(&row), sent), wanted);
        }
    }
    assert_eq!(
        planned(&letter("demo.add", 0), None, Some(1)),
        "left over 1"
    );
}

#[test]
fn tasks_that_succeeded_are_immutable_or_belong_to_others_stay_where_they_are() {
    let refused = |row: TaskRow| {
        let said = planned(&letter("demo.add", 0), Some(&row), None);
        assert!(said.starts_with("refuse: "), "{said}");
        said
    };
    assert!(refused(row(TaskState::Success, 0)).contains("succeeded after all"));
    let mut immutable = row(TaskState::Failure, 0);
    immutable.immutable = true;
    assert!(refused(immutable).contains("immutable"));
    let mut foreign = row(TaskState::Started, 0);
    foreign.service = "bank".to_owned();
    foreign.routing_key = Some("bank.transfer".to_owned());
    assert!(refused(foreign).contains("sent to service bank"));
}

#[test]
fn a_message_that_names_no_task_is_sent_as_it_is() {
    let mut unread = letter("demo.add", 0);
    unread.task_id = None;
    unread.name = None;
    unread.message.content = Content::json("{ not JSON");
    assert_eq!(planned(&unread, None, None), "send demo 1");
}
