use super::*;
use crate::message::{TimeLimits, encode_again};
use std::time::Duration;

fn old(body: &str) -> Content {
    Content::json(body.to_owned())
}

fn hybrid(body: &str) -> Content {
    let mut content = old(body);
    content.headers.push("task", "demo.add");
    content.headers.push("id", "h1");
    content
}

fn reason(content: &Content) -> String {
    TaskMessage::decode(content).expect_err("refused").reason
}

#[test]
fn the_body_says_what_headers_say_today() {
    let task = TaskMessage::decode(&old(
        r#"{"task": "tasks.add", "id": "o1", "args": [1], "retries": 2, "timelimit": [30, null], "utc": true,
            "taskset": "g1", "group_index": 3, "expires": "2026-11-21T20:10:11+01:00", "unknown": {}}"#,
    ))
    .expect("protocol 1");
    let envelope = &task.envelope;
    assert_eq!((envelope.id.as_str(), envelope.retries), ("o1", 2));
    assert_eq!(envelope.root_id, "o1");
    assert_eq!(envelope.time_limits.hard, Some(Duration::from_secs(30)));
    assert_eq!(envelope.extra.text("group"), Some("g1"));
    assert_eq!(envelope.extra.int("group_index"), Some(3));
    assert_eq!(
        envelope.expires.map(|at| at.to_rfc3339()).as_deref(),
        Some("2026-11-21T19:10:11+00:00")
    );
    let payload = &task.payload;
    assert_eq!(
        (payload.args(), payload.kwargs(), payload.embed()),
        ("[1]", "{}", "{}")
    );
}

#[test]
fn what_comes_next_is_where_protocol_2_has_it() {
    let task = TaskMessage::decode(&old(
        r#"{"task": "a.b", "id": "o1", "args": [], "kwargs": {"n": 12345678901234567890123},
            "callbacks": [{"task": "a.c"}], "errbacks": null, "chord": {"task": "a.d"}}"#,
    ))
    .expect("protocol 1");
    assert_eq!(
        task.payload.embed(),
        r#"{"callbacks": [{"task": "a.c"}], "chord": {"task": "a.d"}}"#
    );
    assert_eq!(task.payload.kwargs(), r#"{"n": 12345678901234567890123}"#);
}

#[test]
fn limits_of_zero_and_nothing_said_are_no_limits() {
    for said in [r#", "timelimit": [0, 0]"#, r#", "timelimit": null"#, ""] {
        let body = format!(r#"{{"task": "tasks.add", "id": "o1"{said}}}"#);
        let task = TaskMessage::decode(&old(&body)).expect("protocol 1");
        assert_eq!(task.envelope.time_limits, TimeLimits::default(), "{said}");
        assert_eq!(task.payload.args(), "[]");
    }
}

#[test]
fn headers_beside_such_a_body_come_first() {
    let mut content =
        hybrid(r#"{"task": "x.y", "id": "o1", "args": [1], "kwargs": null, "retries": 4}"#);
    content.headers.push("eta", HeaderValue::Null);
    let task = TaskMessage::decode(&content).expect("a hybrid");
    let envelope = task.envelope;
    assert_eq!(
        (envelope.name.as_str(), envelope.id.as_str()),
        ("demo.add", "h1")
    );
    assert_eq!((envelope.retries, task.payload.args()), (4, "[1]"));
}

#[test]
fn such_a_message_is_sent_again_as_protocol_2() {
    for content in [
        old(r#"{"task": "demo.add", "id": "h1", "args": [1], "eta": "2026-11-21T20:10:11Z"}"#),
        hybrid(r#"{"args": [1], "eta": "2026-11-21T20:10:11Z"}"#),
    ] {
        let task = TaskMessage::decode(&content).expect("decodes");
        let mut envelope = task.envelope;
        assert!(envelope.eta.is_some());
        envelope.eta = None;
        let again = encode_again(&content, &envelope, &task.payload);
        let again = TaskMessage::decode(&again).expect("protocol 2");
        assert_eq!(
            again.envelope.eta, None,
            "the body does not say it any more"
        );
        assert_eq!(again.payload.args(), "[1]");
    }
}

#[test]
fn a_local_time_of_nobody_knows_where_is_refused_with_the_remedy() {
    let body =
        |eta: &str| format!(r#"{{"task": "a.b", "id": "o1", "utc": false, "eta": "{eta}"}}"#);
    let refused = reason(&old(&body("2026-11-21T20:10:11")));
    assert!(refused.starts_with("eta is a local time without an offset"));
    assert!(refused.ends_with("set enable_utc = True"), "{refused}");
    assert!(TaskMessage::decode(&old(&body("2026-11-21T20:10:11+01:00"))).is_ok());
}

#[test]
fn what_is_no_task_says_so_and_a_bad_argument_keeps_the_envelope() {
    let begins = "there is no task header, and the body is not a protocol 1 task: ";
    for body in [
        "hello",
        "{}",
        "{\"id\": \"o1\"}",
        "{\"task\": ",
        "[[], {}, {}]",
        "",
    ] {
        let refused = TaskMessage::decode(&old(body)).expect_err(body);
        assert!(
            refused.reason.starts_with(begins),
            "{body}: {}",
            refused.reason
        );
        assert!(refused.envelope.is_none());
    }
    let refused = TaskMessage::decode(&old(r#"{"task": "a.b", "id": "o1", "args": 7}"#));
    let refused = refused.expect_err("no list");
    assert_eq!(refused.reason, "args is not an array");
    assert_eq!(refused.envelope.expect("the rest is good").id, "o1");
    assert_eq!(
        reason(&old(r#"{"task": "a.b", "id": "o1", "retries": -1}"#)),
        "header retries is not a number from 0 to 1000000"
    );
}
