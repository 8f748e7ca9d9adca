//! Lines of a task's history, as they are written.

use crate::batch::Resent;
use crate::copy::{TrackingCopy, line_id};
use crate::record::EventRow;
use crate::text::{INDEXED, LINE, LONG, boxed};
use crate::time::{clamped, of_uuid_v7, to_text};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, TaskFault};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::state::Lineage;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// One line: a step in the life of a task, that is written once however often it is reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistoryLine {
    pub(crate) event_id: Uuid,
    pub(crate) task_id: TaskId,
    pub(crate) lineage: Lineage,
    pub(crate) kind: EventKind,
    pub(crate) worker: Option<WorkerId>,
    /// Time that the line is filed under. It must be the same whenever the line is written again.
    pub(crate) at: FiledAt,
    /// When it happened, by the reporter's clock; `None`: when the platform saw it.
    pub(crate) happened_at: Option<DateTime<Utc>>,
    /// Whatever else the event said, as a JSON object.
    pub(crate) detail: Option<String>,
    /// When the handler was started, where the line tells it.
    pub(crate) started_at: Option<DateTime<Utc>>,
}

/// Under which time a line is filed: part of its primary key where history is partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FiledAt {
    /// A time that the line's source always gives again.
    Known(DateTime<Utc>),
    /// No source has one (ids of foreign producers): the time of writing, after a look whether the
    /// line is there already.
    Written,
}

impl FiledAt {
    pub(crate) const fn known(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Known(at) => Some(at),
            Self::Written => None,
        }
    }
}

impl HistoryLine {
    pub(crate) fn of_copy(
        copy: &TrackingCopy,
        event_id: Uuid,
        lineage: Lineage,
        state: TaskState,
    ) -> Self {
        let task_id = &copy.envelope.id;
        let sent = sent_at(task_id);
        Self {
            event_id,
            task_id: task_id.clone(),
            lineage,
            kind: EventKind::State(state),
            worker: None,
            at: sent.map_or(FiledAt::Written, FiledAt::Known),
            // The id tells when the task was first sent, not when it was retried or sent again.
            happened_at: (copy.envelope.sent_at.map(clamped).or(sent))
                .filter(|_| lineage == Lineage::default() && state != TaskState::Retry),
            detail: None,
            started_at: None,
        }
    }

    pub(crate) fn of_event(event: &Event) -> Self {
        let filed = of_uuid_v7(event.event_id).unwrap_or_else(|| clamped(event.at));
        Self {
            event_id: event.event_id,
            task_id: event.task_id.clone(),
            lineage: event.lineage,
            kind: event.kind,
            worker: event.worker.clone(),
            at: FiledAt::Known(filed),
            happened_at: Some(clamped(event.at)),
            detail: detail_of(event),
            started_at: match event.kind == EventKind::State(TaskState::Started) {
                true => Some(clamped(event.at)),
                false => event.started_at.map(clamped),
            },
        }
    }

    /// The line of a task that the platform sends again.
    pub(crate) fn of_platform(task: &Resent<'_>, event_id: Uuid, at: DateTime<Utc>) -> Self {
        let task_id = task.task_id;
        Self {
            event_id,
            task_id: task_id.clone(),
            lineage: task.next,
            kind: EventKind::State(TaskState::Pending),
            worker: None,
            at: sent_at(task_id).map_or(FiledAt::Written, FiledAt::Known),
            happened_at: Some(clamped(at)),
            detail: task.why.as_ref().map(|why| {
                let mut detail = Map::new();
                add_fault(&mut detail, why);
                Value::Object(detail).to_string()
            }),
            started_at: None,
        }
    }

    /// What somebody did about a task that is over.
    pub(crate) fn of_deed(
        task_id: &TaskId,
        lineage: Lineage,
        state: TaskState,
        deed: Deed<'_>,
    ) -> Self {
        let event_id = Uuid::now_v7();
        let at = clamped(deed.at);
        Self {
            event_id,
            task_id: task_id.clone(),
            lineage,
            kind: EventKind::State(state),
            worker: None,
            at: FiledAt::Known(of_uuid_v7(event_id).unwrap_or(at)),
            happened_at: Some(at),
            detail: Some(deed.detail()),
            started_at: None,
        }
    }
}

/// What somebody did about a task, for its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed<'a> {
    /// `rerun`, `redrive`, `discard`.
    pub action: &'a str,
    /// Who did it, as far as that is known.
    pub by: Option<&'a str>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Deed<'_> {
    pub(crate) fn detail(&self) -> String {
        let mut detail = Map::new();
        let text = |text: &str| Value::from(&*boxed(text, INDEXED));
        detail.insert("action".into(), text(self.action));
        if let Some(by) = self.by {
            detail.insert("by".into(), text(by));
        }
        Value::Object(detail).to_string()
    }
}

/// When a task was sent, as far as its id tells.
pub(crate) fn sent_at(task_id: &TaskId) -> Option<DateTime<Utc>> {
    task_id.as_uuid().and_then(of_uuid_v7)
}

fn detail_of(event: &Event) -> Option<String> {
    let mut detail = Map::new();
    let time = |at: DateTime<Utc>| Value::from(to_text(clamped(at)));
    if let Some(error) = &event.error {
        add_fault(&mut detail, error);
    }
    if let Some(reason) = &event.skipped {
        detail.insert("skipped".into(), text(reason, LINE));
    }
    if let Some(at) = event.retry_at {
        detail.insert("retry_at".into(), time(at));
    }
    if let Some(counted) = event.counted {
        detail.insert("counted".into(), counted.into());
    }
    if let Some(progress) = &event.progress {
        let message = progress
            .message
            .as_deref()
            .map(|message| text(message, LINE));
        detail.insert("progress_current".into(), progress.current.into());
        detail.insert("progress_total".into(), progress.total.into());
        detail.insert("progress_message".into(), message.into());
    }
    if let Some(at) = event.started_at {
        detail.insert("started_at".into(), time(at));
    }
    if let Some(runtime_ms) = event.runtime_ms {
        detail.insert("runtime_ms".into(), runtime_ms.into());
    }
    if &*event.service != event.task.service() {
        detail.insert("service".into(), text(&event.service, INDEXED));
    }
    (!detail.is_empty()).then(|| Value::Object(detail).to_string())
}

fn text(text: &str, max: usize) -> Value {
    Value::from(&*boxed(text, max))
}

fn add_fault(detail: &mut Map<String, Value>, fault: &TaskFault) {
    detail.insert("error_kind".into(), fault.kind.as_str().into());
    detail.insert("error_message".into(), text(&fault.message, LINE));
    if let Some(traceback) = &fault.traceback {
        detail.insert("traceback".into(), text(traceback, LONG));
    }
}

/// Lines as they are told: in the order of attempts, each thing once.
pub(crate) fn told(mut lines: Vec<EventRow>) -> Vec<EventRow> {
    let starts = untold_starts(&lines);
    lines.extend(starts);
    let reported: HashSet<_> = lines
        .iter()
        .filter(|line| line.kind == TaskState::Retry && line.worker.is_some())
        .map(execution_of)
        .collect();
    // What a tracking copy says of the execution before it, a worker says better.
    lines.retain(|line| {
        let guessed = line.kind == TaskState::Retry && line.worker.is_none();
        !guessed || !reported.contains(&execution_of(line))
    });
    lines.sort_by_key(|line| {
        (
            line.lineage(),
            rank_of(line),
            line.happened_at,
            line.event_id,
        )
    });
    lines
}

/// That a task waits follows its sending, or that a worker had it: only then one tells.
fn rank_of(line: &EventRow) -> i16 {
    let is_put_off = line.kind == TaskState::Pending && line.worker.is_some();
    if is_put_off {
        TaskState::Received.rank()
    } else {
        line.kind.rank()
    }
}

const fn execution_of(line: &EventRow) -> (i32, i32, i32) {
    (line.run, line.rescue, line.lineage().retries())
}

/// Starts that other lines tell of beside their own news, and no line of their own tells.
fn untold_starts(lines: &[EventRow]) -> Vec<EventRow> {
    let told: HashSet<Lineage> = lines
        .iter()
        .filter(|line| line.kind == TaskState::Started)
        .map(EventRow::lineage)
        .collect();
    let mut starts = BTreeMap::new();
    for line in lines.iter().filter(|line| !told.contains(&line.lineage())) {
        if let Some(start) = start_of(line) {
            starts.entry(line.lineage()).or_insert(start);
        }
    }
    starts.into_values().collect()
}

/// The start that a line tells of beside its own news.
fn start_of(line: &EventRow) -> Option<EventRow> {
    let detail = line.detail.as_ref()?.to_value();
    Some(EventRow {
        event_id: line_id(&line.task_id, line.lineage(), TaskState::Started),
        kind: TaskState::Started,
        happened_at: detail.get("started_at")?.as_str()?.parse().ok()?,
        detail: None,
        ..line.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_task_had_nothing_to_do_is_told() {
        let task_id = TaskId::random();
        let name = "demo.add".parse().expect("a task name");
        let kind = EventKind::State(TaskState::Success);
        let mut event = Event::new(task_id, name, Lineage::default(), kind, Utc::now());
        assert_eq!(detail_of(&event), None);
        event.skipped = Some("nothing has changed".into());
        assert_eq!(
            detail_of(&event).as_deref(),
            Some(r#"{"skipped":"nothing has changed"}"#)
        );
    }
}
