//! What people have asked of this worker, held against every task before it starts and while it runs.
//!
//! `follow.rs` reads it from the platform's stream: all of the last week before the first task, then what
//! comes. Mostly nothing was asked, and then a task costs one look at a flag.

mod answers;
mod follow;
mod heard;
mod local;
mod on_this_worker;
mod progress;
mod remembered;

pub(crate) use follow::follow;

use crate::ended::Ended;
use crate::held::Held;
use crate::opening::Stage;
use crate::outcome::{Cancelled, Revocation};
use answers::Answers;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::control::{ControlState, Instruction, Mark, Standing};
use counterfoil_toolbox::ids::{SessionId, WorkerId};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Names;
use heard::Heard;
use local::Local;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Shortest and longest wait of a held task at the broker. Each is one delay level.
const HELD_WAITS: [u64; 2] = [1, 8];

/// What was asked, for everything that this worker runs.
#[derive(Debug)]
pub(crate) struct Control {
    names: Names,
    state: RwLock<ControlState>,
    /// What was asked of this worker alone.
    local: RwLock<Local>,
    /// Something was.
    has_local: AtomicBool,
    /// Nothing that concerns any task of this worker was asked, and it would know.
    is_calm: AtomicBool,
    /// Counts what was asked, for those who wait for it.
    changes: watch::Sender<u64>,
    following: watch::Sender<Following>,
    heard: Mutex<Heard>,
    answers: Answers,
    /// How long a running task that is cancelled may take to end.
    grace: Duration,
}

/// Whether this worker knows what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Following {
    /// Not yet: it reads what was asked before it started, or while the stream could not be read, and starts
    /// nothing until then.
    CatchingUp,
    Yes,
    /// It cannot, for this reason, and works without.
    No(String),
}

impl Control {
    pub(crate) fn new(me: WorkerId, names: Names, grace: Duration) -> Self {
        Self {
            names,
            state: RwLock::new(ControlState::new(me)),
            local: RwLock::default(),
            has_local: AtomicBool::new(false),
            is_calm: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            following: watch::Sender::new(Following::CatchingUp),
            heard: Mutex::default(),
            answers: Answers::default(),
            grace,
        }
    }

    /// Takes in what was read. Whoever waits for it looks again afterwards; those who are about to wait
    /// see it already.
    pub(crate) fn apply(&self, instructions: Vec<Instruction>, now: DateTime<Utc>) {
        self.answers.hear(&instructions);
        let mut state = self.state.write().expect("no code panics while it writes");
        instructions.into_iter().for_each(|one| state.apply(one));
        state.forget(now);
        self.look_whether_calm(&state);
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    /// The stream has been read up to an end of a session that was published at `sent_at`.
    fn has_heard(&self, sent_at: DateTime<Utc>) {
        self.heard().read(sent_at, Instant::now());
    }

    /// Which ends of sessions are known, where all that was noted until `told_until` has been told.
    pub(crate) fn heard_until(&self, told_until: Option<Instant>) -> Option<DateTime<Utc>> {
        let mut heard = self.heard();
        heard.told(told_until);
        heard.until()
    }

    /// Whether more of them will soon be known.
    pub(crate) fn is_settling(&self) -> bool {
        self.heard().is_settling()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("no code panics while it writes")
    }

    /// Why the task must not be started now, if so.
    pub(crate) fn objection(&self, held: &Held) -> Option<Ended> {
        let state = self.unless_calm()?;
        let revocation = revoked(&state, held, false);
        if let Some(revocation) = revocation.or_else(|| self.refusal_here(held)) {
            return Some(Ended::Revoked(revocation));
        }
        if let Some(hold) = state.hold(&held.envelope.id) {
            return Some(Ended::HeldBack(wait_of_held(Utc::now() - hold.at)));
        }
        // Somebody else runs it, or this worker when it goes on.
        self.takes_nothing_of(&state, &held.queue)
            .then_some(Ended::Stopped)
    }

    /// Completes when there is an [objection](Self::objection).
    pub(crate) async fn until_objection(&self, held: &Held) -> Ended {
        held.until(|| self.objection(held)).await
    }

    /// Who cancelled a task that has been started.
    pub(crate) fn revocation(&self, held: &Held) -> Option<Revocation> {
        match self.unless_calm() {
            Some(state) => revoked(&state, held, true).or_else(|| self.end_here(held)),
            None => of_opening(None, held),
        }
    }

    /// When the running task is cancelled: asks its handler to leave, and completes when it has had time
    /// to.
    pub(crate) async fn call_off(&self, held: &Held, cancelled: &CancellationToken) -> Revocation {
        let revocation = held.until(|| self.revocation(held)).await;
        cancelled.cancel();
        tokio::time::sleep(self.grace).await;
        revocation
    }

    /// Completes as soon as something of `queue` may be taken.
    pub(crate) async fn until_open(&self, queue: &QueueName) {
        self.until_ready().await;
        self.until_queue(queue, Taking::Something).await;
    }

    /// Completes as soon as nothing of `queue` may be taken any more.
    pub(crate) async fn until_closed(&self, queue: &QueueName) {
        self.until_queue(queue, Taking::Nothing).await;
    }

    /// Whether somebody wants nothing of `queue` to be taken.
    pub(crate) fn is_closed(&self, queue: &QueueName) -> bool {
        self.unless_calm()
            .is_some_and(|state| self.takes_nothing_of(&state, queue))
    }

    /// What was said about this worker.
    pub(crate) fn standing(&self) -> Standing {
        self.unless_calm()
            .map_or(Standing::AtWork, |state| state.standing())
    }

    /// What has ended this session, if workers were told of it.
    pub(crate) fn end_of(&self, session: &SessionId) -> Option<SessionEnd> {
        let state = self.unless_calm()?;
        let mark = state.session_revocation(session.as_str())?;
        Some(match mark.is_time_out {
            true => SessionEnd::TimedOut,
            false => SessionEnd::Aborted,
        })
    }

    /// Whether this service is paused.
    pub(crate) fn is_paused(&self, service: &str) -> bool {
        self.unless_calm()
            .is_some_and(|state| state.is_paused(service))
    }

    /// Whether this worker knows what is asked, now and from now on.
    pub(crate) fn following(&self) -> watch::Receiver<Following> {
        self.following.subscribe()
    }

    /// How often something was asked, now and from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn follows(&self, following: Following) {
        self.following.send_if_modified(|known| {
            let changed = *known != following;
            *known = following;
            changed
        });
        self.look_whether_calm(&self.state());
    }

    fn look_whether_calm(&self, state: &ControlState) {
        let is_calm = state.spares_all_tasks()
            && !state.pauses_anything()
            && state.standing() == Standing::AtWork
            && !self.has_local.load(Ordering::SeqCst)
            && self.knows();
        self.is_calm.store(is_calm, Ordering::SeqCst);
    }

    /// Whether everything is known that will be: tasks may begin.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed) || self.knows()
    }

    /// Whether the stream is being read.
    pub(crate) fn is_following(&self) -> bool {
        *self.following.borrow() == Following::Yes
    }

    fn knows(&self) -> bool {
        *self.following.borrow() != Following::CatchingUp
    }

    /// Completes as soon as tasks may begin.
    pub(crate) async fn until_ready(&self) {
        let mut following = self.following();
        let ready = following.wait_for(|following| *following != Following::CatchingUp);
        // Its sender is part of self.
        let _ = ready.await;
    }

    async fn until_queue(&self, queue: &QueueName, wanted: Taking) {
        let is_it = |_: &u64| self.is_closed(queue) == (wanted == Taking::Nothing);
        let mut changes = self.changes();
        // Its sender is part of self.
        let _ = changes.wait_for(is_it).await;
    }

    fn takes_nothing_of(&self, state: &ControlState, queue: &QueueName) -> bool {
        state.standing() != Standing::AtWork || state.is_paused(self.names.service_of(queue))
    }

    /// `None`: there is nothing to look at.
    fn unless_calm(&self) -> Option<RwLockReadGuard<'_, ControlState>> {
        if self.is_calm.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.state())
    }

    fn state(&self) -> RwLockReadGuard<'_, ControlState> {
        self.state.read().expect("no code panics while it writes")
    }
}

/// What has ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// Somebody.
    Aborted,
    /// Its time was over.
    TimedOut,
}

/// What may be taken out of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Something,
    Nothing,
}

/// Who cancelled the task, if somebody did.
fn revoked(state: &ControlState, held: &Held, ran: bool) -> Option<Revocation> {
    let envelope = &held.envelope;
    let run = envelope.lineage.run;
    let by_mark = |mark: &Mark, what| Revocation {
        by: mark.by.clone(),
        what,
        ran,
    };
    let of_task = state.revocation(&envelope.id, &envelope.root_id, run);
    let of_session = || state.session_revocation(envelope.session_id.as_deref()?);
    match of_task {
        Some(mark) => Some(by_mark(mark, Cancelled::Task)),
        // A run that people asked for since is no part of the session any more.
        None => match of_session().filter(|_| run == 0) {
            Some(mark) => Some(by_mark(mark, Cancelled::Session)),
            None => of_opening(Some(state), held),
        },
    }
}

/// Who aborted a session whose subtasks it is sending. That its time was over is none of its own ends.
fn of_opening(state: Option<&ControlState>, held: &Held) -> Option<Revocation> {
    let aborted = |id: &SessionId, stage| {
        let mark = state.and_then(|state| state.session_revocation(id.as_str()));
        let mark = mark.filter(|mark| !mark.is_time_out);
        let is_aborted = mark.is_some() || stage == Stage::Aborted;
        is_aborted.then(|| Revocation {
            by: mark.and_then(|mark| mark.by.clone()),
            what: Cancelled::Opening,
            ran: true,
        })
    };
    held.opening.find(aborted)
}

/// How long a task that was held back so long ago waits before somebody looks again: about a quarter of
/// that, so that a short hold ends soon and long ones cost little.
fn wait_of_held(ago: chrono::TimeDelta) -> Duration {
    let [least, most] = HELD_WAITS;
    let quarter = u64::try_from(ago.num_seconds() / 4).unwrap_or(0);
    let within = quarter.clamp(least, most);
    // A power of two takes one delay level, others one for each of their bits.
    Duration::from_secs(1 << within.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_held_task_waits_for_a_second_at_first_and_later_longer_by_powers_of_two() {
        let waits = [-5, 0, 3, 7, 8, 15, 16, 31, 32, 1_000_000]
            .map(|ago| wait_of_held(TimeDelta::seconds(ago)).as_secs());
        assert_eq!(waits, [1, 1, 1, 1, 2, 2, 4, 4, 8, 8]);
    }
}
