//! What there is to say of a task when it takes a step.

use super::event::Kind;
use super::exception;
use crate::raised::raised;
use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::message::Payload;
use counterfoil_toolbox::message::repr::{celery_args_repr, celery_repr};
use counterfoil_worker::extension::{Step, Subject};
use serde::Serialize;
use std::borrow::Cow;

/// Longest traceback that is told, in bytes.
const LONGEST_TRACEBACK: usize = 16 * 1024;

/// What an event tells of a task.
#[derive(Debug, Serialize)]
pub(crate) struct OfTask<'a> {
    uuid: &'a TaskId,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum What<'a> {
    Received {
        name: &'a str,
        args: Box<str>,
        kwargs: Box<str>,
        root_id: &'a TaskId,
        parent_id: Option<&'a TaskId>,
        retries: i32,
        eta: Option<String>,
        expires: Option<String>,
    },
    Started {},
    Succeeded {
        result: String,
        /// Seconds.
        runtime: Option<f64>,
    },
    /// It failed, or is tried again.
    Raised {
        exception: String,
        traceback: Option<Cow<'a, str>>,
    },
    Revoked {
        terminated: bool,
        /// The signal that ended it: no worker of ours needs one.
        signum: Option<i32>,
        expired: bool,
    },
    Rejected {
        requeue: bool,
    },
}

/// What is told of a step, in this order.
pub(crate) fn told<'a>(task: &Subject<'a>, step: &Step<'a>) -> [Option<(Kind, OfTask<'a>)>; 2] {
    let of = |kind, what| {
        let uuid = &task.envelope.id;
        Some((kind, OfTask { uuid, what }))
    };
    match step {
        Step::Received => [of(Kind::TaskReceived, received(task)), None],
        Step::Started => [of(Kind::TaskStarted, What::Started {}), None],
        Step::Succeeded(result) => {
            let what = What::Succeeded {
                result: celery_repr(result.map_or("null", |json| json.get())),
                runtime: task.ran_for.map(|ran_for| ran_for.as_secs_f64()),
            };
            [of(Kind::TaskSucceeded, what), None]
        }
        Step::Failed(fault) => {
            // One that a handler rejects fails, too, as Celery has it.
            let is_rejected = fault.kind == FaultKind::Rejected;
            let rejected = is_rejected.then_some(What::Rejected { requeue: false });
            let failed = of(Kind::TaskFailed, raises(task, fault));
            [
                failed,
                rejected.and_then(|what| of(Kind::TaskRejected, what)),
            ]
        }
        Step::Retried(fault, _) => [of(Kind::TaskRetried, raises(task, fault)), None],
        Step::Revoked(fault) => {
            let what = What::Revoked {
                terminated: task.ran_for.is_some(),
                signum: None,
                expired: fault.kind == FaultKind::Expired,
            };
            [of(Kind::TaskRevoked, what), None]
        }
        Step::PutOff => [
            of(Kind::TaskRejected, What::Rejected { requeue: true }),
            None,
        ],
        // Celery knows no such event, and to monitors one that it does not know outranks that the task was revoked.
        Step::Progress(_) => [None, None],
    }
}

fn received<'a>(task: &Subject<'a>) -> What<'a> {
    let envelope = task.envelope;
    let (args, kwargs) = printed(|name| task.headers.text(name), task.payload);
    let shown_as = envelope.extra.text("shadow");
    What::Received {
        name: shown_as
            .filter(|name| !name.is_empty())
            .unwrap_or(envelope.name.as_str()),
        args,
        kwargs,
        root_id: &envelope.root_id,
        parent_id: envelope.parent_id.as_ref(),
        retries: envelope.retries,
        eta: envelope.eta.map(iso),
        expires: envelope.expires.map(iso),
    }
}

/// Arguments as their sender prints them, since some values are secret, or else as Celery would.
pub(super) fn printed(
    header: impl Fn(&str) -> Option<Box<str>>,
    payload: Option<&Payload>,
) -> (Box<str>, Box<str>) {
    let print = |print: fn(&str) -> String, json: Option<&str>| {
        Box::from(json.map(print).unwrap_or_default())
    };
    let args = || print(celery_args_repr, payload.map(Payload::args));
    let kwargs = || print(celery_repr, payload.map(Payload::kwargs));
    (
        header("argsrepr").unwrap_or_else(args),
        header("kwargsrepr").unwrap_or_else(kwargs),
    )
}

fn raises<'a>(task: &Subject<'_>, fault: &'a TaskFault) -> What<'a> {
    let exception = raised(task, fault);
    let cut = |text: Cow<'a, str>| {
        let end = text.floor_char_boundary(LONGEST_TRACEBACK);
        match text {
            Cow::Borrowed(text) => text[..end].into(),
            Cow::Owned(text) => text[..end].to_owned().into(),
        }
    };
    What::Raised {
        traceback: fault.traceback_of(&exception).map(cut),
        exception: exception::repr(&exception),
    }
}

/// As Python writes it.
pub(super) fn iso(time: DateTime<Utc>) -> String {
    let precision = match time.nanosecond() / 1000 {
        0 => SecondsFormat::Secs,
        _ => SecondsFormat::Micros,
    };
    time.to_rfc3339_opts(precision, false)
}
