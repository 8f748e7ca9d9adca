//! What follows, held against what Celery 5.7 sent after the same messages.

use super::{Embed, Parent, after_failure, after_success};
use crate::json::header;
use crate::route::Routes;
use chrono::Utc;
use counterfoil_toolbox::message::{Content, HeaderValue, TaskMessage};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Names;
use counterfoil_worker::extension::Message;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The messages of a capture, in their order.
fn captured(name: &str) -> Vec<Value> {
    let path = format!(
        "{}/../toolbox/tests/samples/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("a capture");
    let mut capture: Value = serde_json::from_str(&text).expect("JSON");
    let sample = capture["sample"].take();
    match sample.as_array() {
        Some(messages) => messages.clone(),
        None => vec![sample],
    }
}

fn content(captured: &Value) -> Content {
    let body = captured["body_raw"].as_str().expect("text").to_owned();
    let mut content = Content::json(body);
    for (name, value) in captured["headers"].as_object().expect("headers") {
        content.headers.push(name.clone(), header(value));
    }
    let reply_to = captured["properties"]["reply_to"].as_str();
    content.properties.reply_to = reply_to.map(Into::into);
    content
}

/// What is sent after a captured task that returned this; `None`: it failed.
fn after(captured: &Value, result: Option<Value>) -> Vec<Content> {
    let task = TaskMessage::decode(&content(captured)).expect("a task");
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
    let routes = Routes::new(&names);
    let parent = Parent {
        task: &task.envelope,
        queue: &QueueName::new("tasks").expect("valid"),
        routes: &routes,
        now: Utc::now(),
    };
    let embed = Embed::read(task.payload.embed()).expect("what follows");
    let messages = match result {
        Some(result) => {
            let result = RawValue::from_string(result.to_string()).expect("JSON");
            after_success(parent, &embed, Some(&result))
                .expect("called")
                .messages
        }
        None => after_failure(parent, &embed).expect("called"),
    };
    let content = |message| match message {
        Message::Task { publication, .. } => publication.content,
        Message::Answer(_) | Message::After(_) | Message::Platform(_) => {
            panic!("an answer is no task")
        }
    };
    messages.into_iter().map(content).collect()
}

/// All but what names the sender, and ids that Celery makes up anew each time.
fn compare(ours: &Content, theirs: &Value, is_id_known: bool) {
    let body: Value = serde_json::from_slice(&ours.body).expect("JSON");
    assert_eq!(body, theirs["body"]);
    let told = |name: &str| {
        ours.headers
            .get(name)
            .map_or(Value::Null, HeaderValue::to_json)
    };
    for name in [
        "task",
        "root_id",
        "parent_id",
        "retries",
        "argsrepr",
        "kwargsrepr",
        "eta",
        "expires",
        "stamped_headers",
    ] {
        assert_eq!(told(name), theirs["headers"][name], "{name}");
    }
    if is_id_known {
        assert_eq!(told("id"), theirs["headers"]["id"]);
        let reply_to = ours.properties.reply_to.as_deref();
        assert_eq!(reply_to, theirs["properties"]["reply_to"].as_str());
    }
}

#[test]
fn every_step_of_a_chain_is_sent_as_celery_sends_it() {
    for (name, results) in [
        ("task-chain-all-steps", vec![2, 6]),
        ("task-stamped-chain-all-steps", vec![2]),
    ] {
        let steps = captured(name);
        for (n, result) in results.into_iter().enumerate() {
            let sent = after(&steps[n], Some(json!(result)));
            assert_eq!(sent.len(), 1);
            compare(&sent[0], &steps[n + 1], true);
        }
    }
    let stamped = after(&captured("task-stamped-chain-all-steps")[0], Some(json!(2)));
    assert_eq!(
        stamped[0].headers.get("stamps").expect("stamps").to_json(),
        json!({"mtag": "abc"})
    );
}

#[test]
fn callbacks_and_errbacks_are_sent_as_celery_sends_them() {
    let sent = after(&captured("task-link")[0], Some(json!(3)));
    compare(&sent[0], &captured("task-link-callback")[0], false);
    let sent = after(&captured("task-fail_errback")[0], None);
    let theirs = &captured("task-errback-old-style")[0];
    compare(&sent[0], theirs, false);
    assert_eq!(sent[0].headers.int("group_index"), Some(0));
    assert!(sent[0].headers.text("group").is_some());
}

#[test]
fn what_follows_has_the_same_ids_each_time_and_others_in_another_run() {
    let mut task = captured("task-link").remove(0);
    let id = |task: &Value| {
        let sent = after(task, Some(json!(3)));
        sent[0].headers.text("id").expect("an id").to_owned()
    };
    let first = id(&task);
    assert_eq!(id(&task), first);
    task["headers"]["counterfoil-run"] = json!(1);
    assert_ne!(id(&task), first);
}

/// A task with this behind it, at the end of whose chain the message stands.
fn with_embed(embed: &Value) -> Value {
    let mut task = captured("task-plain").remove(0);
    task["body_raw"] = json!([[2, 2], {}, embed]).to_string().into();
    task
}

fn signature(task: &str, args: Value) -> Value {
    json!({"task": task, "args": args, "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false})
}

fn embed_of(content: &Content) -> Value {
    let body: Value = serde_json::from_slice(&content.body).expect("JSON");
    body[2].clone()
}

#[test]
fn a_chord_sends_who_waits_for_it_before_its_header_whose_members_know_the_body() {
    let chord = json!({
        "task": "celery.chord", "args": [], "options": {}, "subtask_type": "chord", "immutable": false,
        "kwargs": {
            "header": [signature("tasks.add", json!([1])), signature("tasks.add", json!([2]))],
            "body": signature("tasks.xsum", json!([])), "kwargs": {},
        },
    });
    let sent = after(&with_embed(&json!({"chain": [chord]})), Some(json!(4)));
    let names: Vec<_> = sent
        .iter()
        .map(|it| it.headers.text("task").expect("named"))
        .collect();
    assert_eq!(names, ["celery.chord_unlock", "tasks.add", "tasks.add"]);
    let unlock: Value = serde_json::from_slice(&sent[0].body).expect("JSON");
    let (group, body) = (&unlock[0][0], &unlock[0][1]);
    assert_eq!(body["task"], "tasks.xsum");
    assert_eq!(
        sent[0].headers.get("ignore_result"),
        Some(&HeaderValue::Bool(true))
    );
    for (n, member) in sent[1..].iter().enumerate() {
        let told: Value = serde_json::from_slice(&member.body).expect("JSON");
        assert_eq!(
            told[0],
            json!([4, n + 1]),
            "the result comes before its own arguments"
        );
        assert_eq!(&embed_of(member)["chord"], body);
        assert_eq!(member.headers.text("group"), group.as_str());
        let id = member.headers.text("id");
        assert_eq!(unlock[1]["result"][n], json!([[id, null], null]));
    }
}

#[test]
fn a_group_with_a_step_after_it_is_a_chord_and_the_rest_comes_after_its_body() {
    let group = json!({
        "task": "celery.group", "args": [], "options": {}, "subtask_type": "group", "immutable": false,
        "kwargs": {"tasks": [signature("tasks.add", json!([1])), signature("tasks.add", json!([2]))]},
    });
    let one = json!({
        "task": "celery.group", "args": [], "options": {}, "subtask_type": "group", "immutable": false,
        "kwargs": {"tasks": [signature("tasks.add", json!([1]))]},
    });
    let chain = json!({
        "task": "celery.chain", "args": [], "options": {}, "subtask_type": "chain", "immutable": false,
        "kwargs": {"tasks": [group, signature("tasks.xsum", json!([])), signature("tasks.last", json!([]))]},
    });
    let sent = after(&with_embed(&json!({"callbacks": [chain]})), Some(json!(4)));
    let body = &embed_of(&sent[1])["chord"];
    assert_eq!(body["task"], "tasks.xsum");
    assert_eq!(body["options"]["chain"][0]["task"], "tasks.last");
    // Of one member there is nothing to wait for.
    let chain = json!({
        "task": "celery.chain", "args": [], "options": {}, "subtask_type": "chain", "immutable": false,
        "kwargs": {"tasks": [one, signature("tasks.last", json!([]))]},
    });
    let sent = after(&with_embed(&json!({"callbacks": [chain]})), Some(json!(4)));
    assert_eq!(sent.len(), 1);
    assert_eq!(embed_of(&sent[0])["chain"][0]["task"], "tasks.last");
}

#[test]
fn what_is_nested_without_an_end_is_refused() {
    let mut deep = signature("tasks.add", json!([1]));
    for _ in 0..40 {
        deep =
            json!({"task": "celery.chain", "kwargs": {"tasks": [deep]}, "subtask_type": "chain"});
        deep =
            json!({"task": "celery.group", "kwargs": {"tasks": [deep]}, "subtask_type": "group"});
    }
    let signature = serde_json::from_value(deep).expect("a signature");
    let task = TaskMessage::decode(&content(&captured("task-plain")[0])).expect("a task");
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
    let routes = Routes::new(&names);
    let parent = Parent {
        task: &task.envelope,
        queue: &QueueName::new("tasks").expect("valid"),
        routes: &routes,
        now: Utc::now(),
    };
    let embed = Embed {
        callbacks: vec![signature],
        ..Embed::default()
    };
    let refused = after_success(parent, &embed, None).expect_err("too deep");
    assert!(refused.contains("deep in each other"), "{refused}");
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let members = vec![signature("tasks.add", json!([1])); 11_000];
    let group = json!({
        "task": "celery.group", "options": {}, "subtask_type": "group", "kwargs": {"tasks": members},
    });
    let task = TaskMessage::decode(&content(&captured("task-plain")[0])).expect("a task");
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
    let routes = Routes::new(&names);
    let parent = Parent {
        task: &task.envelope,
        queue: &QueueName::new("tasks").expect("valid"),
        routes: &routes,
        now: Utc::now(),
    };
    let embed = Embed {
        callbacks: vec![serde_json::from_value(group).expect("a signature")],
        ..Embed::default()
    };
    let refused = after_success(parent, &embed, None).expect_err("too many");
    assert!(refused.contains("tasks that follow"), "{refused}");
}
