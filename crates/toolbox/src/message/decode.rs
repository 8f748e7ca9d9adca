//! From a message to a task: protocol 2, and protocol 1 for old producers.

use super::body::to_json_text;
use super::content::Content;
use super::envelope::{Envelope, TimeLimits, parse_time};
use super::json::{self, MAX_DEPTH};
use crate::ids::TaskId;
use crate::names::TaskName;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

/// A message that is not a task message: kept as it is, with the reason.
///
/// ```
/// use counterfoil_toolbox::message::{Content, TaskMessage};
///
/// let mut content = Content::json("[[2, 3");
/// content.headers.push("task", "demo.add");
/// content.headers.push("id", "t1");
/// let refused = TaskMessage::decode(&content).unwrap_err();
/// assert!(refused.reason.starts_with("the body is not [args, kwargs, embed]"));
/// assert_eq!(refused.envelope.expect("the headers are good").id, "t1"); // so it can fail by name
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// Why, as half a sentence for people.
    pub reason: String,
    /// What the headers said, when at least they were good: enough for a row and an event.
    pub envelope: Option<Box<Envelope>>,
}

/// A task as it came over the wire.
///
/// ```
/// use counterfoil_toolbox::message::{Content, TaskMessage};
///
/// # let mut content = Content::json(r#"[[2], {"y": 3}, {}]"#);
/// # content.headers.push("task", "demo.add");
/// # content.headers.push("id", "t1");
/// let task = TaskMessage::decode(&content)?; // as a program in Python sent it
/// assert_eq!((task.envelope.name.service(), task.envelope.retries), ("demo", 0));
/// assert_eq!((task.payload.args(), task.payload.kwargs()), ("[2]", r#"{"y": 3}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMessage {
    /// Everything but the arguments.
    pub envelope: Envelope,
    /// The arguments, as JSON text.
    pub payload: Payload,
}

impl TaskMessage {
    /// Reads a message that a counterfoil or Celery producer sent.
    ///
    /// # Errors
    /// [`Undecodable`] says what is wrong; it never panics, whatever the bytes.
    pub fn decode(content: &Content) -> Result<Self, Undecodable> {
        let refuse = |reason: String| Undecodable {
            reason,
            envelope: None,
        };
        match Envelope::from_headers(content).map_err(refuse)? {
            Some(envelope) => match Payload::read(content) {
                Ok(payload) => Ok(Self { envelope, payload }),
                Err(reason) => Err(Undecodable {
                    reason,
                    envelope: Some(Box::new(envelope)),
                }),
            },
            None => decode_protocol_1(content).map_err(refuse),
        }
    }
}

/// Arguments of a task as checked JSON text: an array, an object, and what is to happen next.
///
/// ```
/// # use counterfoil_toolbox::message::{Content, TaskMessage};
/// # let mut content = Content::json(r#"[[2.50], {"y": 3}, null]"#);
/// # content.headers.push("task", "demo.add");
/// # content.headers.push("id", "t1");
/// let payload = TaskMessage::decode(&content)?.payload;
/// assert_eq!(payload.to_input(), r#"{"args": [2.50], "kwargs": {"y": 3}}"#); // digit by digit
/// assert_eq!(payload.embed(), "{}"); // nothing comes next
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    text: Box<str>,
    args: Range<usize>,
    kwargs: Range<usize>,
    embed: Range<usize>,
}

impl Payload {
    /// Arguments by position: a JSON array.
    #[must_use]
    pub fn args(&self) -> &str {
        or_empty(&self.text[self.args.clone()], "[]")
    }

    /// Arguments by keyword: a JSON object.
    #[must_use]
    pub fn kwargs(&self) -> &str {
        or_empty(&self.text[self.kwargs.clone()], "{}")
    }

    /// Callbacks, errbacks, chain and chord: a JSON object.
    #[must_use]
    pub fn embed(&self) -> &str {
        or_empty(&self.text[self.embed.clone()], "{}")
    }

    /// Both kinds of arguments in one object, as the database keeps them.
    #[must_use]
    pub fn to_input(&self) -> String {
        format!(
            r#"{{"args": {}, "kwargs": {}}}"#,
            self.args(),
            self.kwargs()
        )
    }

    /// Arguments by position and by keyword, as JSON text, with nothing that comes next.
    ///
    /// ```
    /// use counterfoil_toolbox::message::Payload;
    ///
    /// let payload = Payload::new("[2]", r#"{"y": 3}"#)?;
    /// assert_eq!((payload.args(), payload.kwargs()), ("[2]", r#"{"y": 3}"#));
    /// assert!(Payload::new("2", "{}").is_err());
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// Why they are no arguments: not JSON, no array and no object, or nested too deeply.
    pub fn new(args: &str, kwargs: &str) -> Result<Self, String> {
        Self::read(&Content::json(format!("[{args},{kwargs},null]")))
    }

    fn read(content: &Content) -> Result<Self, String> {
        let text = checked_text(content)?;
        let parts: [&RawValue; 3] =
            serde_json::from_str(&text).map_err(|error| not_a_body(&error))?;
        let [args, kwargs, embed] = parts.map(|part| range_in(&text, part.get()));
        Self::checked(text.into(), args, kwargs, embed)
    }

    fn checked(
        text: Box<str>,
        args: Range<usize>,
        kwargs: Range<usize>,
        embed: Range<usize>,
    ) -> Result<Self, String> {
        let payload = Self {
            text,
            args,
            kwargs,
            embed,
        };
        let starts = |part: &str, c: char| part.starts_with(c);
        if !starts(payload.args(), '[') {
            return Err("args is not an array".to_owned());
        }
        if !starts(payload.kwargs(), '{') {
            return Err("kwargs is not an object".to_owned());
        }
        if !starts(payload.embed(), '{') {
            return Err("embed is not an object".to_owned());
        }
        Ok(payload)
    }
}

fn or_empty<'a>(part: &'a str, empty: &'static str) -> &'a str {
    if part == "null" { empty } else { part }
}

fn not_a_body(error: &serde_json::Error) -> String {
    format!("the body is not [args, kwargs, embed]: {error}")
}

/// Where `part`, a slice of `text`, lies in it.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// The body as text that is safe to hand to a recursive parser.
fn checked_text(content: &Content) -> Result<Cow<'_, str>, String> {
    let text = to_json_text(content)?;
    let facts = json::inspect(&text);
    // One level is the body's own array.
    if facts.depth > MAX_DEPTH + 1 {
        return Err(format!(
            "the arguments are nested deeper than {MAX_DEPTH} levels"
        ));
    }
    if facts.has_nan {
        return Ok(Cow::Owned(json::without_nan(&text).into_owned()));
    }
    Ok(text)
}

/// Body of a protocol 1 message. Unknown fields are ignored, as Celery does.
#[derive(Deserialize)]
struct OldBody<'a> {
    task: TaskName,
    id: TaskId,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    kwargs: Option<&'a RawValue>,
    retries: Option<i32>,
    eta: Option<String>,
    expires: Option<String>,
    timelimit: Option<(Option<f64>, Option<f64>)>,
}

fn decode_protocol_1(content: &Content) -> Result<TaskMessage, String> {
    let text = checked_text(content)?;
    let old: OldBody<'_> = serde_json::from_str(&text).map_err(|error| {
        format!("there is no task header, and the body is not a protocol 1 task: {error}")
    })?;
    let mut envelope = Envelope::new(old.id, old.task);
    envelope.retries = old.retries.unwrap_or(0).clamp(0, 1_000_000);
    envelope.lineage.executions = envelope.retries;
    envelope.eta = old_time("eta", old.eta)?;
    envelope.expires = old_time("expires", old.expires)?;
    envelope.reply_to = content.properties.reply_to.clone();
    if let Some((hard, soft)) = old.timelimit {
        let limit = |seconds: Option<f64>| {
            let limit = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
            limit.filter(|limit| !limit.is_zero())
        };
        envelope.time_limits = TimeLimits {
            hard: limit(hard),
            soft: limit(soft),
        };
    }
    let range = |part: Option<&RawValue>| part.map_or(0..0, |part| range_in(&text, part.get()));
    let (args, kwargs) = (range(old.args), range(old.kwargs));
    // Protocol 1 has no embed: the empty object stands behind the text.
    let owned = format!("{text}[]{{}}");
    let end = text.len();
    let or = |part: Range<usize>, empty: Range<usize>| if part.is_empty() { empty } else { part };
    let payload = Payload::checked(
        owned.into(),
        or(args, end..end + 2),
        or(kwargs, end + 2..end + 4),
        end + 2..end + 4,
    )?;
    Ok(TaskMessage { envelope, payload })
}

fn old_time(
    name: &str,
    text: Option<String>,
) -> Result<Option<chrono::DateTime<chrono::Utc>>, String> {
    match text {
        None => Ok(None),
        Some(text) => parse_time(&text)
            .map(Some)
            .ok_or_else(|| format!("{name} is not an ISO 8601 time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::headers::Headers;

    fn message(body: &str) -> Content {
        let mut content = Content::json(body.to_owned());
        content.headers.push("task", "demo.add");
        content.headers.push("id", "t1");
        content
    }

    #[test]
    fn parts_of_the_body_keep_their_text() {
        let task = TaskMessage::decode(&message(
            r#" [ [1, 2.50] , {"b": 1, "a": 1180591620717411303424}, null]"#,
        ))
        .expect("decodes");
        assert_eq!(task.payload.args(), "[1, 2.50]");
        assert_eq!(
            task.payload.kwargs(),
            r#"{"b": 1, "a": 1180591620717411303424}"#
        );
        assert_eq!(task.payload.embed(), "{}");
        assert_eq!(
            task.payload.to_input(),
            r#"{"args": [1, 2.50], "kwargs": {"b": 1, "a": 1180591620717411303424}}"#
        );
    }

    #[test]
    fn whatever_is_not_a_body_keeps_its_envelope_and_gets_a_reason() {
        for (body, reason) in [
            ("", "the body is not [args, kwargs, embed]: EOF"),
            (
                "{}",
                "the body is not [args, kwargs, embed]: invalid type: map",
            ),
            (
                "[[], {}]",
                "the body is not [args, kwargs, embed]: invalid length 2",
            ),
            (
                "[[], {}, {}] x",
                "the body is not [args, kwargs, embed]: trailing",
            ),
            ("[{}, {}, {}]", "args is not an array"),
            ("[[], [], {}]", "kwargs is not an object"),
            ("[[], {}, 7]", "embed is not an object"),
        ] {
            let error = TaskMessage::decode(&message(body)).expect_err(body);
            assert!(error.reason.starts_with(reason), "{body}: {}", error.reason);
            assert_eq!(error.envelope.expect("good headers").id, "t1");
        }
    }

    #[test]
    fn nesting_that_would_overflow_a_parser_is_refused_before_it_is_parsed() {
        let deep = format!(
            "[[{}{}], {{}}, {{}}]",
            "[".repeat(1_000_000),
            "]".repeat(1_000_000)
        );
        let error = TaskMessage::decode(&message(&deep)).expect_err("too deep");
        assert_eq!(
            error.reason,
            "the arguments are nested deeper than 64 levels"
        );
    }

    #[test]
    fn a_message_without_any_header_is_read_as_protocol_1_or_refused() {
        let mut old = message(
            r#"{"task": "tasks.add", "id": "o1", "args": [1], "retries": 2, "timelimit": [30, null], "utc": true}"#,
        );
        old.headers = Headers::new();
        let task = TaskMessage::decode(&old).expect("protocol 1");
        assert_eq!(
            (task.envelope.id.as_str(), task.envelope.retries),
            ("o1", 2)
        );
        assert_eq!(
            task.envelope.time_limits.hard,
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            (
                task.payload.args(),
                task.payload.kwargs(),
                task.payload.embed()
            ),
            ("[1]", "{}", "{}")
        );
        old.body = r#"{"task": "tasks.add", "id": "o1", "timelimit": [0, 0]}"#.into();
        let task = TaskMessage::decode(&old).expect("protocol 1");
        assert_eq!(task.envelope.time_limits, TimeLimits::default());
        old.body = "hello".into();
        assert!(
            TaskMessage::decode(&old)
                .expect_err("no task")
                .envelope
                .is_none()
        );
    }
}
