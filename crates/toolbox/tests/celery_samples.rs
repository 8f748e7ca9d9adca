//! Task messages captured from a real Celery 5.7: every one is read.

use counterfoil_toolbox::message::{Content, HeaderValue, Headers, TaskMessage, Undecodable, json};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The messages of one capture, in order.
fn sample(name: &str) -> Vec<Content> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(format!("task-{name}.json"));
    let text = std::fs::read_to_string(&path).expect("the sample is there");
    // The captures show Python's NaN as Python writes it.
    let capture: Value =
        serde_json::from_str(&json::without_nan(&text)).expect("the sample is JSON");
    let sample = &capture["sample"];
    match sample.as_array() {
        Some(messages) => messages.iter().map(content).collect(),
        None => vec![content(sample)],
    }
}

fn content(message: &Value) -> Content {
    let raw = &message["body_raw"];
    let body = match raw.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => unhex(raw["__bytes__"].as_str().expect("hex")),
    };
    let mut content = Content::json(body);
    let property = |name: &str| message["properties"][name].as_str().map(Into::into);
    content.properties.content_type = property("content_type");
    content.properties.content_encoding = property("content_encoding");
    content.properties.correlation_id = property("correlation_id");
    content.properties.reply_to = property("reply_to");
    content.headers = headers(&message["headers"]);
    content
}

fn headers(object: &Value) -> Headers {
    let members = object.as_object().expect("a table");
    members
        .iter()
        .map(|(name, value)| (name.clone().into(), header(value)))
        .collect()
}

fn header(value: &Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(flag) => HeaderValue::Bool(*flag),
        Value::Number(number) => number.as_i64().map_or_else(
            || HeaderValue::Float(number.as_f64().expect("a number")),
            HeaderValue::Int,
        ),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => HeaderValue::List(items.iter().map(header).collect()),
        Value::Object(_) => HeaderValue::Table(headers(value)),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn decode(name: &str) -> Vec<Result<TaskMessage, Undecodable>> {
    sample(name).iter().map(TaskMessage::decode).collect()
}

fn only(name: &str) -> TaskMessage {
    let [task] = <[_; 1]>::try_from(decode(name)).expect("one message");
    task.expect("decodes")
}

#[test]
fn every_capture_in_a_format_that_we_read_decodes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("the samples are there") {
        let file = entry
            .expect("readable")
            .file_name()
            .into_string()
            .expect("ASCII");
        let Some(name) = file.strip_prefix("task-") else {
            continue;
        };
        let name = name.trim_end_matches(".json");
        for task in decode(name) {
            match (name, task) {
                ("serializer-pickle" | "serializer-yaml", Err(refused)) => {
                    assert!(
                        refused.reason.ends_with(
                            "is not supported: send JSON, in Celery task_serializer = \"json\""
                        ),
                        "{}",
                        refused.reason
                    );
                    assert_eq!(
                        refused.envelope.expect("the headers are good").name,
                        "tasks.add"
                    );
                }
                (_, Ok(task)) => {
                    assert!(!task.envelope.id.as_str().is_empty());
                    serde_json::from_str::<Vec<Value>>(task.payload.args()).expect("an array");
                    serde_json::from_str::<serde_json::Map<String, Value>>(task.payload.kwargs())
                        .expect("an object");
                    read += 1;
                }
                (name, Err(refused)) => panic!("{name}: {refused}"),
            }
        }
    }
    assert_eq!(read, 36, "messages in the captures");
}

#[test]
fn compressed_and_msgpack_bodies_hold_the_same_arguments_as_plain_ones() {
    for name in ["compressed-gzip", "compressed-bzip2"] {
        let args = only(name).payload.args().to_owned();
        assert!(
            args.starts_with("[\"xxxx") || args.starts_with("[1"),
            "{name}: {args:.20}"
        );
    }
    assert_eq!(only("serializer-msgpack").payload.args(), "[1,2]");
}

#[test]
fn options_of_the_sender_are_understood() {
    let options = only("options").envelope;
    assert!(
        options.time_limits.hard.is_some() && options.time_limits.soft.is_some(),
        "{options:?}"
    );
    assert!(
        options.time_limits.hard >= options.time_limits.soft,
        "hard comes first"
    );
    let ignored = only("ignore_result").envelope;
    assert_eq!(ignored.ignore_result, Some(true));
    let expired = only("expired_past").envelope;
    assert!(expired.expires.is_some_and(|at| at < chrono::Utc::now()));
}

#[test]
fn every_form_of_eta_means_one_moment() {
    for name in ["countdown-berlin", "eta-naive", "eta-offset"] {
        assert!(only(name).envelope.eta.is_some(), "{name}");
    }
}

#[test]
fn a_retry_says_which_execution_it_is_and_who_its_parent_was() {
    let [first, again] = <[_; 2]>::try_from(decode("retry-sequence")).expect("two messages");
    let (first, again) = (
        first.expect("decodes").envelope,
        again.expect("decodes").envelope,
    );
    assert_eq!(
        (first.retries, again.retries, again.lineage.executions),
        (0, 1, 1)
    );
    assert_eq!(first.id, again.id);
    assert_eq!(again.parent_id, Some(again.id.clone()));
}

#[test]
fn a_delayed_task_brings_no_traces_of_the_levels_into_its_own_headers() {
    let task = only("native-delayed-delivered").envelope;
    assert!(
        task.extra.iter().all(|(name, _)| !name.starts_with("x-")),
        "{:?}",
        task.extra
    );
}

#[test]
fn old_messages_without_headers_are_read_from_their_body() {
    let task = only("protocol-v1");
    assert_eq!(task.envelope.name, "tasks.add");
    assert_eq!(task.payload.args(), "[1, 2]");
    assert_eq!(task.envelope.time_limits.hard, None::<Duration>);
    assert_eq!(
        task.envelope.eta.map(|at| at.to_rfc3339()).as_deref(),
        Some("2026-11-21T19:10:11.047922+00:00")
    );
    let embed: Value = serde_json::from_str(task.payload.embed()).expect("JSON");
    assert_eq!(embed["callbacks"][0]["task"], "tasks.add");
}

/// Every typed value of kombu, a number beyond 64 bits and a NaN, as fields of one task.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Types {
    at: chrono::DateTime<chrono::Utc>,
    more: More,
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct More {
    d: chrono::NaiveDate,
    t: String,
    u: uuid::Uuid,
    dec: String,
    b: String,
    b64: String,
    naive: chrono::NaiveDateTime,
    uni: String,
    big: u128,
    nan: Option<f64>,
}

impl counterfoil_toolbox::Task for Types {
    const NAME: &'static str = "tasks.types";
    type Output = ();
}

#[test]
fn values_that_json_lacks_arrive_in_the_types_of_rust() {
    let task = only("types-json");
    let signature = counterfoil_toolbox::call::Signature::of::<Types>();
    let types: Types = signature
        .bind(task.payload.args(), task.payload.kwargs())
        .expect("binds");
    assert_eq!(types.at.to_rfc3339(), "2026-01-02T03:04:05.678901+00:00");
    let more = types.more;
    assert_eq!(
        (more.d.to_string(), more.t.as_str()),
        ("2026-01-02".to_owned(), "03:04:05")
    );
    assert_eq!((more.u.as_u128(), more.dec.as_str()), (5, "1.50"));
    assert_eq!((more.b.as_str(), more.b64.as_str()), ("abc", "/wA="));
    assert_eq!(more.naive.to_string(), "2026-01-02 03:04:05");
    assert_eq!(
        (more.uni.as_str(), more.big, more.nan),
        ("héllo ✓", 1 << 70, None)
    );
}
