//! What Celery's workers say of their tasks: <https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference>.
//!
//! One object, or an array of them. Workers of ours say the same to Celery's monitors, and report to the platform by other
//! ways: what they say here is not read. Of all else, only what changes the state of a task is taken; signs of life of such workers are
//! read by nobody yet.

use super::{RESERVED, Record, parked};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{Parked, StoredMessage};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::json::{MAX_DEPTH, inspect};
use counterfoil_toolbox::message::{Content, names};
use counterfoil_toolbox::names::TaskName;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Events that a message may hold. Celery gathers some dozens.
const MOST: usize = 1000;

/// Most retries that are believed: see `read/events.rs`.
const MOST_RETRIES: i32 = 1_000_000;

/// Kinds of events that change the state of a task.
const KINDS: [&str; 7] = [
    "task-received",
    "task-started",
    "task-succeeded",
    "task-failed",
    "task-retried",
    "task-revoked",
    "task-rejected",
];

/// Something that a worker of Celery's said of a task.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) task_id: TaskId,
    pub(crate) what: What,
    pub(crate) at: DateTime<Utc>,
    /// Who says it, where that can be a worker's id.
    pub(crate) worker: Option<WorkerId>,
    /// The message with this alone in it.
    pub(crate) message: StoredMessage,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Received {
        name: TaskName,
        retries: i32,
    },
    Started,
    Succeeded {
        repr: String,
        runtime_ms: Option<i64>,
    },
    Failed {
        exception: String,
        traceback: Option<String>,
    },
    Retried {
        exception: String,
        traceback: Option<String>,
    },
    Revoked {
        is_expired: bool,
        was_running: bool,
    },
    Rejected {
        is_requeued: bool,
    },
}

/// What an event is about. Its other fields may be anything: handlers send events of their own.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    name: std::borrow::Cow<'a, str>,
}

/// Fields of all kinds of events that are of interest.
#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "type")]
    kind: String,
    uuid: Option<TaskId>,
    hostname: Option<String>,
    timestamp: Option<f64>,
    name: Option<TaskName>,
    retries: Option<i32>,
    result: Option<String>,
    runtime: Option<f64>,
    exception: Option<String>,
    traceback: Option<String>,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    terminated: bool,
    #[serde(default)]
    requeue: bool,
}

pub(crate) fn read(queue: &str, message: StoredMessage, out: &mut Vec<Record>) {
    if message.content.headers.get(names::BY_COUNTERFOIL).is_some() {
        return;
    }
    let body = message.content.body.clone();
    let objects = match objects(&body) {
        Ok(objects) => objects,
        Err(reason) => return out.push(parked(queue, reason, None, message)),
    };
    if objects.len() > MOST {
        let reason = format!("more than {MOST} events are in one message");
        return out.push(parked(queue, reason, None, message));
    }
    for object in objects {
        match said(object, &message) {
            Ok(said) => out.extend(said.map(|said| Record::Said(Box::new(said)))),
            Err(reason) => out.push(parked(queue, reason, None, alone(object, &message))),
        }
    }
}

/// The message with one of its events in it.
fn alone(object: &str, message: &StoredMessage) -> StoredMessage {
    StoredMessage {
        exchange: message.exchange.clone(),
        routing_key: message.routing_key.clone(),
        content: Content::json(object.to_owned()),
    }
}

fn objects(body: &[u8]) -> Result<Vec<&str>, String> {
    let text = std::str::from_utf8(body)
        .map_err(|error| format!("the events are not UTF-8 (byte {})", error.valid_up_to()))?;
    if inspect(text).depth > MAX_DEPTH {
        return Err(format!(
            "the events are nested deeper than {MAX_DEPTH} levels"
        ));
    }
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text]);
    }
    let objects: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| format!("the events are no JSON array: {error}"))?;
    Ok(objects.into_iter().map(RawValue::get).collect())
}

/// `None`: it says nothing of the state of a task.
fn said(object: &str, message: &StoredMessage) -> Result<Option<Said>, String> {
    let unreadable = |error| format!("not an event of Celery's: {error}");
    let kind: Kind<'_> = serde_json::from_str(object).map_err(unreadable)?;
    if !KINDS.contains(&&*kind.name) {
        return Ok(None);
    }
    let fields: Fields = serde_json::from_str(object).map_err(unreadable)?;
    let Some(what) = what(&fields)? else {
        return Ok(None);
    };
    Ok(Some(Said {
        task_id: fields.uuid.ok_or("an event of a task has no uuid")?,
        what,
        at: fields
            .timestamp
            .and_then(time)
            .ok_or("an event has no time")?,
        worker: fields.hostname.and_then(|name| WorkerId::new(&name).ok()),
        message: alone(object, message),
    }))
}

fn what(fields: &Fields) -> Result<Option<What>, String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Ok(Some(match &*fields.kind {
        "task-received" => received(fields)?,
        "task-started" => What::Started,
        "task-succeeded" => What::Succeeded {
            repr: text(&fields.result),
            runtime_ms: fields.runtime.map(millis),
        },
        "task-failed" => What::Failed {
            exception: text(&fields.exception),
            traceback: fields.traceback.clone(),
        },
        "task-retried" => What::Retried {
            exception: text(&fields.exception),
            traceback: fields.traceback.clone(),
        },
        "task-revoked" => What::Revoked {
            is_expired: fields.expired,
            was_running: fields.terminated,
        },
        "task-rejected" => What::Rejected {
            is_requeued: fields.requeue,
        },
        _ => return Ok(None),
    }))
}

fn received(fields: &Fields) -> Result<What, String> {
    let name = fields.name.clone().ok_or("task-received names no task")?;
    if name.service() == "platform" {
        return Err(RESERVED.to_owned());
    }
    let retries = fields.retries.unwrap_or(0);
    if !(0..=MOST_RETRIES).contains(&retries) {
        return Err(format!("{retries} retries are not believable"));
    }
    Ok(What::Received { name, retries })
}

/// Seconds since 1970, to the microsecond.
fn time(seconds: f64) -> Option<DateTime<Utc>> {
    let span = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::from_std(span).ok()?)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "floats out of range become the largest number, which no column refuses"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

/// What is kept of something that is said of a task of which nothing else is known yet.
pub(crate) fn too_early(said: &Said, queue: &str) -> Parked {
    Parked {
        queue: queue.into(),
        reason: "a worker of Celery's told of a task whose tracking copy has not come yet".into(),
        task_id: Some(said.task_id.clone()),
        name: None,
        message: said.message.clone(),
        waits: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(body: &serde_json::Value) -> Vec<Record> {
        let message = StoredMessage {
            exchange: "celeryev".into(),
            routing_key: "task.multi".into(),
            content: Content::json(body.to_string()),
        };
        let mut out = Vec::new();
        read("platform.celeryev", message, &mut out);
        out
    }

    #[test]
    fn every_captured_event_is_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
        let mut of_tasks = 0;
        for entry in std::fs::read_dir(folder).expect("captures") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a capture");
            let capture: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let sample = &capture["sample"];
            let body = if sample["event"].is_null() {
                &sample["body"]
            } else {
                &sample["event"]
            };
            let records = told(body);
            let is_said = |record: &Record| record.said().is_some();
            assert!(
                records.iter().all(is_said),
                "{}: {records:?}",
                path.display()
            );
            of_tasks += records.len();
        }
        // All but those of workers, and that a task was sent.
        assert!(of_tasks >= 10, "{of_tasks}");
    }

    #[test]
    fn what_concerns_no_task_is_passed_over_and_what_cannot_be_read_is_kept() {
        let beat = json!({"type": "worker-heartbeat", "hostname": "w@h", "timestamp": 1.5});
        let sent = json!({"type": "task-sent", "uuid": "t1", "timestamp": 1.5});
        let started =
            json!({"type": "task-started", "uuid": "t1", "timestamp": 1.5, "hostname": "w@h"});
        let bad = json!({"type": "task-started", "timestamp": 1.5});
        let records = told(&json!([beat, sent, started, bad]));
        let [Record::Said(said), Record::Parked(parked)] = &records[..] else {
            panic!("{records:?}");
        };
        assert_eq!((said.task_id.as_str(), &said.what), ("t1", &What::Started));
        assert_eq!(said.at.timestamp_millis(), 1500);
        assert_eq!(&*parked.reason, "an event of a task has no uuid");
        assert!(matches!(told(&json!("text"))[..], [Record::Parked(_)]));
        // A handler's own, whatever it holds.
        let own =
            json!({"type": "task-progress", "uuid": "t1", "result": {"done": 3}, "retries": "x"});
        assert!(told(&own).is_empty());
    }

    #[test]
    fn what_workers_of_ours_tell_monitors_is_not_even_read() {
        let mut content = Content::json("this is no event at all");
        content.headers.push(names::BY_COUNTERFOIL, "0.1.0");
        let message = StoredMessage {
            exchange: "celeryev".into(),
            routing_key: "task.started".into(),
            content,
        };
        let mut out = Vec::new();
        read("platform.celeryev", message, &mut out);
        assert!(out.is_empty(), "{out:?}");
    }

    #[test]
    fn what_nobody_may_say_is_kept_and_changes_nothing() {
        let received = |name: &str, retries: i64| json!({"type": "task-received", "uuid": "t1", "timestamp": 1.5, "name": name, "retries": retries});
        for bad in [
            received("demo.add", -1),
            received("demo.add", 2_147_483_647),
            received("platform.canary", 0),
        ] {
            assert!(matches!(told(&bad)[..], [Record::Parked(_)]), "{bad}");
        }
        let many = vec![received("demo.add", 0); 1001];
        assert!(matches!(told(&json!(many))[..], [Record::Parked(_)]));
    }
}
