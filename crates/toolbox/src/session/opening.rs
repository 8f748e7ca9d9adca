//! A session on the wire: the message that opens it.
//!
//! It goes to the exchange of events under the key of the finalizer's service, as a JSON object
//! `{"session": …}` where a batch of events would be an array. The broker lets a service use its own
//! key only, so nobody can have the platform send a task that is not theirs.

use super::status::ErrorPolicy;
use crate::error::ErrorChain;
use crate::ids::{SessionId, TaskId};
use crate::message::json::{MAX_DEPTH, inspect};
use crate::message::{Content, Envelope, TimeLimits, encode};
use crate::names::{RoutingKey, TaskName};
use crate::priority::Priority;
use crate::retention::within_limits;
use crate::telemetry::TraceContext;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Most subtasks of a session.
pub const MOST_SUBTASKS: usize = 100_000;

/// Most bytes of the finalizer's own arguments: with its summary it has to fit a message.
const MOST_ARGUMENTS: usize = 8 * 1024 * 1024;

/// Levels of nesting around an argument of the finalizer.
const AROUND: usize = 4;

/// What opens a session.
///
/// ```
/// use counterfoil_toolbox::producer::RawTask;
/// use counterfoil_toolbox::session::{Opening, Session};
///
/// let publish = RawTask { name: "harvest.publish".parse()?, args: "[]".to_owned(), kwargs: "{}".to_owned() };
/// let content = Session::raw("harvest", publish, true).opening()?.write();
/// let opening = Opening::read(&content.body, "harvest")?; // by whom it came
/// assert_eq!((&*opening.action, opening.subtasks.len()), ("harvest", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opening {
    /// Id of the session: an opening that comes again opens nothing.
    pub id: SessionId,
    /// What the session is for, in a word or two.
    pub action: Box<str>,
    /// What it comes to with failed subtasks.
    #[serde(default)]
    pub policy: ErrorPolicy,
    /// Milliseconds that a subtask is expected to take; absent: as the platform's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_ms: Option<u64>,
    /// Milliseconds on top of that for all of them; absent: as the platform's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_ms: Option<u64>,
    /// What runs at the end.
    pub finalizer: Finalizer,
    /// What has to be over before.
    pub subtasks: Vec<Subtask>,
}

/// A subtask of a session. [`BadOpening`] has an example of one in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtask {
    /// Its id.
    pub id: TaskId,
    /// Its type.
    pub task: TaskName,
}

/// The task that runs at the end of a session.
///
/// ```
/// use counterfoil_toolbox::message::TaskMessage;
/// use counterfoil_toolbox::session::Finalizer;
///
/// let finalizer: Finalizer = serde_json::from_str(
///     r#"{"id": "f1", "task": "harvest.publish", "args": [], "kwargs": {}, "takes_summary": true}"#,
/// )?;
/// let (key, content) = finalizer.message(r#"{"total": 2}"#);
/// assert_eq!(key, "harvest.publish");
/// let task = TaskMessage::decode(&content)?;
/// assert_eq!(task.payload.kwargs(), r#"{"session":{"total": 2}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finalizer {
    /// Its id: it is the same task however often it is sent.
    pub id: TaskId,
    /// Its type.
    pub task: TaskName,
    /// Arguments by position: an array.
    pub args: Box<RawValue>,
    /// Arguments by keyword: an object.
    pub kwargs: Box<RawValue>,
    /// Whether the platform adds a [summary](super::SessionSummary) as the argument `session`.
    pub takes_summary: bool,
    /// Counted retries, if not as its type says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Milliseconds that an execution may take, if not as its type says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// The same for the soft limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_time_limit_ms: Option<u64>,
    /// Seconds that its row is kept once it is over, if not as its type says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_s: Option<u64>,
    /// Its class.
    #[serde(default)]
    pub priority: Priority,
    /// The task that opened the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TaskId>,
    /// First task of that one's family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_id: Option<TaskId>,
    /// Who wanted the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<Box<str>>,
    /// The object that it is about: `project:17`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<Box<str>>,
    /// Name among the living tasks of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Box<str>>,
    /// Headers of the [trace](crate::telemetry::TraceContext) that the session was opened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Box<str>>,
    /// See `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<Box<str>>,
}

/// Why a message opens no session.
///
/// ```
/// use counterfoil_toolbox::session::Opening;
///
/// let body = r#"{"session": {"id": "s1", "action": "harvest", "subtasks": [{"id": "t1", "task": "harvest.page"}],
///     "finalizer": {"id": "f1", "task": "bank.pay", "args": [], "kwargs": {}, "takes_summary": false}}}"#;
/// let refused = Opening::read(body.as_bytes(), "harvest").unwrap_err();
/// assert!(refused.to_string().contains("bank.pay is a task of bank, and harvest sent it"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("it opens no session: {0}")]
pub struct BadOpening(String);

#[derive(Serialize)]
struct Written<'a> {
    session: &'a Opening,
}

#[derive(Deserialize)]
struct Read {
    session: Opening,
}

impl Opening {
    /// The message.
    #[must_use]
    pub fn write(&self) -> Content {
        let body = serde_json::to_vec(&Written { session: self }).expect("an opening is JSON");
        let mut content = Content::json(body);
        content.properties.message_id = Some(TaskId::random().as_str().into());
        content
    }

    /// Reads the body of a message that came under the key of `service`.
    ///
    /// # Errors
    /// [`BadOpening`] names what is wrong.
    pub fn read(body: &[u8], service: &str) -> Result<Self, BadOpening> {
        let refuse = |why: String| Err(BadOpening(why));
        let text = match std::str::from_utf8(body) {
            Ok(text) => text,
            Err(error) => return refuse(format!("it is not UTF-8 (byte {})", error.valid_up_to())),
        };
        if inspect(text).depth > MAX_DEPTH + AROUND {
            return refuse(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        let opening = match serde_json::from_str::<Read>(text) {
            Ok(read) => read.session,
            Err(error) => return refuse(ErrorChain(&error).to_string()),
        };
        match opening.objection(service) {
            Some(why) => refuse(why),
            None => Ok(opening),
        }
    }

    /// What nobody may open.
    fn objection(&self, service: &str) -> Option<String> {
        let finalizer = &self.finalizer;
        let (task, own) = (&finalizer.task, finalizer.task.service());
        if own != service {
            return Some(format!(
                "its finalizer {task} is a task of {own}, and {service} sent it"
            ));
        }
        if !finalizer.args.get().starts_with('[') {
            return Some("the finalizer's args are no array".to_owned());
        }
        if !finalizer.kwargs.get().starts_with('{') {
            return Some("the finalizer's kwargs are no object".to_owned());
        }
        let bytes = finalizer.args.get().len() + finalizer.kwargs.get().len();
        if bytes > MOST_ARGUMENTS {
            return Some(format!(
                "the finalizer's arguments are {bytes} bytes long, and may be 8 MiB"
            ));
        }
        if self.subtasks.len() > MOST_SUBTASKS {
            return Some(format!("it has more than {MOST_SUBTASKS} subtasks"));
        }
        let mut ids: HashSet<_> = HashSet::from([&finalizer.id]);
        let twice = self
            .subtasks
            .iter()
            .find(|subtask| !ids.insert(&subtask.id));
        twice.map(|subtask| format!("task id {} stands in it twice", subtask.id))
    }
}

impl Finalizer {
    /// The task as a message, and the key that it is sent under, with this summary.
    #[must_use]
    pub fn message(&self, summary: &str) -> (RoutingKey, Content) {
        let mut envelope = Envelope::new(self.id.clone(), self.task.clone());
        if let Some(parent) = &self.parent_id {
            envelope.root_id = self.root_id.as_ref().unwrap_or(parent).clone();
            envelope.parent_id = Some(parent.clone());
        }
        envelope.max_retries = self.max_retries;
        envelope.time_limits = TimeLimits {
            hard: self.time_limit_ms.map(Duration::from_millis),
            soft: self.soft_time_limit_ms.map(Duration::from_millis),
        };
        let keep = self.retention_s.map(Duration::from_secs);
        envelope.retention = keep.map(within_limits);
        envelope.creator_id.clone_from(&self.creator);
        envelope.related.clone_from(&self.related);
        envelope.identifier.clone_from(&self.identifier);
        let trace = self.traceparent.as_deref();
        let trace = trace.and_then(|parent| TraceContext::new(parent, self.tracestate.as_deref()));
        if let Some(trace) = trace {
            trace.write_to(&mut envelope.extra);
        }
        let content = encode(&envelope, self.args.get(), &self.kwargs_with(summary));
        (self.priority.route(&self.task), content)
    }

    fn kwargs_with(&self, summary: &str) -> String {
        let kwargs = self.kwargs.get();
        if !self.takes_summary {
            return kwargs.to_owned();
        }
        let summary = RawValue::from_string(summary.to_owned());
        let named = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(kwargs);
        // Both were read as JSON before; and a finalizer without its summary still has to run.
        let (Ok(summary), Ok(mut named)) = (summary, named) else {
            return kwargs.to_owned();
        };
        named.insert("session".to_owned(), summary);
        serde_json::to_string(&named).unwrap_or_else(|_| kwargs.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::TaskMessage;

    const GOOD: &str = r#"{"session":{"id":"s1","action":"harvest","finalizer":{"id":"f1","task":"harvest.end",
        "args":[],"kwargs":{"session":null,"n":1e400},"takes_summary":true,"creator":"ana","parent_id":"p1","root_id":"r1"},
        "subtasks":[{"id":"t1","task":"harvest.page"},{"id":"t2","task":"other.page"}]}}"#;

    fn read(from: &str, to: &str) -> Result<Opening, String> {
        Opening::read(GOOD.replace(from, to).as_bytes(), "harvest").map_err(|e| e.to_string())
    }

    #[test]
    fn an_opening_reads_back_as_it_was_written() {
        let opening = read("", "").expect("good");
        let again = Opening::read(&opening.write().body, "harvest").expect("good");
        assert_eq!(again.subtasks, opening.subtasks);
        assert_eq!(again.finalizer.kwargs.get(), opening.finalizer.kwargs.get());
        assert_eq!(again.policy, ErrorPolicy::Complete);
    }

    #[test]
    fn what_nobody_may_open_is_refused_by_name() {
        for (from, to, why) in [
            (
                "harvest.end",
                "bank.pay",
                "finalizer bank.pay is a task of bank, and harvest sent it",
            ),
            (r#""args":[]"#, r#""args":{}"#, "args are no array"),
            ("t2", "t1", "task id t1 stands in it twice"),
            ("t2", "f1", "task id f1 stands in it twice"),
            (r#""action":"harvest","#, "", "missing field `action`"),
            (r#"}}"#, "", "EOF"),
        ] {
            let error = read(from, to).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(read(r#""args":[]"#, &format!(r#""args":{deep}"#)).is_err());
        assert!(Opening::read(&[0xff], "harvest").is_err());
    }

    #[test]
    fn a_finalizer_is_sent_with_its_summary_and_all_that_its_sender_said() {
        let opening = read("", "").expect("good");
        let (key, content) = opening.finalizer.message(r#"{"total":2}"#);
        let message = TaskMessage::decode(&content).expect("a task");
        assert_eq!(key, "harvest.end");
        assert_eq!(message.envelope.creator_id.as_deref(), Some("ana"));
        assert_eq!(message.envelope.root_id.as_str(), "r1");
        assert_eq!(
            message.payload.kwargs(),
            r#"{"n":1e400,"session":{"total":2}}"#
        );
        let plain = read(r#""takes_summary":true"#, r#""takes_summary":false"#).expect("good");
        let (_, content) = plain.finalizer.message("{}");
        let message = TaskMessage::decode(&content).expect("a task");
        assert_eq!(message.payload.kwargs(), r#"{"session":null,"n":1e400}"#);
    }
}
