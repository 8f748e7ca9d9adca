//! What follows, held against what Celery 5.7 sent after the same messages.

mod ends;
mod forms;
mod limits;

use super::{Embed, Ids, Parent, Signature, after_failure, after_success};
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

/// Calls `then` as what follows after a captured task.
fn following<T>(captured: &Value, then: impl FnOnce(Parent<'_>, &TaskMessage) -> T) -> T {
    let task = TaskMessage::decode(&content(captured)).expect("a task");
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
    let parent = Parent {
        task: Some(&task.envelope),
        queue: Some(&QueueName::new("tasks").expect("valid")),
        routes: &Routes::new(&names),
        now: Utc::now(),
        ids: Ids::Follow,
    };
    then(parent, &task)
}

/// What is sent after a captured task that returned this; `None`: it failed.
fn after(captured: &Value, result: Option<Value>) -> Vec<Content> {
    let messages = following(captured, |parent, task| {
        let embed = Embed::read(task.payload.embed()).expect("what follows");
        match result {
            Some(result) => {
                let result = RawValue::from_string(result.to_string()).expect("JSON");
                let follows = after_success(parent, &embed, Some(&result));
                follows.expect("called").messages
            }
            None => after_failure(parent, &embed, None).expect("called"),
        }
    });
    let content = |message| match message {
        Message::Task { publication, .. } => publication.content,
        Message::Answer { .. } | Message::After(_) | Message::Platform(_) => {
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

/// Why a callback is not called.
fn refused(callback: Value) -> String {
    let embed = Embed {
        callbacks: vec![serde_json::from_value(callback).expect("a signature")],
        ..Embed::default()
    };
    let plain = &captured("task-plain")[0];
    let called = following(plain, |parent, _| after_success(parent, &embed, None));
    let called = called.map(|follows| follows.messages.len());
    called.expect_err("it cannot be called")
}

/// The header of each task that follows after a callback.
fn told(callback: &Signature, header: &str) -> Vec<Value> {
    let callback = serde_json::to_value(callback).expect("JSON");
    let sent = after(
        &with_embed(&json!({"callbacks": [callback]})),
        Some(json!(4)),
    );
    let told = |it: &Content| {
        it.headers
            .get(header)
            .map_or(Value::Null, HeaderValue::to_json)
    };
    sent.iter().map(told).collect()
}

fn limited(signature: Signature, seconds: u64) -> Signature {
    signature.time_limit(std::time::Duration::from_secs(seconds))
}

#[test]
fn options_of_a_group_are_those_of_its_members_and_go_before_their_own() {
    let of_its_own = limited(Signature::task("tasks.add").arg(1), 5);
    let members = [of_its_own, Signature::task("tasks.add").arg(2)];
    let group = limited(Signature::group(members.clone()), 60);
    assert_eq!(
        told(&group, "timelimit"),
        [json!([60.0, null]), json!([60.0, null])]
    );
    let [of_its_own, other] = told(&Signature::group(members), "timelimit")
        .try_into()
        .expect("two");
    assert_eq!((of_its_own, other), (json!([5.0, null]), Value::Null));
}

#[test]
fn options_of_a_chain_are_those_of_its_first_step() {
    let chain = crate::chain![
        Signature::task("tasks.add").arg(1),
        Signature::task("tasks.add").arg(2)
    ];
    let chain = serde_json::to_value(limited(chain, 60)).expect("JSON");
    let sent = after(&with_embed(&json!({"callbacks": [chain]})), Some(json!(4)));
    assert_eq!(
        sent[0].headers.get("timelimit").expect("a limit").to_json(),
        json!([60.0, null])
    );
    assert_eq!(
        embed_of(&sent[0])["chain"][0]["options"].get("time_limit"),
        None
    );
}

#[test]
fn a_chord_waits_before_its_header_and_passes_all_else_on_to_both() {
    let wait = std::time::Duration::from_secs(30);
    let header = [
        Signature::task("tasks.add").arg(1),
        Signature::task("tasks.add").arg(2),
    ];
    let chord = Signature::chord(header, Signature::task("tasks.sum")).countdown(wait);
    let chord = limited(chord, 60);
    let etas = told(&chord, "eta");
    assert!(
        etas[1..].iter().all(|eta| eta.as_str() > etas[0].as_str()),
        "{etas:?}"
    );
    let limits = told(&chord, "timelimit");
    assert_eq!(limits[1..], [json!([60.0, null]), json!([60.0, null])]);
    let chord = serde_json::to_value(&chord).expect("JSON");
    let sent = after(&with_embed(&json!({"callbacks": [chord]})), Some(json!(4)));
    let body = &embed_of(&sent[1])["chord"]["options"];
    assert_eq!(
        (&body["time_limit"], body.get("countdown")),
        (&json!(60.0), None)
    );
}

#[test]
fn a_stamp_is_on_all_that_is_called() {
    let add = || Signature::task("tasks.add").arg(1);
    let all = Signature::group([add(), crate::chain![add(), add()]]).stamp("tag", "abc");
    assert_eq!(
        told(&all, "stamps"),
        [json!({"tag": "abc"}), json!({"tag": "abc"})]
    );
    let all = serde_json::to_value(&all).expect("JSON");
    let sent = after(&with_embed(&json!({"callbacks": [all]})), Some(json!(4)));
    assert_eq!(embed_of(&sent[1])["chain"][0]["options"]["tag"], "abc");
}

#[test]
fn the_result_of_a_chain_tells_what_comes_before_it_of_which_only_the_last_steps() {
    let add = |n: usize| {
        Signature::task("tasks.add")
            .arg(n)
            .id(&format!("t{n}").parse().expect("valid"))
    };
    let callback =
        |steps| serde_json::to_value(Signature::chain((0..steps).map(add))).expect("JSON");
    let awaited = |steps| {
        let plain = &captured("task-plain")[0];
        let embed = json!({"callbacks": [callback(steps)]}).to_string();
        let embed = Embed::read(&embed).expect("what follows");
        let follows = following(plain, |parent, _| after_success(parent, &embed, None));
        follows.expect("called").children[0].to_json()
    };
    assert_eq!(awaited(1), json!([["t0", null], null]));
    assert_eq!(
        awaited(3),
        json!([["t2", [["t1", [["t0", null], null]], null]], null])
    );
    let depth = awaited(1000).to_string().matches("[[").count();
    assert_eq!(depth, 16);
}
