//! What the headers of a task message say.

use super::content::{Content, is_broker_header};
use super::headers::{HeaderValue, Headers};
use super::names;
use super::times::parse_time;
use crate::ids::TaskId;
use crate::names::TaskName;
use crate::retention::within_limits;
use crate::state::Lineage;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Hard and soft limit on one execution. On the wire: `timelimit`, seconds, hard first; 0 is no limit of the
/// sender's, as Celery has it. Set in the example of [`encode`](super::encode()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeLimits {
    /// The execution is ended. `None`: the task's own limit.
    pub hard: Option<Duration>,
    /// The handler is asked to clean up. `None`: the task's own limit.
    pub soft: Option<Duration>,
}

impl TimeLimits {
    /// The name of a limit of nothing, if one is that.
    pub(crate) fn none(&self) -> Option<&'static str> {
        let limits = [("time limit", self.hard), ("soft time limit", self.soft)];
        let none = limits
            .into_iter()
            .find(|(_, limit)| *limit == Some(Duration::ZERO));
        none.map(|(name, _)| name)
    }
}

/// Everything about a task but its arguments.
///
/// ```
/// use counterfoil_toolbox::message::{Envelope, TaskMessage, encode};
/// let mut envelope = Envelope::new("t1".parse()?, "demo.add".parse()?);
/// envelope.related = Some("project:17".into());
/// let read = TaskMessage::decode(&encode(&envelope, "[2, 3]", "{}"))?.envelope;
/// assert_eq!(read.related_parts(), Some(("project", "17")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Id of the task.
    pub id: TaskId,
    /// Type of the task.
    pub name: TaskName,
    /// First task of its family; its own id when it has no parent.
    pub root_id: TaskId,
    /// The task that scheduled it.
    pub parent_id: Option<TaskId>,
    /// Which attempt the message is.
    pub lineage: Lineage,
    /// See [`names::SENT`]. `None`: its sender does not tell.
    pub sent_at: Option<DateTime<Utc>>,
    /// See [`names::TRIES_BEFORE`].
    pub tries_before: i32,
    /// See [`names::DELIVERIES_BEFORE`].
    pub deliveries_before: i32,
    /// Counted retries so far.
    pub retries: i32,
    /// See [`names::MAX_RETRIES`].
    pub max_retries: Option<u32>,
    /// See [`names::RESTARTS`].
    pub restarts: i32,
    /// See [`names::RETENTION`].
    pub retention: Option<Duration>,
    /// See [`names::CHECKPOINT`].
    pub checkpoint: Option<Box<str>>,
    /// Not before this time.
    pub eta: Option<DateTime<Utc>>,
    /// Not after this time.
    pub expires: Option<DateTime<Utc>>,
    /// Limits that the sender set.
    pub time_limits: TimeLimits,
    /// The sender does not want the result; `None`: as the task says.
    pub ignore_result: Option<bool>,
    /// 0–255; absent: no priority.
    pub priority: Option<u8>,
    /// Queue for an rpc result.
    pub reply_to: Option<Box<str>>,
    /// Sending process.
    pub origin: Option<Box<str>>,
    /// See [`names::SESSION`].
    pub session_id: Option<Box<str>>,
    /// See [`names::CREATOR`].
    pub creator_id: Option<Box<str>>,
    /// See [`names::RELATED`].
    pub related: Option<Box<str>>,
    /// See [`names::IDENTIFIER`].
    pub identifier: Option<Box<str>>,
    /// See [`names::IS_RESULT`].
    pub is_result: bool,
    /// Everything else that the sender set: group, stamps, trace context, its own headers.
    pub extra: Headers,
}

impl Envelope {
    /// A first attempt of a task that has no parent, with nothing else set.
    #[must_use]
    pub fn new(id: TaskId, name: TaskName) -> Self {
        Self {
            root_id: id.clone(),
            id,
            name,
            parent_id: None,
            lineage: Lineage::default(),
            sent_at: None,
            tries_before: 0,
            deliveries_before: 0,
            retries: 0,
            max_retries: None,
            restarts: 0,
            retention: None,
            checkpoint: None,
            eta: None,
            expires: None,
            time_limits: TimeLimits::default(),
            ignore_result: None,
            priority: None,
            reply_to: None,
            origin: None,
            session_id: None,
            creator_id: None,
            related: None,
            identifier: None,
            is_result: false,
            extra: Headers::new(),
        }
    }

    /// Reads the headers of a protocol 2 message. `None`: there is no `task` header.
    ///
    /// # Errors
    /// Which header is not what it should be.
    pub fn from_headers(content: &Content) -> Result<Option<Self>, String> {
        let headers = &content.headers;
        let Some(name) = headers.get("task") else {
            return Ok(None);
        };
        let name = text_of("task", name)?;
        let id = match headers.get("id").or_else(|| headers.get("correlation_id")) {
            Some(id) => text_of("id", id)?,
            None => content
                .properties
                .correlation_id
                .as_deref()
                .ok_or("header id is missing")?,
        };
        let name = TaskName::new(name).map_err(|e| e.to_string())?;
        let mut envelope = Self::new(TaskId::new(id).map_err(|e| e.to_string())?, name);
        envelope.read_known(content)?;
        envelope.read_own(headers)?;
        envelope.extra = headers
            .iter()
            .filter(|(name, value)| {
                known_header(name).is_none()
                    && !is_broker_header(name)
                    && **value != HeaderValue::Null
            })
            .map(|(name, value)| (name.to_owned().into(), value.clone()))
            .collect();
        Ok(Some(envelope))
    }

    fn read_known(&mut self, content: &Content) -> Result<(), String> {
        let headers = &content.headers;
        if let Some(root) = headers.text("root_id") {
            self.root_id = TaskId::new(root).map_err(|e| e.to_string())?;
        }
        if let Some(parent) = headers.text("parent_id") {
            self.parent_id = Some(TaskId::new(parent).map_err(|e| e.to_string())?);
        }
        self.retries = count(headers, "retries")?.unwrap_or(0);
        self.lineage.executions = self.retries;
        self.eta = time(headers, "eta")?;
        self.expires = time(headers, "expires")?;
        if let Some(HeaderValue::List(limits)) = headers.get("timelimit") {
            self.time_limits = time_limits(limits)?;
        }
        if let Some(HeaderValue::Bool(ignore)) = headers.get("ignore_result") {
            self.ignore_result = Some(*ignore);
        }
        self.priority = content.properties.priority;
        self.reply_to = content
            .properties
            .reply_to
            .clone()
            .filter(|queue| !queue.is_empty());
        self.origin = headers.text("origin").map(Into::into);
        Ok(())
    }

    fn read_own(&mut self, headers: &Headers) -> Result<(), String> {
        self.lineage.run = count(headers, names::RUN)?.unwrap_or(0);
        self.lineage.rescue = count(headers, names::RESCUE)?.unwrap_or(0);
        self.sent_at = sent_at(headers);
        if let Some(executions) = count(headers, names::EXECUTIONS)? {
            self.lineage.executions = executions;
        }
        self.tries_before = count(headers, names::TRIES_BEFORE)?.unwrap_or(0);
        self.deliveries_before = count(headers, names::DELIVERIES_BEFORE)?.unwrap_or(0);
        let max_retries = count(headers, names::MAX_RETRIES)?;
        self.max_retries = max_retries.map(i32::unsigned_abs);
        self.restarts = count(headers, names::RESTARTS)?.unwrap_or(0);
        self.retention = retention(headers)?;
        self.checkpoint = headers.text(names::CHECKPOINT).map(Into::into);
        let deliveries = count(headers, names::DELIVERY_COUNT)?.unwrap_or(0);
        self.lineage.deliveries = self.deliveries_before.saturating_add(deliveries);
        self.session_id = headers.text(names::SESSION).map(Into::into);
        self.creator_id = headers.text(names::CREATOR).map(Into::into);
        self.related = headers.text(names::RELATED).map(Into::into);
        self.identifier = headers.text(names::IDENTIFIER).map(Into::into);
        self.is_result = headers.get(names::IS_RESULT) == Some(&HeaderValue::Bool(true));
        Ok(())
    }

    /// Type and id of [`Self::related`].
    #[must_use]
    pub fn related_parts(&self) -> Option<(&str, &str)> {
        self.related
            .as_deref()
            .map(|related| related.split_once(':').unwrap_or((related, "")))
    }
}

/// Headers that have a field of their own, or that are written anew on every send.
const KNOWN: [&str; 33] = [
    "task",
    "id",
    "correlation_id",
    "lang",
    "root_id",
    "parent_id",
    "retries",
    "eta",
    "expires",
    "timelimit",
    "ignore_result",
    "origin",
    "argsrepr",
    "kwargsrepr",
    "compression",
    names::RUN,
    names::RESCUE,
    names::SENT,
    names::EXECUTIONS,
    names::PASSES,
    names::TRIES_BEFORE,
    names::DELIVERIES_BEFORE,
    names::MAX_RETRIES,
    names::RESTARTS,
    names::RETENTION,
    names::CHECKPOINT,
    names::SESSION,
    names::CREATOR,
    names::RELATED,
    names::IDENTIFIER,
    names::IS_RESULT,
    names::REASON,
    names::REASON_TEXT,
];

/// The name of a header that most messages have, without a copy.
pub(crate) fn known_header(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| **known == name).copied()
}

fn text_of<'a>(name: &str, value: &'a HeaderValue) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("header {name} is not text"))
}

/// Highest number that a header may count to.
pub(super) const MAX_COUNT: i32 = 1_000_000;

/// A count of things: missing and null are "not said"; negative or absurd ones are refused, so
/// that nobody can jump ahead of every later event of the task.
fn count(headers: &Headers, name: &str) -> Result<Option<i32>, String> {
    match headers.get(name) {
        None | Some(HeaderValue::Null) => Ok(None),
        Some(value) => match value.as_int().and_then(|n| i32::try_from(n).ok()) {
            Some(n) if (0..=MAX_COUNT).contains(&n) => Ok(Some(n)),
            _ => Err(format!("header {name} is not a number from 0 to 1000000")),
        },
    }
}

/// Latest time that an id can begin with.
const LATEST_MILLIS: i64 = (1 << 48) - 1;

/// What makes no sense is not said: it only decides between two sendings.
pub(crate) fn sent_at(headers: &Headers) -> Option<DateTime<Utc>> {
    let millis = headers.int(names::SENT)?;
    let is_possible = (0..=LATEST_MILLIS).contains(&millis);
    DateTime::from_timestamp_millis(millis).filter(|_| is_possible)
}

/// Whole seconds, within the limits of a retention.
fn retention(headers: &Headers) -> Result<Option<Duration>, String> {
    let name = names::RETENTION;
    match headers.get(name) {
        None | Some(HeaderValue::Null) => Ok(None),
        Some(value) => match value.as_int().and_then(|n| u64::try_from(n).ok()) {
            Some(seconds) => Ok(Some(within_limits(Duration::from_secs(seconds)))),
            None => Err(format!("header {name} is not a whole number of seconds")),
        },
    }
}

fn time(headers: &Headers, name: &str) -> Result<Option<DateTime<Utc>>, String> {
    match headers.get(name) {
        None | Some(HeaderValue::Null) => Ok(None),
        Some(HeaderValue::Text(text)) if text.is_empty() => Ok(None),
        Some(value) => match value.as_str().and_then(parse_time) {
            Some(time) => Ok(Some(time)),
            None => Err(format!("header {name} is not an ISO 8601 time")),
        },
    }
}

fn time_limits(limits: &[HeaderValue]) -> Result<TimeLimits, String> {
    let limit = |index: usize| match limits.get(index) {
        None | Some(HeaderValue::Null) => Ok(None),
        Some(value) => match value.as_number().map(Duration::try_from_secs_f64) {
            Some(Ok(limit)) => Ok(Some(limit).filter(|limit| !limit.is_zero())),
            _ => Err("header timelimit is not two numbers of seconds".to_owned()),
        },
    };
    Ok(TimeLimits {
        hard: limit(0)?,
        soft: limit(1)?,
    })
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
