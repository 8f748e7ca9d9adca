//! Events, held against those of Celery 5.7 in the same cases.

use super::event::{Event, Kind, Origin};
use super::sending::OfWorker;
use super::{sent, task};
use crate::node::Node;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{Exception, FaultKind, TaskFault};
use counterfoil_toolbox::message::{Content, Envelope, Headers, Payload, TaskMessage, names};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::transport::Publication;
use counterfoil_worker::extension::{HeadersOf, Step, Subject};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// An event as Celery sent it, in this case.
fn captured(case: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let text = std::fs::read_to_string(folder.join(format!("event-{case}.json")));
    let capture: Value = serde_json::from_str(&text.expect("a capture")).expect("JSON");
    capture["sample"].clone()
}

/// What a worker sends when a task takes a step.
fn said(content: &Content, step: &Step<'_>, ran_for: Option<Duration>) -> Vec<Publication> {
    let TaskMessage { envelope, payload } = TaskMessage::decode(content).expect("a task");
    sent_of((&envelope, &payload, &content.headers), step, ran_for)
}

fn sent_of(
    (envelope, payload, headers): (&Envelope, &Payload, &Headers),
    step: &Step<'_>,
    ran_for: Option<Duration>,
) -> Vec<Publication> {
    let (queue, exchange) = (QueueName::new("tasks"), ExchangeName::new("task_exchange"));
    let (queue, exchange) = (queue.expect("valid"), exchange.expect("valid"));
    let key = RoutingKey::new("tasks.any").expect("valid");
    let worker = "tasks@host.1.a".parse().expect("valid");
    let subject = Subject {
        envelope,
        payload: Some(payload),
        headers: HeadersOf::from(headers),
        queue: &queue,
        exchange: &exchange,
        routing_key: &key,
        redelivered: false,
        worker: &worker,
        service: "a",
        lineage: Lineage::default(),
        ran_for,
        ignores_result: false,
    };
    let told = task::told(&subject, step).into_iter().flatten();
    let node = Node::default();
    let events = told.map(|(kind, what)| Event::new(kind, origin(&node), at(), &what));
    events.map(publication).collect()
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_795_288_126_521_182).expect("a time")
}

fn origin(node: &Node) -> Origin<'_> {
    Origin {
        hostname: "tasks@host.1.a",
        node,
    }
}

fn publication(event: Event) -> Publication {
    event.to("celeryev".parse().expect("valid"), "tasks@host.1.a")
}

/// The message of the task of an event.
fn message(event: &Value) -> Content {
    let mut content = Content::json("[[2, 2], {}, {}]");
    content.headers.push("task", "tasks.add");
    content
        .headers
        .push("id", event["uuid"].as_str().expect("an id"));
    content
}

fn raised(name: &str, args: &[Value], traceback: &Value) -> TaskFault {
    let exception = Exception::new(name, args.to_vec());
    TaskFault {
        exception: Some(Box::new(exception)),
        traceback: traceback.as_str().map(Into::into),
        ..TaskFault::new(FaultKind::Exception, "raised")
    }
}

/// What differs between one process and the next, and what we leave out.
const OF_THE_PROCESS: [&str; 5] = ["hostname", "utcoffset", "pid", "clock", "timestamp"];

fn compare(ours: &Publication, theirs: &Value) {
    let kind = theirs["event"]["type"].as_str().expect("a type");
    assert_eq!(ours.routing_key.as_str(), kind.replace('-', "."));
    let properties = &ours.content.properties;
    assert!(!properties.persistent, "it is kept");
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(properties.content_encoding.as_deref(), Some("utf-8"));
    let headers = &ours.content.headers;
    assert_eq!(headers.text("hostname"), Some("tasks@host.1.a"));
    assert_eq!(
        headers.text(names::BY_COUNTERFOIL),
        Some(env!("CARGO_PKG_VERSION"))
    );
    let mut ours: Value = serde_json::from_slice(&ours.content.body).expect("JSON");
    assert_eq!(ours["hostname"], "tasks@host.1.a");
    assert_eq!(ours["timestamp"], json!(1_795_288_126.521_182));
    assert_eq!(ours["pid"], std::process::id());
    assert!(ours["clock"].is_u64() && ours["utcoffset"].is_null());
    let mut theirs = theirs["event"].clone();
    if let Some(runtime) = theirs["runtime"].as_f64() {
        theirs["runtime"] = json!((runtime * 1e9).round() / 1e9);
    }
    for event in [&mut ours, &mut theirs] {
        let fields = event.as_object_mut().expect("fields");
        fields.retain(|name, _| !OF_THE_PROCESS.contains(&name.as_str()));
    }
    assert_eq!(ours, theirs);
}

#[test]
fn every_captured_event_of_a_task_is_sent_as_celery_sent_it() {
    let result = RawValue::from_string("4".into()).expect("JSON");
    for case in [
        "task-received",
        "task-started",
        "task-succeeded",
        "task-failed",
        "task-failed-soft-timelimit",
        "task-retried",
        "task-revoked",
    ] {
        let theirs = captured(case);
        let event = &theirs["event"];
        let (message, traceback) = (message(event), &event["traceback"]);
        let ran_for = event["runtime"].as_f64().map(Duration::from_secs_f64);
        let fault = match case {
            "task-failed" => raised("ValueError", &[json!("boom"), json!(1)], traceback),
            "task-failed-soft-timelimit" => raised("SoftTimeLimitExceeded", &[], traceback),
            "task-retried" => raised("ValueError", &[json!("again")], traceback),
            _ => TaskFault::new(FaultKind::Expired, "too late"),
        };
        let step = match case {
            "task-received" => Step::Received,
            "task-started" => Step::Started,
            "task-succeeded" => Step::Succeeded(Some(&result)),
            "task-retried" => Step::Retried(&fault, Duration::ZERO),
            "task-revoked" => Step::Revoked(&fault),
            _ => Step::Failed(&fault),
        };
        let sent = said(&message, &step, ran_for);
        let [ours] = &sent[..] else {
            panic!("{case}: {sent:?}");
        };
        compare(ours, &theirs);
    }
}

#[test]
fn that_a_task_was_sent_is_told_as_celery_tells_it() {
    let mut theirs = captured("task-sent");
    // Tasks of ours go to an exchange, and nobody here knows which queues it leads to.
    theirs["event"]["queue"] = Value::Null;
    theirs["event"]["exchange"] = json!("task_exchange");
    theirs["event"]["routing_key"] = json!("tasks.add");
    let task = Publication {
        exchange: ExchangeName::new("task_exchange").expect("valid"),
        routing_key: RoutingKey::new("tasks.add").expect("valid"),
        content: message(&theirs["event"]),
    };
    let node = Node::default();
    let event = sent::told(&task, origin(&node), at()).expect("a task");
    compare(&publication(event), &theirs);
    let none = Publication {
        content: Content::json("{}"),
        ..task
    };
    assert!(sent::told(&none, origin(&node), at()).is_none());
}

#[test]
fn a_task_that_was_cancelled_while_it_ran_is_terminated_without_a_signal() {
    let mut theirs = captured("task-revoked-terminated");
    theirs["event"]["signum"] = Value::Null;
    let fault = TaskFault::new(FaultKind::Cancelled, "nobody wants it");
    let message = message(&theirs["event"]);
    let sent = said(&message, &Step::Revoked(&fault), Some(Duration::ZERO));
    compare(&sent[0], &theirs);
}

#[test]
fn what_a_handler_rejects_fails_and_is_rejected_and_what_is_put_off_is_queued_again() {
    let theirs = captured("task-rejected");
    let message = message(&theirs["event"]);
    let fault = TaskFault::new(FaultKind::Rejected, "nope");
    let sent_now = said(&message, &Step::Failed(&fault), None);
    let [failed, rejected] = &sent_now[..] else {
        panic!("{sent_now:?}");
    };
    let failed: Value = serde_json::from_slice(&failed.content.body).expect("JSON");
    assert_eq!(
        (&failed["type"], &failed["exception"]),
        (&json!("task-failed"), &json!("reject requeue=False: nope"))
    );
    compare(rejected, &theirs);
    let put_off = said(&message, &Step::PutOff, None);
    let put_off: Value = serde_json::from_slice(&put_off[0].content.body).expect("JSON");
    assert_eq!(
        (&put_off["type"], &put_off["requeue"]),
        (&json!("task-rejected"), &json!(true))
    );
}

#[test]
fn arguments_are_told_as_the_sender_prints_them_or_else_as_celery_would() {
    let mut content = message(&json!({"uuid": "t1"}));
    content.body = r#"[["secret", [1.50]], {"x": null}, {}]"#.into();
    let received = |content: &Content| -> Value {
        let sent = said(content, &Step::Received, None);
        serde_json::from_slice(&sent[0].content.body).expect("JSON")
    };
    let event = received(&content);
    assert_eq!(event["args"], "('secret', [1.5])");
    assert_eq!(event["kwargs"], "{'x': None}");
    for (header, text) in [
        ("argsrepr", "(***, [1.5])"),
        ("kwargsrepr", "{'x': ***}"),
        ("shadow", "another.name"),
        ("eta", "2026-11-28T22:00:00+01:00"),
        ("expires", "2026-11-28T22:00:00.25+00:00"),
        ("root_id", "t0"),
        ("parent_id", "t0"),
    ] {
        content.headers.push(header, text);
    }
    content.headers.push("retries", 2);
    let event = received(&content);
    let fields = [
        "name",
        "args",
        "kwargs",
        "eta",
        "expires",
        "root_id",
        "parent_id",
        "retries",
    ];
    assert_eq!(
        json!(fields.map(|field| event[field].clone())),
        json!([
            "another.name",
            "(***, [1.5])",
            "{'x': ***}",
            "2026-11-28T21:00:00+00:00",
            "2026-11-28T22:00:00.250000+00:00",
            "t0",
            "t0",
            2
        ])
    );
}

#[test]
fn signs_of_life_have_the_fields_of_those_of_celery() {
    for (kind, case) in [
        (Kind::WorkerOnline, "worker-online"),
        (Kind::WorkerHeartbeat, "worker-heartbeat"),
        (Kind::WorkerOffline, "worker-offline"),
    ] {
        let mut theirs = captured(case);
        let event = &mut theirs["event"];
        (event["sw_ident"], event["sw_ver"]) = (json!("counterfoil"), json!("1.2.3"));
        let load: Vec<f64> = serde_json::from_value(event["loadavg"].clone()).expect("numbers");
        let told = OfWorker {
            freq: event["freq"].as_f64().expect("seconds"),
            sw_ident: "counterfoil",
            sw_ver: "1.2.3",
            sw_sys: "Linux",
            active: event["active"].as_u64().expect("a count"),
            processed: event["processed"].as_u64().expect("a count"),
            loadavg: load.try_into().expect("three"),
        };
        let node = Node::default();
        let event = Event::new(kind, origin(&node), at(), &told);
        compare(&publication(event), &theirs);
    }
}
