//! From a message to a task: protocol 2 here, what older producers write in [`protocol_1`].

use super::body::to_json_text;
use super::content::Content;
use super::envelope::Envelope;
use super::json::{self, MAX_DEPTH};
use super::protocol_1;
use crate::chord::{self, UNLOCK};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

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
        let text = checked_text(content);
        if let Ok(text) = &text
            && let Some(old) = protocol_1::read(content, text)
        {
            return old;
        }
        let refuse = |reason: String| Undecodable {
            reason,
            envelope: None,
        };
        let Some(envelope) = Envelope::from_headers(content).map_err(refuse)? else {
            let why = text.err().unwrap_or_else(|| "it is no object".to_owned());
            return Err(refuse(format!(
                "there is no task header, and the body is not a protocol 1 task: {why}"
            )));
        };
        let text = match text {
            Err(_) if envelope.name == UNLOCK => unlocking(content),
            known => known,
        };
        match text.and_then(Payload::from_text) {
            Ok(payload) => Ok(Self { envelope, payload }),
            Err(reason) => Err(Undecodable {
                reason,
                envelope: Some(Box::new(envelope)),
            }),
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
    is_old: bool,
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
        let content = Content::json(format!("[{args},{kwargs},null]"));
        Self::from_text(checked_text(&content)?)
    }

    /// Whether it came in a body that names its parts, which no header of ours describes.
    pub(super) fn is_of_protocol_1(&self) -> bool {
        self.is_old
    }

    /// The parts of a protocol 1 message, `{}` for what is not there.
    pub(super) fn of_protocol_1(args: &str, kwargs: &str, embed: &str) -> Result<Self, String> {
        let text = Cow::Owned(format!("[{args},{kwargs},{embed}]"));
        let payload = Self::from_text(text)?;
        Ok(Self {
            is_old: true,
            ..payload
        })
    }

    fn from_text(text: Cow<'_, str>) -> Result<Self, String> {
        let parts: [&RawValue; 3] =
            serde_json::from_str(&text).map_err(|error| not_a_body(&error))?;
        let [args, kwargs, embed] = parts.map(|part| range_in(&text, part.get()));
        let payload = Self {
            text: text.into(),
            args,
            kwargs,
            embed,
            is_old: false,
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

/// The same of a task that waits for a group, in which Celery writes all that comes before its members: as deep as a
/// chain among them is long, and of no use here.
fn unlocking(content: &Content) -> Result<Cow<'_, str>, String> {
    let text = to_json_text(content)?;
    let text = chord::without_parents(&json::without_nan(&text));
    checked(Cow::Owned(text.map_err(|error| not_a_body(&error))?))
}

/// The body as text that is safe to hand to a recursive parser.
fn checked_text(content: &Content) -> Result<Cow<'_, str>, String> {
    checked(to_json_text(content)?)
}

fn checked(text: Cow<'_, str>) -> Result<Cow<'_, str>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
