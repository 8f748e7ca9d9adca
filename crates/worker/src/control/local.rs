//! What was revoked on this worker alone, by those who speak to it directly. In memory, and not for ever.

use crate::held::Held;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::HeaderValue;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI32, Ordering};

/// How many ids are remembered, and how many values of stamps.
const MOST: usize = 50_000;

/// How long an id is remembered.
const KEPT: TimeDelta = TimeDelta::hours(3);

/// No run yet.
const NO_RUN: i32 = -1;

/// Ids and stamps of tasks that are not wanted.
#[derive(Debug, Default)]
pub(super) struct Local {
    ids: HashMap<TaskId, Entry>,
    /// The ids, the oldest first. Those that were revoked again come twice.
    order: VecDeque<(DateTime<Utc>, TaskId)>,
    /// Tasks that are to end while they run, up to this run of them.
    ended: HashMap<TaskId, (i32, DateTime<Utc>)>,
    stamps: BTreeMap<Box<str>, VecDeque<HeaderValue>>,
}

#[derive(Debug)]
struct Entry {
    at: DateTime<Utc>,
    /// The run that it was about, as soon as that has come: people may ask for another one since.
    run: AtomicI32,
}

impl Local {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.ended.is_empty() && self.stamps.is_empty()
    }

    pub(super) fn revoke(&mut self, id: TaskId, now: DateTime<Utc>) {
        let entry = Entry {
            at: now,
            run: AtomicI32::new(NO_RUN),
        };
        self.ids.insert(id.clone(), entry);
        self.order.push_back((now, id));
        self.forget(now);
    }

    /// Ends this run of a task.
    pub(super) fn end(&mut self, id: TaskId, run: i32, now: DateTime<Utc>) {
        self.ended.retain(|_, (_, at)| now - *at < KEPT);
        self.ended.insert(id, (run, now));
    }

    pub(super) fn revoke_stamped(&mut self, stamp: &str, values: Vec<HeaderValue>) {
        if self.stamps.len() >= MOST && !self.stamps.contains_key(stamp) {
            self.stamps.pop_first();
        }
        let known = self.stamps.entry(stamp.into()).or_default();
        known.extend(values);
        let too_many = known.len().saturating_sub(MOST);
        known.drain(..too_many);
    }

    /// Ids, the oldest first.
    pub(super) fn revoked(&mut self, now: DateTime<Utc>) -> Vec<TaskId> {
        self.forget(now);
        let is_latest = |at, id| self.ids.get(id).is_some_and(|entry: &Entry| entry.at == at);
        let latest = self.order.iter().filter(|(at, id)| is_latest(*at, id));
        latest.map(|(_, id)| id.clone()).collect()
    }

    /// Whether the task must not begin.
    pub(super) fn refuses(&self, held: &Held, now: DateTime<Utc>) -> bool {
        self.is_revoked(held, now) || self.is_stamped(held)
    }

    /// Whether the task must not go on.
    pub(super) fn ends(&self, held: &Held) -> bool {
        let ended = self.ended.get(&held.envelope.id);
        ended.is_some_and(|(run, _)| held.envelope.lineage.run <= *run)
    }

    fn is_revoked(&self, held: &Held, now: DateTime<Utc>) -> bool {
        let Some(entry) = self.ids.get(&held.envelope.id) else {
            return false;
        };
        if now - entry.at >= KEPT {
            return false;
        }
        let run = held.envelope.lineage.run;
        match entry.run.load(Ordering::Relaxed) {
            NO_RUN => {
                let published = held.published.and_then(|at| i64::try_from(at).ok());
                if run > 0 && published.is_some_and(|at| at > entry.at.timestamp()) {
                    return false;
                }
                entry.run.store(run, Ordering::Relaxed);
                true
            }
            revoked => run <= revoked,
        }
    }

    /// A stamp is one value or several.
    fn is_stamped(&self, held: &Held) -> bool {
        if self.stamps.is_empty() {
            return false;
        }
        let Some(HeaderValue::Table(stamps)) = held.envelope.extra.get("stamps") else {
            return false;
        };
        stamps.iter().any(|(name, value)| {
            let Some(revoked) = self.stamps.get(name) else {
                return false;
            };
            let values = match value {
                HeaderValue::List(values) => values.as_slice(),
                HeaderValue::Null
                | HeaderValue::Bool(_)
                | HeaderValue::Int(_)
                | HeaderValue::Float(_)
                | HeaderValue::Text(_)
                | HeaderValue::Bytes(_)
                | HeaderValue::Timestamp(_)
                | HeaderValue::Table(_) => std::slice::from_ref(value),
            };
            values.iter().any(|value| revoked.contains(value))
        })
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        while let Some((at, id)) = self.order.front() {
            let is_latest = self.ids.get(id).is_some_and(|entry| entry.at == *at);
            if is_latest && self.ids.len() <= MOST && now - *at < KEPT {
                return;
            }
            if is_latest {
                self.ids.remove(id);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn id(n: usize) -> TaskId {
        format!("t{n}").parse().expect("valid")
    }

    #[test]
    fn the_last_fifty_thousand_ids_of_three_hours_are_remembered() {
        let mut local = Local::default();
        for n in 0..MOST + 2 {
            local.revoke(id(n), at(0));
        }
        local.revoke(id(2), at(60));
        let known = local.revoked(at(60));
        assert_eq!(known.len(), MOST);
        assert_eq!((&known[0], &known[MOST - 1]), (&id(3), &id(2)));
        assert_eq!(local.revoked(at(3 * 3600)), [id(2)]);
        assert!(local.revoked(at(4 * 3600)).is_empty() && local.is_empty());
    }

    #[test]
    fn an_id_that_is_revoked_over_and_over_takes_the_place_of_one() {
        let mut local = Local::default();
        for second in 0..100 {
            local.revoke(id(1), at(second));
        }
        assert_eq!(local.revoked(at(100)), [id(1)]);
        assert_eq!(local.order.len(), 1);
    }
}
