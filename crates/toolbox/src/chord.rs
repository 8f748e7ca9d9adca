//! A chord on the wire: what a worker tells the platform of results that somebody waits for.
//!
//! Celery's `celery.chord_unlock` waits for the members of a group and then calls the body of the chord with their
//! results. A worker that gets it knows no results. It tells the platform what is waited for, by the exchange of events,
//! as a JSON object `{"chord": …}` where a batch of events would be an array; when all are over, the platform sends the
//! same task once more, under another id, to the service that told it, with what became of them.

use crate::error::ErrorChain;
use crate::ids::TaskId;
use crate::message::json::{MAX_DEPTH, inspect};
use crate::message::{Content, Envelope, encode};
use crate::names::RoutingKey;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Name of the task that waits for a group, and calls the body of its chord.
pub const UNLOCK: &str = "celery.chord_unlock";

/// Its argument in which the platform says what became of the group.
pub const ANSWER: &str = "counterfoil";

/// Most tasks that are waited for.
pub const MOST_MEMBERS: usize = 100_000;

/// Most bytes that the results of all members may have together: the broker takes no message of more than 16 MiB.
pub const MOST_BYTES: usize = 15 * 1024 * 1024;

/// Longest time that a header may be given, in seconds: a year.
pub const LONGEST_WAIT_S: f64 = 366.0 * 86_400.0;

/// Levels of nesting around the arguments.
const AROUND: usize = 4;

/// Somebody waits for these tasks.
///
/// ```
/// use counterfoil_toolbox::chord::{Chord, Outcome};
/// use counterfoil_toolbox::message::TaskMessage;
/// use serde_json::value::to_raw_value;
///
/// let chord = Chord {
///     id: "u2".parse()?, root_id: "u1".parse()?, parent_id: "u1".parse()?,
///     args: to_raw_value(&("g1", "the body's signature"))?, kwargs: to_raw_value(&serde_json::json!({}))?,
///     members: vec!["t1".parse()?], within_s: None,
/// };
/// let body = chord.write().body;
/// assert!(Chord::is_one(&body));
/// let (key, content) = Chord::read(&body)?.message("calc", &Outcome::Results(vec![to_raw_value(&4)?]))?;
/// assert_eq!(key, "calc");
/// let task = TaskMessage::decode(&content)?;
/// assert_eq!(task.payload.kwargs(), r#"{"counterfoil":{"results":[4]}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chord {
    /// Id of the task that is sent when all are over. Who tells of the chord again tells the same.
    pub id: TaskId,
    /// First task of its family.
    pub root_id: TaskId,
    /// The task that waits.
    pub parent_id: TaskId,
    /// Its arguments by position: a JSON array.
    pub args: Box<RawValue>,
    /// Its arguments by keyword: a JSON object.
    pub kwargs: Box<RawValue>,
    /// The tasks that are waited for, in the order of their results.
    pub members: Vec<TaskId>,
    /// How many seconds they may take, from when this is told: then the chord has failed. Absent: as long as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_s: Option<f64>,
}

/// What became of the members of a chord. [`Chord`] has an example.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All succeeded with these results, in the order of the members.
    Results(Vec<Box<RawValue>>),
    /// This one is the first in that order that did not.
    Failed {
        /// The member. Absent: it is not because of one.
        id: Option<TaskId>,
        /// What it raised, as Celery writes it down. Absent: nobody knows.
        exception: Option<Value>,
        /// The same for people.
        message: Box<str>,
    },
}

impl Outcome {
    /// That nobody is to blame, and there is no result all the same.
    #[must_use]
    pub fn failed(why: impl Into<Box<str>>) -> Self {
        Self::Failed {
            id: None,
            exception: None,
            message: why.into(),
        }
    }

    /// That the results are more than [`MOST_BYTES`].
    #[must_use]
    pub fn too_large() -> Self {
        let most = MOST_BYTES >> 20;
        Self::failed(format!(
            "the results of its header take more than {most} MiB"
        ))
    }
}

#[derive(Serialize)]
struct Written<'a> {
    chord: &'a Chord,
}

#[derive(Deserialize)]
struct Read {
    chord: Chord,
}

impl Chord {
    /// The message that tells of it.
    #[must_use]
    pub fn write(&self) -> Content {
        let body = serde_json::to_vec(&Written { chord: self }).expect("JSON is JSON");
        let mut content = Content::json(body);
        content.properties.message_id = Some(self.id.as_str().into());
        content
    }

    /// Whether the body of a message is one.
    #[must_use]
    pub fn is_one(body: &[u8]) -> bool {
        body.starts_with(br#"{"chord""#)
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| format!("it is no text: {error}"))?;
        if inspect(text).depth > MAX_DEPTH + AROUND {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        let read = serde_json::from_str::<Read>(text);
        let mut chord = read
            .map(|read| read.chord)
            .map_err(|error| format!("it is no chord: {}", ErrorChain(&error)))?;
        if chord.members.len() > MOST_MEMBERS {
            return Err(format!("a chord has more than {MOST_MEMBERS} members"));
        }
        let within_s = chord.within_s;
        chord.within_s = within_s.map(|seconds| seconds.clamp(0.0, LONGEST_WAIT_S));
        Ok(chord)
    }

    /// The task that is sent to `service` when all members are over.
    ///
    /// # Errors
    /// Why there is no such message.
    pub fn message(
        &self,
        service: &str,
        outcome: &Outcome,
    ) -> Result<(RoutingKey, Content), String> {
        let key = RoutingKey::new(service).map_err(|error| error.to_string())?;
        let kwargs = self.kwargs_with(outcome)?;
        let kwargs = match kwargs.len() > MOST_BYTES {
            false => kwargs,
            true => self.kwargs_with(&Outcome::too_large())?,
        };
        let name = UNLOCK.parse().expect("a name of a task");
        let mut envelope = Envelope::new(self.id.clone(), name);
        envelope.root_id = self.root_id.clone();
        envelope.parent_id = Some(self.parent_id.clone());
        envelope.ignore_result = Some(true);
        Ok((key, encode(&envelope, self.args.get(), &kwargs)))
    }

    fn kwargs_with(&self, outcome: &Outcome) -> Result<String, String> {
        let unreadable = |error: serde_json::Error| format!("its arguments are no object: {error}");
        let kwargs: Map<String, Value> =
            serde_json::from_str(self.kwargs.get()).map_err(unreadable)?;
        let mut written = String::from("{");
        for (name, value) in kwargs.iter().filter(|(name, _)| *name != ANSWER) {
            written.push_str(&format!("{}:{value},", Value::from(name.as_str())));
        }
        // As text: every digit of a result stays.
        let outcome = serde_json::to_string(outcome).map_err(unreadable)?;
        written.push_str(&format!("\"{ANSWER}\":{outcome}}}"));
        Ok(written)
    }
}

/// A result that is waited for, as Celery writes it: `[[id, what comes before it], members of a group]`. What comes before
/// it is passed over, however deep it is, and so is not written again.
#[derive(Deserialize)]
struct Awaited<'a>(
    #[serde(borrow)] (&'a RawValue, IgnoredAny),
    Option<Vec<Awaited<'a>>>,
);

impl Serialize for Awaited<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self((id, _), members) = self;
        ((id, None::<()>), members).serialize(serializer)
    }
}

/// Body of a task that waits for a group, without what comes before the group's members.
///
/// # Errors
/// When it is none.
pub(crate) fn without_parents(body: &str) -> serde_json::Result<String> {
    type Arguments<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;
    let (args, mut kwargs, embed): (&RawValue, Arguments<'_>, &RawValue) =
        serde_json::from_str(body)?;
    let awaited = kwargs.get("result").map(|it| it.get()).unwrap_or("[]");
    let awaited: Vec<Awaited<'_>> = serde_json::from_str(awaited)?;
    let awaited = serde_json::value::to_raw_value(&awaited)?;
    kwargs.insert("result".into(), &awaited);
    serde_json::to_string(&(args, &kwargs, embed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::TaskMessage;

    /// A task that waits for what `result` says.
    fn unlock(result: &str) -> Content {
        let kwargs = format!(r#"{{"max_retries": null, "result": {result}}}"#);
        let mut content = Content::json(format!(r#"[["g1", {{"task": "a.b"}}], {kwargs}, null]"#));
        content.headers.push("task", UNLOCK);
        content.headers.push("id", "u1");
        content
    }

    #[test]
    fn a_chain_of_any_length_may_be_in_the_header_of_a_chord() {
        let mut before = "null".to_owned();
        for n in 0..5000 {
            before = format!(r#"[["t{n}", {before}], null]"#);
        }
        let result =
            format!(r#"[[["last", {before}], null], [["g", {before}], [[["m", null], null]]]]"#);
        let task = TaskMessage::decode(&unlock(&result)).expect("a task");
        assert_eq!(
            task.payload.kwargs(),
            r#"{"max_retries":null,"result":[[["last",null],null],[["g",null],[[["m",null],null]]]]}"#
        );
        assert_eq!(task.payload.args(), r#"["g1", {"task": "a.b"}]"#);
        for other in [
            "[".repeat(5000),
            format!("{}{}", "[".repeat(5000), "]".repeat(5000)),
        ] {
            TaskMessage::decode(&unlock(&other)).expect_err("it is no result");
        }
    }

    #[test]
    fn what_is_no_chord_is_refused_and_so_is_one_that_is_too_large() {
        for body in [
            &b"{\"chord\": 7}"[..],
            b"{\"chord\": {\"id\": \"\"}}",
            b"\xff",
        ] {
            assert!(Chord::read(body).is_err(), "{body:?}");
        }
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let chord = Chord {
            id: TaskId::random(),
            root_id: TaskId::random(),
            parent_id: TaskId::random(),
            args: raw("[]"),
            kwargs: raw(r#"{"result": [1], "counterfoil": "forged"}"#),
            members: vec![TaskId::random(); MOST_MEMBERS + 1],
            within_s: None,
        };
        let refused = Chord::read(&chord.write().body).expect_err("too many");
        assert!(refused.contains("members"), "{refused}");
        let large = Outcome::Results(vec![raw(&format!("\"{}\"", "x".repeat(MOST_BYTES)))]);
        let (_, content) = chord.message("calc", &large).expect("a message");
        let body: Value = serde_json::from_slice(&content.body).expect("JSON");
        let message = body[1]["counterfoil"]["failed"]["message"].as_str();
        assert!(message.expect("a reason").contains("15 MiB"), "{body}");
        assert_eq!(body[1]["result"], serde_json::json!([1]));
    }
}
