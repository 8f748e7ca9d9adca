//! Answers, held against those of Celery 5.7 in the same cases.

#[path = "extension/unlocking_tests.rs"]
mod unlocking;

use super::*;
use counterfoil_toolbox::event::{Exception, FaultKind, Progress, TaskFault};
use counterfoil_toolbox::message::{Envelope, Headers, Payload, TaskMessage, encode};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::state::Lineage;
use counterfoil_worker::extension::HeadersOf;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const CALLER: &str = "b5d5bbe3-b71d-3d77-b9d9-2b312cd6968a";

/// Every captured answer, by its name.
fn captured() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let entries = std::fs::read_dir(folder).expect("captures");
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).expect("a capture");
        let capture: Value = serde_json::from_str(&text).expect("JSON");
        let name = entry.file_name().to_string_lossy().replace(".json", "");
        (name, capture["sample"].clone())
    };
    let mut all: Vec<_> = entries
        .map(|entry| read(entry.expect("an entry")))
        .filter(|(name, _)| name.starts_with("rpc-result-"))
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// The fault of ours that stands behind an exception of Celery.
fn fault(exception: &Value) -> TaskFault {
    let kind = match exception["exc_type"].as_str().expect("a name") {
        "NotRegistered" => FaultKind::UnknownTask,
        "TimeLimitExceeded" => FaultKind::TimeLimit,
        "Reject" => FaultKind::Rejected,
        "TaskRevokedError" if exception["exc_message"][0] == "expired" => FaultKind::Expired,
        "TaskRevokedError" => FaultKind::Cancelled,
        _ => {
            // As handlers raise them.
            let args = exception["exc_message"]
                .as_array()
                .expect("arguments")
                .clone();
            let raised = Exception::new(exception["exc_type"].as_str().expect("a name"), args);
            let module = exception["exc_module"].as_str().expect("a module");
            return TaskFault {
                exception: Some(Box::new(raised.of_module(module))),
                ..TaskFault::new(FaultKind::Exception, "raised")
            };
        }
    };
    let message = exception["exc_message"][0].as_str().unwrap_or("ended");
    TaskFault::new(kind, message)
}

/// The payload of a task that calls the children of a captured answer.
fn calling(body: &Value) -> Payload {
    let children = body["children"].as_array().expect("a list");
    let callback = |child: &Value| json!({"task": "tasks.any", "args": [], "kwargs": {}, "options": {"task_id": child[0][0]}});
    let callbacks: Vec<_> = children.iter().map(callback).collect();
    let envelope = Envelope::new("t1".parse().expect("valid"), "a.b".parse().expect("valid"));
    let mut content = encode(&envelope, "[]", "{}");
    let embed = json!({"callbacks": callbacks, "errbacks": null, "chain": null, "chord": null});
    content.body = json!([[], {}, embed]).to_string().into_bytes().into();
    TaskMessage::decode(&content).expect("a task").payload
}

/// What we answer in the case of a captured answer.
fn answer(body: &Value) -> Value {
    let id = body["task_id"].as_str().expect("an id");
    let name = match body["result"]["exc_type"] == "NotRegistered" {
        true => body["result"]["exc_message"][0].as_str().expect("a name"),
        false => "tasks.any",
    };
    let mut envelope = Envelope::new(id.parse().expect("valid"), name.parse().expect("valid"));
    envelope.reply_to = Some(CALLER.into());
    envelope.time_limits.hard = Some(Duration::from_secs(1));
    envelope.parent_id = body["parent_id"]
        .as_str()
        .map(|id| id.parse().expect("valid"));
    let result = RawValue::from_string(body["result"].to_string()).expect("JSON");
    let fault = || fault(&body["result"]);
    let say = |celery: &Celery, subject: &Subject<'_>| match body["status"].as_str() {
        Some("SUCCESS") => celery.messages(subject, &Step::Succeeded(Some(&result))),
        Some("FAILURE") => celery.messages(subject, &Step::Failed(&fault())),
        Some("REVOKED") => celery.messages(subject, &Step::Revoked(&fault())),
        Some("RETRY") => {
            let fault = fault();
            let reply = celery.meanwhile(subject, &Step::Retried(&fault, Duration::from_secs(1)));
            let reply = reply.expect("it is told");
            Ok(vec![Caller::At(CALLER).message(&reply).expect("a queue")])
        }
        Some("PROGRESS") => {
            let reply = Reply::new(subject.envelope, "PROGRESS", result.clone());
            Ok(vec![Caller::At(CALLER).message(&reply).expect("a queue")])
        }
        other => panic!("{other:?}: no case of ours"),
    };
    let was_started = body["result"]["exc_message"][0] == "terminated";
    let ran_for = was_started.then_some(Duration::ZERO);
    let messages = of_message((&envelope, Some(&calling(body))), ran_for, say);
    let mut messages = messages.expect("said");
    // The others are not for him.
    messages.retain(|message| matches!(message, Message::Answer { .. }));
    let [Message::Answer { publication, .. }] = &messages[..] else {
        panic!("one answer is given");
    };
    assert!(publication.exchange.is_default());
    assert_eq!(publication.routing_key.as_str(), CALLER);
    assert!(!publication.content.properties.persistent);
    let correlation = publication.content.properties.correlation_id.as_deref();
    assert_eq!(correlation, Some(id));
    serde_json::from_slice(&publication.content.body).expect("JSON")
}

#[test]
fn every_captured_answer_is_given_as_celery_gave_it() {
    let all = captured();
    assert!(all.len() >= 20, "{}", all.len());
    for (name, sample) in all {
        let theirs = &sample["body"];
        let ours = answer(theirs);
        let fields = |it: &Value| -> BTreeSet<String> {
            it.as_object().expect("fields").keys().cloned().collect()
        };
        assert_eq!(fields(&ours), fields(theirs), "{name}");
        for field in ["task_id", "status", "result", "parent_id", "group_id"] {
            assert_eq!(ours[field], theirs[field], "{name}: {field}");
        }
        // Celery's task that is tried again is its own child: ours says that of none.
        if theirs["status"] != "RETRY" {
            assert_eq!(ours["children"], theirs["children"], "{name}: children");
        }
        for field in ["date_done", "traceback"] {
            let is_null = |it: &Value| it[field].is_null();
            assert_eq!(is_null(&ours), is_null(theirs), "{name}: {field}");
        }
    }
}

/// What is said of a task without arguments.
fn of_task<T>(
    envelope: &Envelope,
    ran_for: Option<Duration>,
    say: impl FnOnce(&Celery, &Subject<'_>) -> T,
) -> T {
    of_message((envelope, None), ran_for, say)
}

fn of_message<T>(
    (envelope, payload): (&Envelope, Option<&Payload>),
    ran_for: Option<Duration>,
    say: impl FnOnce(&Celery, &Subject<'_>) -> T,
) -> T {
    let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
    let (queue, exchange) = (QueueName::new("a"), ExchangeName::new("task_exchange"));
    let worker = "a@h.1.a".parse().expect("valid");
    let (queue, exchange) = (queue.expect("valid"), exchange.expect("valid"));
    let (headers, key) = (Headers::new(), RoutingKey::new("a.b").expect("valid"));
    let subject = Subject {
        envelope,
        payload,
        headers: HeadersOf::from(&headers),
        queue: &queue,
        exchange: &exchange,
        routing_key: &key,
        redelivered: false,
        worker: &worker,
        service: "a",
        lineage: Lineage::default(),
        ran_for,
        ignores_result: envelope.ignore_result == Some(true),
    };
    say(&Celery::new(&names), &subject)
}

#[test]
fn a_caller_who_wants_no_answer_gets_none() {
    let mut envelope = Envelope::new("t1".parse().expect("valid"), "a.b".parse().expect("valid"));
    let said = |celery: &Celery, subject: &Subject<'_>| {
        let progress = Progress {
            current: 1,
            total: None,
            message: None,
        };
        celery.heard(subject, &Step::Progress(&progress));
        celery
            .messages(subject, &Step::Succeeded(None))
            .expect("said")
            .iter()
            .filter(|message| matches!(message, Message::Answer { .. }))
            .count()
    };
    assert_eq!(of_task(&envelope, None, said), 0, "nobody waits");
    envelope.reply_to = Some(CALLER.into());
    assert_eq!(of_task(&envelope, None, said), 1);
    let silent =
        |celery: &Celery, subject: &Subject<'_>| said(&celery.clone().without_replies(), subject);
    assert_eq!(of_task(&envelope, None, silent), 0);
    envelope.ignore_result = Some(true);
    assert_eq!(of_task(&envelope, None, said), 0);
}

#[test]
fn with_a_large_result_goes_what_is_told_where_the_broker_does_not_take_it() {
    let mut envelope = Envelope::new("t1".parse().expect("valid"), "a.b".parse().expect("valid"));
    envelope.reply_to = Some(CALLER.into());
    let instead = |bytes: usize| {
        let result = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).expect("JSON");
        let said = of_task(&envelope, None, |celery, subject| {
            celery.messages(subject, &Step::Succeeded(Some(&result)))
        });
        let mut messages = said.expect("said");
        let Some(Message::Answer { instead, .. }) = messages.pop() else {
            panic!("an answer is given");
        };
        instead
    };
    assert!(instead(50_000).is_none());
    let told = instead(100_000).expect("something is told instead");
    assert_eq!(told.routing_key.as_str(), CALLER);
    let body: Value = serde_json::from_slice(&told.content.body).expect("JSON");
    assert_eq!(
        (&body["status"], &body["task_id"]),
        (&json!("FAILURE"), &json!("t1"))
    );
    assert_eq!(body["result"]["exc_type"], "EncodeError");
    assert!(
        body["result"]["exc_message"]
            .to_string()
            .contains("bytes long"),
        "{body}"
    );
}

/// A task with a step after it, and an errback.
fn task_with_a_step_and_an_errback() -> TaskMessage {
    let envelope = Envelope::new("t1".parse().expect("valid"), "a.b".parse().expect("valid"));
    let mut content = encode(&envelope, "[1e400]", "{}");
    let next = json!({"task": "a.c", "args": [7], "kwargs": {}, "options": {"task_id": "t2", "reply_to": CALLER}});
    let errback = json!({"task": "a.sorry", "args": [1], "kwargs": {}, "options": {}});
    let embed = json!({"callbacks": null, "errbacks": [errback], "chain": [next], "chord": null});
    // Python writes numbers that no other has.
    content.body = format!("[[1e400], {{}}, {embed}]").into_bytes().into();
    TaskMessage::decode(&content).expect("a task")
}

#[test]
fn steps_after_a_task_that_was_revoked_are_told_to_be_never_taken_and_no_errback_is_called() {
    let message = task_with_a_step_and_an_errback();
    let said = |step: &Step<'_>| {
        let came = (&message.envelope, Some(&message.payload));
        let messages = of_message(came, None, |celery, subject| celery.messages(subject, step));
        let (mut sent, mut skipped, mut answers) = (0, Vec::new(), Vec::<Value>::new());
        for message in messages.expect("said") {
            match message {
                Message::After(after) => skipped.extend(after.skipped.into_iter().map(|it| it.id)),
                Message::Answer { publication, .. } => {
                    let body = serde_json::from_slice(&publication.content.body);
                    answers.push(body.expect("JSON"));
                }
                Message::Task { .. } | Message::Platform(_) => sent += 1,
            }
        }
        let [answer] = &answers[..] else {
            panic!("{answers:?}");
        };
        let told = ["task_id", "status"].map(|field| answer[field].clone());
        (sent, skipped, told, answer["result"]["exc_type"].clone())
    };
    let t2 = || vec!["t2".parse().expect("valid")];
    let told = || [json!("t2"), json!("FAILURE")];
    let cancelled = TaskFault::new(FaultKind::Cancelled, "by ada");
    let revoked = said(&Step::Revoked(&cancelled));
    assert_eq!(revoked, (0, t2(), told(), json!("TaskRevokedError")));
    let failed = TaskFault::new(FaultKind::Panic, "oh");
    let failed = said(&Step::Failed(&failed));
    assert_eq!(failed, (1, t2(), told(), json!("Panic")));
}

#[test]
fn an_errback_gets_the_id_or_the_exception_as_the_worker_was_told() {
    let message = task_with_a_step_and_an_errback();
    let raised = Exception::new("ValueError", ["nope"]).of_module("builtins");
    let mut fault = TaskFault::new(FaultKind::Exception, "nope");
    fault.exception = Some(Box::new(raised));
    let args = |is_new: bool| {
        let came = (&message.envelope, Some(&message.payload));
        let messages = of_message(came, None, |celery, subject| {
            let celery = celery.clone();
            let celery = match is_new {
                true => celery.new_style_errback("a.sorry".parse().expect("valid")),
                false => celery,
            };
            celery.messages(subject, &Step::Failed(&fault))
        });
        let called = messages
            .expect("said")
            .into_iter()
            .find_map(|message| match message {
                Message::Task { publication, .. } => Some(publication.content),
                Message::After(_) | Message::Answer { .. } | Message::Platform(_) => None,
            });
        let called = TaskMessage::decode(&called.expect("it is called")).expect("a task");
        assert_eq!(called.envelope.name.as_str(), "a.sorry");
        assert!(called.envelope.origin.is_some(), "who sends it");
        called.payload.args().to_owned()
    };
    let read = |args: &str| serde_json::from_str::<Value>(args).expect("JSON");
    assert_eq!(read(&args(false)), json!(["t1", 1]));
    let told = args(true);
    assert!(told.contains(r#""args":[1e400]"#), "as it was: {told}");
    let told = read(&told.replace("1e400", "4"));
    assert_eq!(told[0]["id"], "t1");
    let exception =
        json!({"exc_type": "ValueError", "exc_message": ["nope"], "exc_module": "builtins"});
    assert_eq!(
        told.as_array().map(|it| &it[1..]),
        Some(&[exception, json!("ValueError: nope"), json!(1)][..])
    );
}
