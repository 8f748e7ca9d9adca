//! From a task to a message that counterfoil and Celery workers accept.

use super::content::{Content, Properties};
use super::decode::Payload;
use super::envelope::{Envelope, TimeLimits};
use super::headers::{HeaderValue, Headers};
use super::names;
use super::repr::{celery_args_repr, celery_repr};
use crate::retention::within_limits;
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;

const EMBED: &str = r#"{"callbacks":null,"errbacks":null,"chain":null,"chord":null}"#;

/// Writes a task as a protocol 2 message. `args` is a JSON array, `kwargs` a JSON object.
///
/// Headers that would say nothing (null) are left out, which every reader of protocol 2 accepts.
///
/// ```
/// use counterfoil_toolbox::message::{Envelope, TimeLimits, encode, names};
/// use std::time::Duration;
///
/// let mut envelope = Envelope::new("t1".parse()?, "demo.add".parse()?);
/// envelope.time_limits = TimeLimits { hard: Some(Duration::from_secs(30)), soft: None };
/// envelope.creator_id = Some("anna".into());
/// let content = encode(&envelope, "[2]", r#"{"y": 3}"#); // workers in Python read it, too
/// assert_eq!(content.headers.text(names::CREATOR), Some("anna"));
/// assert_eq!(content.headers.text("argsrepr"), Some("(2,)")); // for Flower
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn encode(envelope: &Envelope, args: &str, kwargs: &str) -> Content {
    encode_with(envelope, args, kwargs, EMBED)
}

/// Headers that belong to the body, whatever attempt it is.
const OF_THE_BODY: [&str; 3] = ["argsrepr", "kwargsrepr", "compression"];

/// Writes a task that came as `content` once more, byte for byte the same body. Headers are written from
/// scratch: copies of those that a broker left behind make RabbitMQ drop the message as a cycle. A
/// protocol 1 message, whose body says what only headers can say now, is written as protocol 2.
///
/// ```
/// use counterfoil_toolbox::message::{TaskMessage, encode_again};
///
/// # let mut content = counterfoil_toolbox::message::Content::json("[[2.50],  {}, {}]");
/// # content.headers.push("task", "demo.add");
/// # content.headers.push("id", "t1");
/// let task = TaskMessage::decode(&content)?;
/// let mut envelope = task.envelope;
/// envelope.retries += 1;
/// let again = encode_again(&content, &envelope, &task.payload);
/// assert_eq!(again.headers.int("retries"), Some(1));
/// assert_eq!(again.body, content.body);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn encode_again(content: &Content, envelope: &Envelope, payload: &Payload) -> Content {
    if payload.is_of_protocol_1() {
        encode_with(envelope, payload.args(), payload.kwargs(), payload.embed())
    } else {
        with_body_of(content, envelope)
    }
}

pub(super) fn with_body_of(content: &Content, envelope: &Envelope) -> Content {
    let mut headers = headers(envelope);
    for name in OF_THE_BODY {
        if let Some(value) = content.headers.get(name) {
            headers.push(name, value.clone());
        }
    }
    let mut anew = Content {
        properties: content.properties.clone(),
        headers,
        body: content.body.clone(),
    };
    anew.properties.correlation_id = Some(envelope.id.as_str().into());
    anew.properties.message_id = Some(envelope.id.as_str().into());
    anew.properties.persistent = true;
    anew.without_broker_headers()
}

/// Writes a task as [`encode()`] does, with what is to happen after it: callbacks, errbacks, chain and chord, as a JSON
/// object.
///
/// ```
/// use counterfoil_toolbox::message::{Envelope, TaskMessage, encode_with};
///
/// let envelope = Envelope::new("t1".parse()?, "demo.add".parse()?);
/// let content = encode_with(&envelope, "[2, 3]", "{}", r#"{"chain": []}"#);
/// assert_eq!(TaskMessage::decode(&content)?.payload.embed(), r#"{"chain": []}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn encode_with(envelope: &Envelope, args: &str, kwargs: &str, embed: &str) -> Content {
    let mut properties = Properties::json();
    properties.correlation_id = Some(envelope.id.as_str().into());
    properties.message_id = Some(envelope.id.as_str().into());
    properties.reply_to.clone_from(&envelope.reply_to);
    properties.priority = envelope.priority;
    let mut headers = headers(envelope);
    headers.push("argsrepr", celery_args_repr(args));
    headers.push("kwargsrepr", celery_repr(kwargs));
    let mut body = String::with_capacity(args.len() + kwargs.len() + embed.len() + 4);
    for part in ["[", args, ",", kwargs, ",", embed, "]"] {
        body.push_str(part);
    }
    Content {
        properties,
        headers,
        body: body.into(),
    }
}

/// All headers but the two texts for people, written from scratch.
pub(super) fn headers(envelope: &Envelope) -> Headers {
    let mut headers = Headers::with_capacity(16 + envelope.extra.len());
    headers.push("lang", "rs");
    headers.push("task", envelope.name.as_str());
    headers.push("id", envelope.id.as_str());
    headers.push("root_id", envelope.root_id.as_str());
    if let Some(parent) = &envelope.parent_id {
        headers.push("parent_id", parent.as_str());
    }
    headers.push("retries", envelope.retries);
    if let Some(eta) = envelope.eta {
        headers.push("eta", iso(eta));
    }
    if let Some(expires) = envelope.expires {
        headers.push("expires", iso(expires));
    }
    if envelope.time_limits != TimeLimits::default() {
        headers.push("timelimit", time_limits(envelope.time_limits));
    }
    if let Some(ignore) = envelope.ignore_result {
        headers.push("ignore_result", ignore);
    }
    if let Some(origin) = &envelope.origin {
        headers.push("origin", &**origin);
    }
    push_own(&mut headers, envelope);
    for (name, value) in envelope.extra.iter() {
        headers.push(name.to_owned(), value.clone());
    }
    headers
}

fn push_own(headers: &mut Headers, envelope: &Envelope) {
    let lineage = envelope.lineage;
    for (name, count, default) in [
        (names::RUN, lineage.run, 0),
        (names::RESCUE, lineage.rescue, 0),
        (names::EXECUTIONS, lineage.executions, envelope.retries),
        (names::TRIES_BEFORE, envelope.tries_before, 0),
        (names::DELIVERIES_BEFORE, envelope.deliveries_before, 0),
        (names::RESTARTS, envelope.restarts, 0),
    ] {
        if count != default {
            headers.push(name, count);
        }
    }
    if let Some(sent_at) = envelope.sent_at {
        headers.push(names::SENT, sent_at.timestamp_millis());
    }
    if let Some(max_retries) = envelope.max_retries {
        headers.push(names::MAX_RETRIES, i64::from(max_retries));
    }
    if let Some(retention) = envelope.retention {
        let seconds = within_limits(retention).as_secs();
        headers.push(names::RETENTION, i64::try_from(seconds).unwrap_or(i64::MAX));
    }
    for (name, text) in [
        (names::CHECKPOINT, &envelope.checkpoint),
        (names::SESSION, &envelope.session_id),
        (names::CREATOR, &envelope.creator_id),
        (names::RELATED, &envelope.related),
        (names::IDENTIFIER, &envelope.identifier),
    ] {
        if let Some(text) = text {
            headers.push(name, &**text);
        }
    }
    if envelope.is_result {
        headers.push(names::IS_RESULT, true);
    }
}

fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// Hard first: the order that Celery reads, although its protocol page says the reverse.
fn time_limits(limits: TimeLimits) -> HeaderValue {
    let seconds = |limit: Option<Duration>| {
        limit.map_or(HeaderValue::Null, |l| HeaderValue::Float(l.as_secs_f64()))
    };
    HeaderValue::List(vec![seconds(limits.hard), seconds(limits.soft)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;
    use crate::message::TaskMessage;
    use crate::names::TaskName;

    #[test]
    fn what_is_encoded_decodes_to_the_same_task() {
        let mut envelope = Envelope::new(
            TaskId::random(),
            TaskName::new("export.project").expect("valid"),
        );
        envelope.parent_id = Some(TaskId::random());
        envelope.root_id = TaskId::random();
        envelope.retries = 2;
        envelope.lineage.executions = 5;
        envelope.lineage.rescue = 1;
        envelope.sent_at = DateTime::from_timestamp_millis(1_790_000_000_123);
        envelope.eta = DateTime::from_timestamp(1_800_000_000, 123_456_000);
        envelope.expires = DateTime::from_timestamp(1_900_000_000, 0);
        envelope.time_limits.hard = Some(Duration::from_secs(30));
        envelope.retention = Some(Duration::from_secs(86_400));
        envelope.creator_id = Some("user 7".into());
        envelope.related = Some("project:17".into());
        envelope.is_result = true;
        envelope.extra.push("traceparent", "00-…");
        let content = encode(&envelope, r#"["a", 1]"#, r#"{"colour":"red"}"#);
        let decoded = TaskMessage::decode(&content).expect("decodes");
        assert_eq!(decoded.envelope, envelope);
        assert_eq!(
            (decoded.payload.args(), decoded.payload.kwargs()),
            (r#"["a", 1]"#, r#"{"colour":"red"}"#)
        );
    }

    #[test]
    fn a_task_that_is_sent_again_keeps_its_arguments_and_what_comes_next_letter_by_letter() {
        let mut first = Content::json(r#"[[1.50], {"b": 1, "a": 2}, {"chain": ["x"]}]"#);
        first.headers.push("task", "demo.add");
        first.headers.push("id", "t1");
        first.headers.push("mine", "kept");
        first.headers.push("x-death", "dropped");
        let task = TaskMessage::decode(&first).expect("decodes");
        let mut envelope = task.envelope;
        envelope.retries = 1;
        envelope.lineage.executions = 1;
        let again = encode_again(&first, &envelope, &task.payload);
        assert_eq!(again.body, first.body);
        assert_eq!(again.headers.text("mine"), Some("kept"));
        assert_eq!(again.headers.get("x-death"), None);
        assert_eq!(again.headers.int("retries"), Some(1));
    }

    #[test]
    fn a_plain_task_carries_what_celery_needs_and_no_more() {
        let envelope = Envelope::new(
            TaskId::new("t1").expect("valid"),
            TaskName::new("demo.add").expect("valid"),
        );
        let content = encode(&envelope, "[2, 2]", "{}");
        let names: Vec<_> = content
            .headers
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "lang",
                "task",
                "id",
                "root_id",
                "retries",
                "argsrepr",
                "kwargsrepr"
            ]
        );
        assert_eq!(content.headers.text("argsrepr"), Some("(2, 2)"));
        assert_eq!(
            &content.body[..],
            br#"[[2, 2],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#
        );
    }
}
