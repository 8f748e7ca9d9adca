//! The answer to a caller that waits at a queue of its own: what Celery's `rpc://` results are.

use crate::json::raw;
use crate::raised::raised;
use chrono::{DateTime, SecondsFormat, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::event::{Exception, FaultKind, TaskFault};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::transport::Publication;
use counterfoil_worker::extension::Subject;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Bytes of a message that every broker takes.
pub(crate) const TAKEN_BY_ALL: usize = 64 * 1024;

/// What is said of a task.
#[derive(Debug, Serialize)]
pub(crate) struct Reply<'a> {
    pub(crate) task_id: &'a TaskId,
    /// A state, by Celery's name or the handler's.
    pub(crate) status: &'a str,
    pub(crate) result: Box<RawValue>,
    pub(crate) traceback: Option<Cow<'a, str>>,
    pub(crate) children: Vec<Value>,
    /// When it was over.
    pub(crate) date_done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<&'a TaskId>,
}

impl<'a> Reply<'a> {
    /// That the task is in this state, with this result.
    pub(crate) fn new(task: &'a Envelope, status: &'a str, result: Box<RawValue>) -> Self {
        Self {
            task_id: &task.id,
            status,
            result,
            traceback: None,
            children: Vec::new(),
            date_done: None,
            group_id: task.extra.text("group"),
            parent_id: task.parent_id.as_ref(),
        }
    }

    /// The same, where the task is over since then.
    pub(crate) fn over_at(mut self, at: DateTime<Utc>) -> Self {
        self.date_done = Some(at.to_rfc3339_opts(SecondsFormat::Micros, false));
        self
    }
}

/// That a task is in this state because of this exception.
pub(crate) fn because_of<'a>(
    (of, status): (&'a Envelope, &'a str),
    exception: &Exception,
    fault: &'a TaskFault,
) -> Reply<'a> {
    let mut reply = Reply::new(of, status, raw(&exception.to_celery()));
    reply.traceback = fault.traceback_of(exception);
    reply
}

/// What a caller is told where the broker does not take the answer with the result: else he would wait for ever. `None`:
/// every broker takes that.
pub(crate) fn too_large<'a>(
    task: &Subject<'a>,
    answer: &Publication,
    now: DateTime<Utc>,
) -> Option<Reply<'a>> {
    let bytes = answer.content.body.len();
    if bytes <= TAKEN_BY_ALL {
        return None;
    }
    let why = format!(
        "the task succeeded, and the answer with its result is {bytes} bytes long: more than the broker takes"
    );
    let fault = TaskFault::new(FaultKind::ResultTooLarge, why);
    let result = raw(&raised(task, &fault).to_celery());
    Some(Reply::new(task.envelope, "FAILURE", result).over_at(now))
}
