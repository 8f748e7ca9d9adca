//! What a message from outside cannot make a worker do: each limit is held before anything is copied.

use super::{after, captured, embed_of, following, refused, signature, with_embed};
use crate::canvas::{Embed, Signature, after_success, chord_failed};
use serde_json::{Value, json};

fn around(kind: &str, options: &Value, tasks: Vec<Value>) -> Value {
    json!({
        "task": format!("celery.{kind}"), "args": [], "options": options, "subtask_type": kind,
        "immutable": false, "kwargs": {"tasks": tasks},
    })
}

fn with_options(options: &Value) -> Value {
    let mut one = signature("tasks.add", json!([1]));
    one["options"] = options.clone();
    one
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[test]
fn what_is_nested_without_an_end_is_refused() {
    let mut deep = signature("tasks.add", json!([1]));
    for _ in 0..40 {
        deep = around("chain", &json!({}), vec![deep]);
        deep = around("group", &json!({}), vec![deep]);
    }
    let refused = refused(deep);
    assert!(refused.contains("deep in each other"), "{refused}");
}

#[test]
fn more_tasks_than_anybody_sends_are_refused() {
    let members = vec![signature("tasks.add", json!([1])); 11_000];
    let refused = refused(around("group", &json!({}), members));
    assert!(refused.contains("tasks that follow"), "{refused}");
}

#[test]
fn a_list_of_signatures_is_counted_before_it_is_read() {
    let members = vec![json!({}); 100_001];
    let refused = refused(around("group", &json!({}), members.clone()));
    assert!(refused.contains("100001"), "{refused}");
    let embed = json!({"chain": members}).to_string();
    let refused = Embed::read(&embed).expect_err("too many");
    assert!(refused.contains("100001"), "{refused}");
}

#[test]
fn a_stamp_that_is_named_often_is_put_on_once() {
    let names = vec!["tag"; 2000];
    let stamped = with_options(&json!({"stamped_headers": names, "tag": text(50_000)}));
    let sent = after(
        &with_embed(&json!({"callbacks": [stamped]})),
        Some(json!(4)),
    );
    let stamps = sent[0].headers.get("stamps").expect("stamps").to_json();
    assert_eq!(stamps, json!({"tag": text(50_000)}));
    let names = sent[0].headers.get("stamped_headers").expect("names");
    assert_eq!(names.to_json(), json!(["tag"]));
}

#[test]
fn headers_for_which_no_message_has_room_are_refused() {
    for options in [
        json!({"stamped_headers": ["tag"], "tag": text(700_000)}),
        json!({"headers": {"own": text(700_000)}}),
        json!({"shadow": text(700_000)}),
        json!({"stamped_headers": [text(700_000)]}),
    ] {
        let refused = refused(with_options(&options));
        assert!(refused.contains("headers"), "{refused}");
    }
}

#[test]
fn headers_of_all_members_of_a_group_count_as_much_as_their_bodies() {
    let stamp = json!({"stamped_headers": ["tag"], "tag": text(90_000)});
    let members = vec![signature("tasks.add", json!([1])); 5000];
    let refused = refused(around("group", &stamp, members));
    assert!(refused.contains("256 MiB"), "{refused}");
}

#[test]
fn numbers_in_headers_count_as_what_they_take_in_memory() {
    let stamp = json!({"stamped_headers": ["tag"], "tag": vec![0; 40_000]});
    let members = vec![signature("tasks.add", json!([1])); 1000];
    let refused = refused(around("group", &stamp, members));
    assert!(refused.contains("256 MiB"), "{refused}");
}

#[test]
fn an_errback_that_is_copied_to_every_step_or_member_is_counted_before() {
    let mut errback = signature("tasks.alarm", json!([text(400_000)]));
    errback["immutable"] = json!(true);
    let linked = json!({"link_error": [errback]});
    let steps = vec![signature("tasks.add", json!([1])); 900];
    let told = refused(around("chain", &linked, steps.clone()));
    assert!(
        told.contains("a message has room for 16 MiB"),
        "of a chain: {told}"
    );
    let told = refused(around("group", &linked, steps));
    assert!(told.contains("256 MiB"), "of a group: {told}");
}

#[test]
fn what_is_copied_on_the_way_and_never_sent_has_an_end_too() {
    let useless = json!({"nobody_knows_this": text(1_000_000)});
    let members = vec![signature("tasks.add", json!([1])); 9000];
    let refused = refused(around("group", &useless, members));
    assert!(refused.contains("to be copied"), "{refused}");
}

#[test]
fn a_message_that_no_broker_takes_is_not_written() {
    let large = signature("tasks.add", json!([text(17 << 20)]));
    let refused = refused(large);
    assert!(
        refused.contains("a message has room for 16 MiB"),
        "{refused}"
    );
}

#[test]
fn as_much_as_a_large_platform_sends_is_sent() {
    let args = json!([text(2000)]);
    let members = vec![signature("tasks.add", args); 9999];
    let stamp = json!({"stamped_headers": ["tag"], "tag": text(200), "link_error": [signature("tasks.alarm", json!([]))]});
    let group = around("group", &stamp, members);
    let embed = Embed {
        callbacks: vec![serde_json::from_value::<Signature>(group).expect("a signature")],
        ..Embed::default()
    };
    let result = serde_json::value::to_raw_value(&text(10_000)).expect("JSON");
    let plain = &captured("task-plain")[0];
    let follows = following(plain, |parent, _| {
        after_success(parent, &embed, Some(&result))
    });
    assert_eq!(follows.expect("called").messages.len(), 9999);
    let steps = vec![signature("tasks.add", json!([1])); 1000];
    let chain = around("chain", &stamp, steps);
    let sent = after(&with_embed(&json!({"callbacks": [chain]})), Some(json!(4)));
    let left = embed_of(&sent[0])["chain"].as_array().map(Vec::len);
    assert_eq!(left, Some(999));
}

#[test]
fn chunks_are_counted_before_they_are_cut() {
    let task = Signature::task("tasks.add").arg(text(100_000));
    assert_eq!(task.can_be_copied(1000), Ok(()));
    let refused = [task.can_be_copied(5000), task.can_be_copied(10_001)];
    for refused in refused {
        let refused = refused.expect_err("too many");
        assert!(refused.contains("256 MiB"), "{refused}");
    }
}

#[test]
fn a_result_is_not_copied_for_more_groups_than_there_is_room_for() {
    let groups = vec![around("group", &json!({}), Vec::new()); 1000];
    let embed = json!({"callbacks": groups}).to_string();
    let embed = Embed::read(&embed).expect("what follows");
    let result = serde_json::value::to_raw_value(&text(2 << 20)).expect("JSON");
    let plain = &captured("task-plain")[0];
    let follows = following(plain, |parent, _| {
        let follows = after_success(parent, &embed, Some(&result));
        follows.map(|follows| follows.messages.len())
    });
    let refused = follows.expect_err("too much");
    assert!(refused.contains("to be copied"), "{refused}");
}

#[test]
fn a_signature_that_nobody_could_take_apart_is_not_begun() {
    let nested = |levels: usize| {
        let (open, close) = (
            r#"{"task":"celery.chain","subtask_type":"chain","kwargs":{"tasks":["#,
            "]}}",
        );
        let one = r#"{"task":"tasks.add"}"#;
        let text = open.repeat(levels) + one + &close.repeat(levels);
        serde_json::from_str::<Signature>(&text).expect("a signature")
    };
    assert_eq!(nested(60).is_flat_enough(), Ok(()));
    let deep = nested(100_000).stamp("tag", "abc");
    let refused = deep.is_flat_enough().expect_err("too deep");
    assert!(refused.contains("256 levels"), "{refused}");
}

#[test]
fn errbacks_of_a_body_that_will_never_be_called_are_counted_together() {
    let came = captured("task-plain").remove(0);
    let failed = |members: usize, errbacks: usize| {
        let errback = json!({"task": "tasks.sorry"});
        let options = json!({"link_error": vec![errback; errbacks]});
        let members = vec![json!({"task": "tasks.add"}); members];
        let body = around("group", &options, members).to_string();
        let body: Signature = serde_json::from_str(&body).expect("a signature");
        following(&came, |parent, _| {
            chord_failed(parent, body.clone()).map(|told| told.0.len())
        })
    };
    assert_eq!(failed(3, 2), Ok(6));
    let many = failed(3000, 3000).expect_err("nine million");
    assert!(many.contains("tasks that follow"), "{many}");
    let compared = failed(9000, 90_000).expect_err("too much to compare");
    assert!(compared.contains("tasks that follow"), "{compared}");
}
