//! What is written in one transaction.

use crate::celery::Awaited;
use crate::control::{Asked, HeldBack};
use crate::copy::{TrackingCopy, line_id};
use crate::history::{Deed, HistoryLine};
use crate::json::JsonText;
use crate::merge::{
    Fill, ResultChange, StateColumns, TaskChange, change_from_event, result_from_event,
};
use crate::owners::Owners;
use crate::record::{CanaryPlace, LostTask, UnroutableTask};
use crate::sessions::{Ending, Opened};
use crate::set_aside::{DeadLetter, Handled, Parked};
use crate::text::{LINE, LONG, boxed};
use crate::time::clamped;
use crate::worker_seen::WorkerSeen;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{Event, TaskFault};
use counterfoil_toolbox::ids::{SessionId, TaskId, WorkerId};
use counterfoil_toolbox::session::SessionStatus;
use counterfoil_toolbox::state::{Lineage, StateKey, TaskState};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Everything that one transaction writes, already merged per task and in the order of ids.
///
/// Add what was read in any order; then [`Store::apply`](crate::Store::apply) it. To look for the
/// one input that a database refuses, build smaller batches from halves of the inputs.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    pub(crate) tasks: BTreeMap<TaskId, TaskChange>,
    pub(crate) results: BTreeMap<(TaskId, i32), ResultChange>,
    pub(crate) lines: BTreeMap<(TaskId, Uuid), HistoryLine>,
    pub(crate) logs: BTreeMap<(TaskId, Uuid), LogRecord>,
    pub(crate) parked: BTreeMap<Uuid, Parked>,
    pub(crate) unparked: BTreeSet<Uuid>,
    pub(crate) dead: BTreeMap<Uuid, DeadLetter>,
    pub(crate) handled: BTreeMap<Uuid, Handled>,
    pub(crate) forgotten: BTreeSet<Uuid>,
    pub(crate) workers: BTreeMap<WorkerId, WorkerSeen>,
    pub(crate) canaries: BTreeMap<Uuid, CanarySight>,
    pub(crate) markers: BTreeMap<Uuid, MarkerSight>,
    pub(crate) controls: BTreeMap<Uuid, Asked>,
    pub(crate) held: BTreeMap<TaskId, HeldBack>,
    pub(crate) openings: BTreeMap<SessionId, Opened>,
    pub(crate) endings: BTreeMap<SessionId, Ending>,
    pub(crate) chords: BTreeMap<TaskId, Awaited>,
    pub(crate) revoked: BTreeSet<TaskId>,
    /// Positions in the outbox, and who throws the message away.
    pub(crate) discards: BTreeMap<i64, Option<Box<str>>>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tracking copy: the row that it describes and its lines of history.
    pub fn track(&mut self, copy: &TrackingCopy) {
        self.change(copy.change());
        for (id, lineage, state) in copy.lines() {
            let line = HistoryLine::of_copy(copy, id, lineage, state);
            self.lines.insert((line.task_id.clone(), id), line);
        }
    }

    /// Adds an event: its state, its line of history, and its result or log line.
    pub fn event(&mut self, event: &Event) {
        let key = || (event.task_id.clone(), event.event_id);
        let Some(change) = change_from_event(event) else {
            if let Some(log) = LogRecord::of_event(event) {
                self.logs.insert(key(), log);
            }
            return;
        };
        self.change(change);
        self.lines.insert(key(), HistoryLine::of_event(event));
        if let Some(result) = result_from_event(event) {
            match self.results.entry((event.task_id.clone(), result.key.run)) {
                Entry::Vacant(place) => drop(place.insert(result)),
                Entry::Occupied(mut known) => known.get_mut().join(result),
            }
        }
    }

    /// Adds a message that could not be read, with the reason.
    pub fn park(&mut self, parked: Parked) {
        self.parked.insert(parked.id(), parked.cleaned());
    }

    /// Adds that the record with this id is parked no longer. It may be parked anew in the same batch.
    pub fn unpark(&mut self, id: Uuid) {
        self.unparked.insert(id);
    }

    /// Adds a message from a service's dead queue, as the platform's copy tells of it.
    pub fn dead(&mut self, dead: DeadLetter) {
        self.dead.insert(dead.id(), dead.cleaned());
    }

    /// Adds that such a message was taken out of its dead queue: its record goes, unless more of them
    /// were told of. Unlike everything else it counts, so a batch with it must not be applied twice.
    pub fn handle_dead(&mut self, letter: DeadLetter) {
        match self.handled.entry(letter.id()) {
            Entry::Vacant(place) => drop(place.insert(Handled {
                letter: letter.cleaned(),
                messages: 1,
            })),
            Entry::Occupied(mut known) => known.get_mut().messages += 1,
        }
    }

    /// Adds that the dead letter with this id is of no use any more: no dead queue has its message. What
    /// is only kept for a copy that the daemon has not read yet stays.
    pub fn forget_dead(&mut self, id: Uuid) {
        self.forgotten.insert(id);
    }

    /// Adds that people run a task again: `copy` is the message of the new run, as it was sent.
    pub fn rerun(&mut self, copy: &TrackingCopy, deed: Deed<'_>) {
        self.change(copy.change());
        for (id, lineage, state) in copy.lines() {
            let line = HistoryLine {
                happened_at: Some(clamped(deed.at)),
                detail: Some(deed.detail()),
                ..HistoryLine::of_copy(copy, id, lineage, state)
            };
            self.lines.insert((line.task_id.clone(), id), line);
        }
    }

    /// Adds what somebody did about a task that is over, to its history alone.
    pub fn note(&mut self, task_id: &TaskId, lineage: Lineage, state: TaskState, deed: Deed<'_>) {
        let line = HistoryLine::of_deed(task_id, lineage, state, deed);
        self.lines.insert((task_id.clone(), line.event_id), line);
    }

    /// Adds a worker's sign of life; the last one added counts.
    pub fn worker(&mut self, worker: WorkerSeen) {
        let worker = worker.cleaned();
        match self.workers.entry(worker.id.clone()) {
            Entry::Vacant(place) => drop(place.insert(worker)),
            Entry::Occupied(mut known) => {
                // A beat without the tasks does not take back what was announced before it.
                let tasks = known.get_mut().tasks.take();
                *known.get_mut() = WorkerSeen {
                    tasks: worker.tasks.clone().or(tasks),
                    ..worker
                };
            }
        }
    }

    /// Adds that a canary came through.
    pub fn canary(&mut self, id: Uuid, place: CanaryPlace) {
        let sight = self.canaries.entry(id).or_default();
        match place {
            CanaryPlace::Tracking => sight.tracking = true,
            CanaryPlace::Unroutable => sight.unroutable = true,
            CanaryPlace::Events => sight.events = true,
        }
    }

    /// Adds that a marker came through.
    pub fn marker(&mut self, id: Uuid, place: MarkerPlace) {
        let sight = self.markers.entry(id).or_default();
        match place {
            MarkerPlace::Tracking => sight.tracking = true,
            MarkerPlace::Events => sight.events = true,
            MarkerPlace::Heartbeats => sight.heartbeats = true,
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // Each by its name: a new one is not forgotten.
        let Self {
            tasks,
            results,
            lines,
            logs,
            parked,
            unparked,
            dead,
            handled,
            forgotten,
            workers,
            canaries,
            markers,
            controls,
            held,
            openings,
            endings,
            chords,
            revoked,
            discards,
        } = self;
        tasks.is_empty()
            && results.is_empty()
            && lines.is_empty()
            && logs.is_empty()
            && parked.is_empty()
            && unparked.is_empty()
            && dead.is_empty()
            && handled.is_empty()
            && forgotten.is_empty()
            && workers.is_empty()
            && canaries.is_empty()
            && markers.is_empty()
            && controls.is_empty()
            && held.is_empty()
            && openings.is_empty()
            && endings.is_empty()
            && chords.is_empty()
            && revoked.is_empty()
            && discards.is_empty()
    }

    /// Who was asked to run this task, if its tracking copy is in the batch.
    #[must_use]
    pub fn owners(&self, task_id: &TaskId) -> Option<Owners> {
        let copy = self.tasks.get(task_id)?.copy.as_ref()?;
        Some(Owners {
            by_name: copy.name.service().into(),
            by_key: copy.addressee.clone(),
        })
    }

    /// The tasks that the batch changes, in the order of their ids.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskChange> {
        self.tasks.values()
    }

    /// The outcomes that the batch knows of, in the order of task id and run.
    pub fn results(&self) -> impl Iterator<Item = &ResultChange> {
        self.results.values()
    }

    fn change(&mut self, change: TaskChange) {
        match self.tasks.entry(change.task_id.clone()) {
            Entry::Vacant(place) => drop(place.insert(change)),
            Entry::Occupied(mut known) => known.get_mut().join(change),
        }
    }

    /// Adds that the platform sends a task again by itself, as the attempt `next`.
    pub(crate) fn resent(&mut self, task: Resent<'_>, now: DateTime<Utc>) {
        let Ok(name) = task.name.parse() else {
            return;
        };
        let state = TaskState::Pending;
        let id = line_id(task.task_id, task.next, state);
        let key = (task.task_id.clone(), id);
        self.lines
            .insert(key, HistoryLine::of_platform(&task, id, now));
        self.change(TaskChange {
            task_id: task.task_id.clone(),
            state: StateColumns {
                error_kind: task.why.as_ref().map(|fault| fault.kind.as_str()),
                error_message: task.why.as_ref().map(|why| boxed(&why.message, LINE)),
                ..StateColumns::bare(StateKey::new(task.next, state, id), state)
            },
            copy: None,
            fill: Fill {
                name,
                parent_id: None,
                root_id: None,
                session_id: None,
            },
            delayed_until: None,
            delay_bits: 0,
        });
    }
}

/// A task that the platform sent again by itself.
#[derive(Debug)]
pub(crate) struct Resent<'a> {
    pub(crate) task_id: &'a TaskId,
    pub(crate) name: &'a str,
    /// The attempt that it is now.
    pub(crate) next: Lineage,
    /// What happened to the one before.
    pub(crate) why: Option<TaskFault>,
}

impl<'a> From<&'a UnroutableTask> for Resent<'a> {
    fn from(task: &'a UnroutableTask) -> Self {
        Self {
            task_id: &task.task_id,
            name: &task.name,
            next: task.next(),
            why: None,
        }
    }
}

impl<'a> From<&'a LostTask> for Resent<'a> {
    fn from(task: &'a LostTask) -> Self {
        Self {
            task_id: &task.task_id,
            name: &task.name,
            next: task.next(),
            why: Some(task.fault()),
        }
    }
}

/// What a batch changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Rows of tasks that are new or changed; repeated and outdated inputs change none.
    pub tasks: u64,
    /// Lines of history that were not there yet.
    pub lines: u64,
    /// Results that are new or replaced a lower one.
    pub results: u64,
    /// Sessions that are over now, and how they ended.
    pub finished_sessions: Vec<(SessionId, SessionStatus)>,
    /// Those of them whose stored finalizer cannot be read: it does not run.
    pub unreadable_finalizers: Vec<SessionId>,
    /// Tasks that call themselves subtasks of open sessions which do not list them. They count for nothing there.
    pub strange_subtasks: Vec<(SessionId, TaskId)>,
    /// Canaries that somebody sent who has another database.
    pub foreign_canaries: Vec<Uuid>,
    /// Positions of messages that were to be thrown away and are not refused any more: somebody else dealt with
    /// them. If there are some, nothing of the batch was written.
    pub not_discarded: Vec<i64>,
}

/// A line that a handler wrote.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogRecord {
    pub(crate) event_id: Uuid,
    pub(crate) task_id: TaskId,
    pub(crate) lineage: Lineage,
    pub(crate) level: Box<str>,
    pub(crate) message: Box<str>,
    pub(crate) fields: Option<JsonText>,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) happened_at: DateTime<Utc>,
}

impl LogRecord {
    fn of_event(event: &Event) -> Option<Self> {
        let log = event.log.as_ref()?;
        let fields = (!log.fields.is_empty()).then(|| serde_json::to_string(&log.fields));
        Some(Self {
            event_id: event.event_id,
            task_id: event.task_id.clone(),
            lineage: event.lineage,
            level: boxed(&log.level, 20),
            message: boxed(&log.message, LONG),
            fields: fields.and_then(|text| JsonText::storable(&text.ok()?)),
            worker: event.worker.clone(),
            happened_at: clamped(event.at),
        })
    }
}

/// Where one batch saw a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CanarySight {
    pub(crate) tracking: bool,
    pub(crate) unroutable: bool,
    pub(crate) events: bool,
}

/// Where a marker can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkerPlace {
    /// In the tracking queue.
    Tracking,
    /// In the queue of events.
    Events,
    /// In the queue of signs of life.
    Heartbeats,
}

/// Where one batch saw a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MarkerSight {
    pub(crate) tracking: bool,
    pub(crate) events: bool,
    pub(crate) heartbeats: bool,
}
