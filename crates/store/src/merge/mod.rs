//! How what is known about one task becomes one row: the twin of the SQL of both databases.
//!
//! A row has two halves, and each is a maximum, so any order and any duplication of inputs gives
//! the same row:
//! - **state** columns follow the input with the highest [`StateKey`];
//! - **descriptive** columns follow the tracking copy with the highest [`CopyKey`]. Until one
//!   arrives they are filled from events; where events disagree the least text wins.
//!
//! Results merge like states, per task and run. Nothing here reads a clock or does I/O.

use crate::json::JsonText;
use crate::text::{INDEXED, LINE, LONG, boxed};
use crate::time::clamped;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, Exception, Lease, Progress, SkippedStep, TaskFault};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::state::StateKey;

pub use crate::copy::{CopyColumns, CopyKey, Seen, TrackingCopy};

/// What a row is to become at least, as far as one batch knows.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskChange {
    /// The task.
    pub task_id: TaskId,
    /// Where it stands.
    pub state: StateColumns,
    /// What it is, when a tracking copy said so.
    pub copy: Option<Box<CopyColumns>>,
    /// What it is, as far as events say.
    pub fill: Fill,
    /// Until when the delay levels may hold a message of it: the latest time that any copy tells.
    pub delayed_until: Option<DateTime<Utc>>,
    /// Which delay levels may ever hold one: the bits of the delays that copies tell.
    pub delay_bits: i32,
}

impl TaskChange {
    /// Takes in what another part of the batch knows about the same task.
    pub fn join(&mut self, other: Self) {
        debug_assert_eq!(self.task_id, other.task_id);
        if other.state.key > self.state.key {
            self.state = other.state;
        }
        let key_of = |copy: &Option<Box<CopyColumns>>| copy.as_ref().map(|copy| copy.key);
        if key_of(&other.copy) > key_of(&self.copy) {
            self.copy = other.copy;
        }
        self.fill.join(other.fill);
        self.delayed_until = self.delayed_until.max(other.delayed_until);
        self.delay_bits |= other.delay_bits;
    }

    /// Name of the task's type.
    #[must_use]
    pub fn name(&self) -> &TaskName {
        match &self.copy {
            Some(copy) => &copy.name,
            None => &self.fill.name,
        }
    }

    /// The task that scheduled it.
    #[must_use]
    pub fn parent_id(&self) -> Option<&TaskId> {
        match &self.copy {
            Some(copy) => copy.parent_id.as_ref(),
            None => self.fill.parent_id.as_ref(),
        }
    }

    /// First task of its family.
    #[must_use]
    pub fn root_id(&self) -> Option<&TaskId> {
        match &self.copy {
            Some(copy) => Some(&copy.root_id),
            None => self.fill.root_id.as_ref(),
        }
    }

    /// Session that it is part of.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        match &self.copy {
            Some(copy) => copy.session_id.as_deref(),
            None => self.fill.session_id.as_deref(),
        }
    }
}

/// Columns that follow the winning input.
#[derive(Debug, Clone, PartialEq)]
pub struct StateColumns {
    /// Its place in the order of merging.
    pub key: StateKey,
    /// The state that it puts the task into.
    pub state: TaskState,
    /// Kind of error, as on the wire.
    pub error_kind: Option<&'static str>,
    /// One line about the error.
    pub error_message: Option<Box<str>>,
    /// When the task runs again.
    pub retry_at: Option<DateTime<Utc>>,
    /// Who reported.
    pub worker: Option<WorkerId>,
    /// How far the task is.
    pub progress: Option<Progress>,
    /// What its worker has promised that took it over from the broker.
    pub lease: Option<Lease>,
    /// What callers in Python are told beside it.
    pub told: Option<Box<Told>>,
}

impl StateColumns {
    /// A state without anything beside it.
    #[must_use]
    pub const fn bare(key: StateKey, state: TaskState) -> Self {
        Self {
            key,
            state,
            error_kind: None,
            error_message: None,
            retry_at: None,
            worker: None,
            progress: None,
            lease: None,
            told: None,
        }
    }
}

/// What is told only to callers in Python, of a state that has something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// They want to be told nothing.
    pub ignored: bool,
    /// What went wrong.
    pub fault: Option<TaskFault>,
    /// Whether the handler was started.
    pub was_started: bool,
    /// What was called because it succeeded.
    pub children: Option<JsonText>,
    /// What will never be called.
    pub skipped: Vec<SkippedStep>,
    /// Why that is not, where it is not the fault.
    pub because: Option<Exception>,
    /// When it was said.
    pub at: DateTime<Utc>,
}

impl Told {
    fn of(event: &Event) -> Option<Box<Self>> {
        let Event { after, error, .. } = event;
        if after.is_none() && error.is_none() && !event.ignore_result {
            return None;
        }
        let after = after.as_deref();
        Some(Box::new(Self {
            ignored: event.ignore_result,
            fault: error.clone().map(|fault| TaskFault {
                message: boxed(&fault.message, LINE).into(),
                traceback: fault.traceback.map(|text| boxed(&text, LONG).into()),
                ..fault
            }),
            was_started: event.runtime_ms.is_some(),
            children: after.and_then(|after| after.children.clone().map(JsonText::from)),
            skipped: after.map_or_else(Vec::new, |after| after.skipped.clone()),
            because: after.and_then(|after| after.because.as_deref().cloned()),
            at: clamped(event.at),
        }))
    }
}

/// What events tell about a task whose tracking copy is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    /// Type of the task.
    pub name: TaskName,
    /// See [`Event::parent_id`].
    pub parent_id: Option<TaskId>,
    /// See [`Event::root_id`].
    pub root_id: Option<TaskId>,
    /// See [`Event::session_id`].
    pub session_id: Option<Box<str>>,
}

impl Fill {
    fn join(&mut self, other: Self) {
        self.name = self.name.clone().min(other.name);
        least(&mut self.parent_id, other.parent_id);
        least(&mut self.root_id, other.root_id);
        least(&mut self.session_id, other.session_id);
    }
}

/// The least of both; a value where only one has one. SQL: `LEAST` and its like.
fn least<T: Ord>(mine: &mut Option<T>, other: Option<T>) {
    *mine = match (mine.take(), other) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

/// Stands where the kind of an error would: the task succeeded because there was nothing to do.
const SKIPPED: &str = "skipped";

/// One line about an error, or about why there was nothing to do.
fn why(event: &Event) -> Option<&str> {
    let error = event.error.as_ref().map(|error| error.message.as_str());
    error.or(event.skipped.as_deref())
}

/// Reads an event as a change of its task; `None` for a log line.
#[must_use]
pub fn change_from_event(event: &Event) -> Option<TaskChange> {
    use counterfoil_toolbox::event::EventKind;
    let EventKind::State(state) = event.kind else {
        return None;
    };
    let key = event.key()?;
    Some(TaskChange {
        task_id: event.task_id.clone(),
        state: StateColumns {
            key,
            state,
            error_kind: match (&event.error, &event.skipped) {
                (Some(error), _) => Some(error.kind.as_str()),
                (None, Some(_)) => Some(SKIPPED),
                (None, None) => None,
            },
            error_message: why(event).map(|why| boxed(why, LINE)),
            retry_at: event.retry_at.map(clamped),
            // Who put it off has it no more.
            worker: (state != TaskState::Pending)
                .then(|| event.worker.clone())
                .flatten(),
            progress: event.progress.as_ref().map(|progress| Progress {
                current: progress.current,
                total: progress.total,
                message: progress
                    .message
                    .as_deref()
                    .map(|text| boxed(text, LINE).into()),
            }),
            lease: event.lease,
            told: Told::of(event),
        },
        copy: None,
        fill: Fill {
            name: event.task.clone(),
            parent_id: event.parent_id.clone(),
            root_id: event.root_id.clone(),
            session_id: event.session_id.as_deref().map(|id| boxed(id, INDEXED)),
        },
        delayed_until: None,
        delay_bits: 0,
    })
}

/// The outcome of one run of a task. Of several (a failure, then a late success) the one with the
/// highest key stays.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultChange {
    /// The task.
    pub task_id: TaskId,
    /// Place in the order of merging; its `run` is part of the primary key.
    pub key: StateKey,
    /// A terminal state.
    pub status: TaskState,
    /// What the handler returned, as text that may be more than `jsonb` holds.
    pub result: Option<JsonText>,
    /// Kind of error.
    pub error_kind: Option<&'static str>,
    /// One line about the error.
    pub error_message: Option<Box<str>>,
    /// Chain of causes or backtrace.
    pub traceback: Option<Box<str>>,
    /// When it was over, by the reporter's clock.
    pub date_done: DateTime<Utc>,
    /// How long the handler ran, in milliseconds.
    pub runtime_ms: Option<i64>,
    /// Who reported.
    pub worker: Option<WorkerId>,
}

impl ResultChange {
    /// Takes in another outcome of the same task and run.
    pub fn join(&mut self, other: Self) {
        debug_assert_eq!(
            (&self.task_id, self.key.run),
            (&other.task_id, other.key.run)
        );
        if other.key > self.key {
            *self = other;
        }
    }
}

/// Reads an event as the outcome of a run; `None` unless it is terminal.
#[must_use]
pub fn result_from_event(event: &Event) -> Option<ResultChange> {
    use counterfoil_toolbox::event::EventKind;
    let EventKind::State(status) = event.kind else {
        return None;
    };
    if !status.is_terminal() {
        return None;
    }
    let error = event.error.as_ref();
    Some(ResultChange {
        task_id: event.task_id.clone(),
        key: event.key()?,
        status,
        result: event.result.clone().map(JsonText::from),
        error_kind: error.map(|error| error.kind.as_str()),
        error_message: error.map(|error| boxed(&error.message, LINE)),
        traceback: error
            .and_then(|error| error.traceback.as_deref())
            .map(|text| boxed(text, LONG)),
        date_done: clamped(event.at),
        runtime_ms: event.runtime_ms,
        worker: event.worker.clone(),
    })
}

#[cfg(test)]
mod tests;
