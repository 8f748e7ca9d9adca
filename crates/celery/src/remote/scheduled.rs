//! Tasks that came before their time. A worker of ours leaves the waiting to the broker, and Celery's hold them in hand; so
//! that `celery inspect scheduled` shows the same of both, a worker remembers which it has put off.

use super::tasks::Told;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_worker::extension::Subject;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Most tasks that are remembered: those that are due next.
const MOST: usize = 1000;

/// Longest arguments that are shown as they are, in bytes.
const MOST_SHOWN: usize = 4096;

/// What is told of tasks, by when they are due.
type ByTime = BTreeMap<(DateTime<Utc>, TaskId), Value>;

/// What was put off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scheduled(Arc<Mutex<ByTime>>);

impl Scheduled {
    /// A worker of this name has put a task off.
    pub(crate) fn put_off(&self, task: &Subject<'_>, node: &str, now: DateTime<Utc>) {
        let Some(eta) = task.envelope.eta.filter(|eta| *eta > now) else {
            return;
        };
        let is_short = |size: usize| size <= MOST_SHOWN;
        let payload = task.payload;
        let told = Told {
            envelope: task.envelope,
            payload: payload.filter(|it| is_short(it.args().len() + it.kwargs().len())),
            exchange: task.exchange,
            routing_key: task.routing_key,
            is_redelivered: false,
            is_acknowledged: false,
            runs_since: None,
        };
        let mut all = self.all();
        forget_due(&mut all, now);
        all.insert((eta, task.envelope.id.clone()), told.info(node, false));
        if all.len() > MOST {
            all.pop_last();
        }
    }

    /// What is due after this time: when, and what is told of it.
    pub(super) fn after(&self, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, Value)> {
        let mut all = self.all();
        forget_due(&mut all, now);
        let told = all.iter().map(|((eta, _), info)| (*eta, info.clone()));
        told.collect()
    }

    fn all(&self) -> MutexGuard<'_, ByTime> {
        let Self(all) = self;
        all.lock().expect("no code panics while it holds the lock")
    }
}

fn forget_due(all: &mut ByTime, now: DateTime<Utc>) {
    while all
        .first_key_value()
        .is_some_and(|((eta, _), _)| *eta <= now)
    {
        all.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_forgotten_and_of_too_many_the_last() {
        let (scheduled, now) = (Scheduled::default(), Utc::now());
        let at = |n: usize| now + chrono::TimeDelta::seconds(n.try_into().expect("small"));
        for n in 0..MOST + 10 {
            let mut all = scheduled.all();
            all.insert((at(n), TaskId::random()), Value::Null);
            drop(all);
        }
        let left = scheduled.after(at(9));
        assert_eq!((left.len(), left[0].0), (MOST, at(10)));
    }
}
