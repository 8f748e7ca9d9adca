//! Telling the platform what becomes of tasks: events, gathered into batches.
//!
//! One batch is under way at a time. While its confirm is awaited, events gather into the next; so
//! a lone event leaves at once, and a flood leaves in large batches. A delivery is acknowledged
//! only when the batch with its last event has been confirmed.
//!
//! A task that is over before its STARTED event has left is reported once, by its last event.

mod apart;
mod batch;
mod live;
mod send;

pub(crate) use live::Live;
pub(crate) use send::send_batches;

use crate::held::Held;
use batch::{Batch, Batches};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{Event, EventKind, LogLine, Progress};
use counterfoil_toolbox::ids::WorkerId;
use live::{Lives, Unsent};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes of log lines of one service that may wait to be sent. More are dropped, and their number
/// is told.
const MAX_LOG_BYTES: usize = 8 * 1024 * 1024;

/// A batch that takes longer to be confirmed holds up what is reported after it.
const PROMPT: Duration = Duration::from_secs(5);

/// Where executions tell what happens to them. One per worker.
#[derive(Debug)]
pub(crate) struct Reporter {
    worker: WorkerId,
    pending: Mutex<Pending>,
    wake: Notify,
}

/// Whether what the sender got before has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    AllTold,
    /// Some of it was refused, and waits.
    SomeSetAside,
}

#[derive(Debug, Default)]
struct Pending {
    batches: Batches,
    lives: Lives,
    /// The sender has seen that there is nothing, and waits to be woken.
    sender_sleeps: bool,
    /// And that nothing was set aside either.
    nothing_waits: bool,
    closed: bool,
    /// When the batch left that is on its way.
    left_at: Option<Instant>,
    /// What is told when that one is confirmed, if nothing before it was set aside.
    covers: Option<Instant>,
    /// All that was noted until then is confirmed.
    told_until: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            pending: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// A task is here. Nothing is told yet.
    pub(crate) fn open(&self, held: &Arc<Held>) -> Live {
        self.pending().lives.open(held.clone())
    }

    /// It entered `state` (RECEIVED or STARTED) with this many executions behind it. Told when
    /// the next batch leaves, unless something later is known by then.
    pub(crate) fn entered(&self, live: Live, executions: i32, state: TaskState, at: DateTime<Utc>) {
        let mut pending = self.pending();
        if state == TaskState::Received && pending.lives.told(live) == Some(state) {
            // It stands in line once more.
            return;
        }
        let marked = pending.lives.mark(live, |unsent| {
            unsent.executions = executions;
            unsent.entered = Some((state, at));
            unsent.held.told();
        });
        self.wake_if(pending, marked);
    }

    /// How far it is. Told when the next batch leaves, unless something later is known by then.
    /// Ignored when the execution is over, as what a blocking handler says after its time limit.
    pub(crate) fn progress(&self, live: Live, executions: i32, progress: Progress) {
        let mut pending = self.pending();
        if !pending.lives.is_at(live, executions) {
            return;
        }
        let at = Utc::now();
        let marked = pending
            .lives
            .mark(live, |unsent| unsent.progress = Some((progress, at)));
        self.wake_if(pending, marked);
    }

    /// A line that its handler wrote. Lines beyond what may wait are dropped and counted; ignored
    /// when the execution is over.
    pub(crate) fn log(&self, live: Live, executions: i32, mut line: LogLine) {
        let mut pending = self.pending();
        let Some(unsent) = pending
            .lives
            .get(live)
            .filter(|u| u.executions == executions)
        else {
            return;
        };
        let held = unsent.held.clone();
        if pending.batches.log_bytes(&held.service) > MAX_LOG_BYTES {
            pending.lives.count_lost_line(live);
            return;
        }
        if let Some(lost) = pending.lives.take_lost_lines(live) {
            line.fields
                .insert("lines_lost_before".to_owned(), lost.into());
        }
        self.write_unsent(&mut pending, live);
        let mut event = self.event(&held, executions, EventKind::Log, Utc::now());
        event.log = Some(line);
        pending.batches.push_log(&held.service, &event);
        self.wake_if(pending, true);
    }

    /// It ended an execution, and this worker will begin another.
    pub(crate) fn between(&self, live: Live, held: &Held, mut event: Event) {
        let mut pending = self.pending();
        held.told();
        event.started_at = self.write_before_end(&mut pending, live);
        pending.lives.next_execution(live);
        pending.batches.push(&held.service, &event, None);
        self.wake_if(pending, true);
    }

    /// Its last event. Once that has been confirmed, its deliveries are acknowledged.
    pub(crate) fn finish(&self, live: Live, held: Arc<Held>, mut event: Event) {
        let mut pending = self.pending();
        event.started_at = self.write_before_end(&mut pending, live);
        event.lease = None;
        pending.lives.close(live);
        let service = held.service.clone();
        pending.batches.push(&service, &event, Some(held));
        self.wake_if(pending, true);
    }

    /// Another last event of a task, whose own could not be sent.
    pub(crate) fn finish_anew(&self, held: Arc<Held>, event: &Event) {
        let mut pending = self.pending();
        let service = held.service.clone();
        pending.batches.push(&service, event, Some(held));
        self.wake_if(pending, true);
    }

    /// It leaves this worker untried: whoever gets it next will tell. If it was told that this worker has it,
    /// that is taken back. `again_at`: when a copy of it comes out of the delay levels.
    pub(crate) fn put_off(&self, live: Live, held: &Held, again_at: Option<DateTime<Utc>>) {
        let mut pending = self.pending();
        let told = pending.lives.told(live);
        let executions = pending.lives.get(live).map(|unsent| unsent.executions);
        pending.lives.close(live);
        let (Some(TaskState::Received), Some(executions)) = (told, executions) else {
            return;
        };
        let kind = EventKind::State(TaskState::Pending);
        let mut event = self.event(held, executions, kind, Utc::now());
        event.retry_at = again_at;
        pending.batches.push(&held.service, &event, None);
        self.wake_if(pending, true);
    }

    /// It leaves this worker without a last event: whoever gets it next will tell.
    pub(crate) fn abandon(&self, live: Live) {
        self.pending().lives.close(live);
    }

    /// An event about `held`, in the name of this worker. With the worker's promise, if it has taken the
    /// task over: any but the last one.
    pub(crate) fn event(
        &self,
        held: &Held,
        executions: i32,
        kind: EventKind,
        at: DateTime<Utc>,
    ) -> Event {
        let envelope = &held.envelope;
        let lineage = held.lineage(executions);
        let (id, name) = (envelope.id.clone(), envelope.name.clone());
        let mut event = Event::new(id, name, lineage, kind, at);
        event.service = (&*held.service).into();
        event.worker = Some(self.worker.clone());
        event.parent_id.clone_from(&envelope.parent_id);
        event.root_id = Some(envelope.root_id.clone());
        event.session_id.clone_from(&envelope.session_id);
        event.lease = held.lease();
        event.ignore_result = envelope.ignore_result == Some(true);
        event
    }

    /// Whether what is reported has not got through for a while.
    pub(crate) fn is_behind(&self) -> bool {
        let left_at = self.pending().left_at;
        left_at.is_some_and(|at| at.elapsed() > PROMPT)
    }

    /// All that was noted until then has been told.
    pub(crate) fn told_until(&self) -> Option<Instant> {
        let pending = self.pending();
        // Nothing is noted without a word to a sender that sleeps.
        match pending.sender_sleeps && pending.nothing_waits {
            true => Some(Instant::now()),
            false => pending.told_until,
        }
    }

    /// Nothing more will come: the sender ends when all has been sent.
    pub(crate) fn close(&self) {
        let mut pending = self.pending();
        pending.closed = true;
        self.wake_if(pending, true);
    }

    /// The next batch to send; waits for one. `None`: closed, and nothing left.
    ///
    /// What belongs to services that `stays` keeps here goes on gathering.
    async fn next(&self, stays: impl Fn(&str) -> bool, before: Before) -> Option<Batch> {
        loop {
            {
                let mut pending = self.pending();
                let now = Instant::now();
                // Whoever asks for the next one has done with the one before.
                pending.left_at = None;
                let covered = pending.covers.take();
                if before == Before::AllTold {
                    pending.told_until = pending.told_until.max(covered);
                }
                self.write_unsent_unless(&mut pending, &stays);
                if before == Before::AllTold {
                    pending.batches.cover(now);
                }
                if let Some(batch) = pending.batches.pop(&stays) {
                    pending.left_at = Some(now);
                    pending.covers = batch.covers;
                    return Some(batch);
                }
                if pending.closed {
                    return None;
                }
                pending.sender_sleeps = true;
                pending.nothing_waits = before == Before::AllTold && pending.batches.is_empty();
            }
            self.wake.notified().await;
        }
    }

    fn wake_if(&self, mut pending: MutexGuard<'_, Pending>, something_is_new: bool) {
        if something_is_new && pending.sender_sleeps {
            pending.sender_sleeps = false;
            drop(pending);
            self.wake.notify_one();
        }
    }

    fn write_unsent_unless(&self, pending: &mut Pending, stays: impl Fn(&str) -> bool) {
        for live in pending.lives.take_marked(stays) {
            self.write_unsent(pending, live);
        }
    }

    /// Writes what is known of a running task and was held back.
    fn write_unsent(&self, pending: &mut Pending, live: Live) {
        let Some(Unsent {
            held,
            executions,
            entered,
            progress,
        }) = pending.lives.take(live)
        else {
            return;
        };
        if let Some((state, at)) = entered {
            let event = self.event(&held, executions, EventKind::State(state), at);
            pending.batches.push(&held.service, &event, None);
        }
        if let Some((progress, at)) = progress {
            let kind = EventKind::State(TaskState::Progress);
            let mut event = self.event(&held, executions, kind, at);
            event.progress = Some(progress);
            pending.batches.push(&held.service, &event, None);
        }
    }

    /// What an execution that has just ended had not told yet: its start goes along with its end,
    /// unless there is progress between the two.
    fn write_before_end(&self, pending: &mut Pending, live: Live) -> Option<DateTime<Utc>> {
        let unsent = pending.lives.get(live)?;
        if unsent.progress.is_some() {
            self.write_unsent(pending, live);
            return None;
        }
        let started = unsent
            .entered
            .filter(|(state, _)| *state == TaskState::Started);
        pending.lives.take(live);
        started.map(|(_, at)| at)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending
            .lock()
            .expect("no code panics while it holds the lock")
    }
}
