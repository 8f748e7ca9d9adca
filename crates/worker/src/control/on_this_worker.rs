//! What is asked of this worker alone, beside the platform's stream.

use super::Control;
use super::local::Local;
use crate::held::Held;
use crate::outcome::{Cancelled, Revocation};
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::{Envelope, HeaderValue};
use std::sync::RwLockReadGuard;
use std::sync::atomic::Ordering;

/// Who asked for it, as far as is known.
const BY: &str = "remote control";

impl Control {
    /// These tasks are not wanted any more.
    pub(crate) fn revoke(&self, tasks: &[TaskId], now: DateTime<Utc>) {
        self.change(|local| tasks.iter().for_each(|id| local.revoke(id.clone(), now)));
    }

    /// These tasks end if they run.
    pub(crate) fn terminate(&self, tasks: &[&Envelope], now: DateTime<Utc>) {
        let end = |local: &mut Local, task: &Envelope| {
            local.end(task.id.clone(), task.lineage.run, now);
        };
        self.change(|local| tasks.iter().for_each(|task| end(local, task)));
    }

    /// Tasks with such a stamp are not wanted any more.
    pub(crate) fn revoke_stamped(&self, stamp: &str, values: &[HeaderValue], now: DateTime<Utc>) {
        self.change(|local| local.revoke_stamped(stamp, values, now));
    }

    /// The ids, the oldest first.
    pub(crate) fn revoked_here(&self, now: DateTime<Utc>) -> Vec<TaskId> {
        let mut ids = Vec::new();
        self.change(|local| ids = local.revoked(now));
        ids
    }

    /// Why the task must not begin, by what was asked of this worker.
    pub(super) fn refusal_here(&self, held: &Held) -> Option<Revocation> {
        let refuses = self.local()?.refuses(held, Utc::now());
        refuses.then(|| revocation(false))
    }

    /// Why the running task must end, by what was asked of this worker.
    pub(super) fn end_here(&self, held: &Held) -> Option<Revocation> {
        let ends = self.local()?.ends(held, Utc::now());
        ends.then(|| revocation(true))
    }

    fn change(&self, how: impl FnOnce(&mut Local)) {
        let mut local = self.local.write().expect("no code panics while it writes");
        how(&mut local);
        self.has_local.store(!local.is_empty(), Ordering::SeqCst);
        drop(local);
        // Alone: somebody who looks meanwhile may not have seen it.
        let state = self.state.write().expect("no code panics while it writes");
        self.look_whether_calm(&state);
    }

    /// `None`: nothing was asked.
    fn local(&self) -> Option<RwLockReadGuard<'_, Local>> {
        let has_local = self.has_local.load(Ordering::SeqCst);
        let local = || self.local.read().expect("no code panics while it writes");
        has_local.then(local)
    }
}

fn revocation(ran: bool) -> Revocation {
    Revocation {
        by: Some(BY.into()),
        what: Cancelled::Task,
        ran,
    }
}
