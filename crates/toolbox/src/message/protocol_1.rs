//! Messages of old producers: the body is one object that names its parts.
//!
//! Protocol 1 has no headers at all; a hybrid of both protocols has headers and such a body, and its headers come
//! first. Both are read by moving what the body says into headers, so that the same rules hold for them.

use super::content::Content;
use super::decode::{Payload, TaskMessage, Undecodable};
use super::envelope::Envelope;
use super::headers::{HeaderValue, Headers};
use super::times::has_offset;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What a task needs. Unknown fields are ignored, as Celery does.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    kwargs: Option<&'a RawValue>,
    #[serde(borrow)]
    callbacks: Option<&'a RawValue>,
    #[serde(borrow)]
    errbacks: Option<&'a RawValue>,
    #[serde(borrow)]
    chord: Option<&'a RawValue>,
}

/// What headers say today.
#[derive(Deserialize)]
struct Said {
    task: Option<Value>,
    id: Option<Value>,
    root_id: Option<Value>,
    parent_id: Option<Value>,
    group: Option<Value>,
    taskset: Option<Value>,
    group_index: Option<Value>,
    retries: Option<Value>,
    eta: Option<Value>,
    expires: Option<Value>,
    timelimit: Option<Value>,
    shadow: Option<Value>,
    origin: Option<Value>,
    utc: Option<bool>,
}

/// The task in a body that is an object. `None`: the body is none, or the headers describe another one.
pub(super) fn read(content: &Content, text: &str) -> Option<Result<TaskMessage, Undecodable>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let has_header = content.headers.get("task").is_some();
    match serde_json::from_str::<Parts<'_>>(text) {
        Ok(parts) if has_header && parts.args.is_none() => None,
        Ok(parts) => Some(task(content, text, &parts)),
        Err(_) if has_header => None,
        Err(error) => Some(Err(no_task(&error))),
    }
}

fn task(content: &Content, text: &str, parts: &Parts<'_>) -> Result<TaskMessage, Undecodable> {
    let said: Said = serde_json::from_str(text).map_err(|error| no_task(&error))?;
    let headers = merged(&content.headers, said).map_err(|reason| Undecodable {
        reason,
        envelope: None,
    })?;
    let headers_only = Content {
        properties: content.properties.clone(),
        headers,
        body: bytes::Bytes::new(),
    };
    let envelope = match Envelope::from_headers(&headers_only) {
        Ok(Some(envelope)) => envelope,
        Ok(None) => return Err(no_task(&"it names no task")),
        Err(reason) => {
            return Err(Undecodable {
                reason,
                envelope: None,
            });
        }
    };
    let part = |part: Option<&RawValue>, none| part.map_or(none, RawValue::get).to_owned();
    let (args, kwargs) = (part(parts.args, "null"), part(parts.kwargs, "null"));
    match Payload::of_protocol_1(&args, &kwargs, &embed(parts)) {
        Ok(payload) => Ok(TaskMessage { envelope, payload }),
        Err(reason) => Err(Undecodable {
            reason,
            envelope: Some(Box::new(envelope)),
        }),
    }
}

fn no_task(why: &dyn std::fmt::Display) -> Undecodable {
    Undecodable {
        reason: format!("there is no task header, and the body is not a protocol 1 task: {why}"),
        envelope: None,
    }
}

/// What is to happen next. There are no chains in protocol 1: a step is a callback of the one before it.
fn embed(parts: &Parts<'_>) -> String {
    let named = [
        ("callbacks", parts.callbacks),
        ("errbacks", parts.errbacks),
        ("chord", parts.chord),
    ];
    let given = named.into_iter().filter_map(|(name, part)| {
        let part = part?.get();
        (part != "null").then(|| format!(r#""{name}": {part}"#))
    });
    format!("{{{}}}", given.collect::<Vec<_>>().join(", "))
}

/// The headers, and below them what the body says.
fn merged(headers: &Headers, said: Said) -> Result<Headers, String> {
    let mut merged = headers.clone();
    let is_local = said.utc == Some(false);
    for (name, value) in [
        ("task", said.task),
        ("id", said.id),
        ("root_id", said.root_id),
        ("parent_id", said.parent_id),
        ("group", said.group.or(said.taskset)),
        ("group_index", said.group_index),
        ("retries", said.retries),
        ("eta", said.eta),
        ("expires", said.expires),
        ("timelimit", said.timelimit),
        ("shadow", said.shadow),
        ("origin", said.origin),
    ] {
        let Some(value) = value else { continue };
        let is_said = |value: &HeaderValue| *value != HeaderValue::Null;
        if merged.get(name).is_some_and(is_said) {
            continue;
        }
        let is_time = name == "eta" || name == "expires";
        if is_time && is_local && value.as_str().is_some_and(|text| !has_offset(text)) {
            return Err(format!(
                "{name} is a local time without an offset, and nobody here knows the sender's time zone: set \
                 enable_utc = True"
            ));
        }
        merged.set(name, header(value));
    }
    Ok(merged)
}

fn header(value: Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(flag) => HeaderValue::Bool(flag),
        Value::Number(number) => number.as_i64().map_or_else(
            || HeaderValue::Float(number.as_f64().unwrap_or(f64::NAN)),
            HeaderValue::Int,
        ),
        Value::String(text) => HeaderValue::Text(text.into()),
        Value::Array(items) => HeaderValue::List(items.into_iter().map(header).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            HeaderValue::Table(members.map(|(name, v)| (name.into(), header(v))).collect())
        }
    }
}

#[cfg(test)]
#[path = "protocol_1_tests.rs"]
mod tests;
