//! What was asked lately: the last so many things, and none for ever.

use chrono::{DateTime, TimeDelta, Utc};
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// How many are remembered, as Celery does (`REVOKES_MAX`).
pub(super) const MOST: usize = 50_000;

/// How long, as Celery does (`REVOKE_EXPIRES`).
pub(super) const KEPT: TimeDelta = TimeDelta::hours(3);

/// Each at most once, with what is known of it.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    known: HashMap<K, Entry<V>>,
    /// The same, the oldest first.
    order: BTreeMap<u64, K>,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    at: DateTime<Utc>,
    place: u64,
    value: V,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<K: Hash + Eq + Clone, V> Remembered<K, V> {
    /// Whether there may be something: what is too old counts until somebody adds or lists.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Remembers it from now on, also if it was known.
    pub(super) fn add(&mut self, key: K, value: V, now: DateTime<Utc>) {
        let place = self.next;
        self.next += 1;
        let entry = Entry {
            at: now,
            place,
            value,
        };
        if let Some(before) = self.known.insert(key.clone(), entry) {
            self.order.remove(&before.place);
        }
        self.order.insert(place, key);
        self.forget(now);
    }

    /// Since when it is remembered, and with what.
    pub(super) fn get<Q>(&self, key: &Q, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.known.get(key)?;
        (now - entry.at < KEPT).then_some((entry.at, &entry.value))
    }

    /// All of them, the oldest first.
    pub(super) fn list(&mut self, now: DateTime<Utc>) -> Vec<K> {
        self.forget(now);
        self.order.values().cloned().collect()
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        while let Some(oldest) = self.order.first_entry() {
            let entry = self.known.get(oldest.get());
            let is_kept = entry.is_some_and(|entry| now - entry.at < KEPT);
            if is_kept && self.known.len() <= MOST {
                return;
            }
            self.known.remove(&oldest.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    #[test]
    fn the_last_fifty_thousand_of_three_hours_are_remembered() {
        let mut known = Remembered::default();
        for n in 0..MOST + 2 {
            known.add(n, (), at(0));
        }
        known.add(2, (), at(60));
        let listed = known.list(at(60));
        assert_eq!(listed.len(), MOST);
        assert_eq!((listed[0], listed[MOST - 1]), (3, 2));
        assert_eq!(
            (known.get(&1, at(60)), known.get(&3, at(3 * 3600))),
            (None, None)
        );
        assert_eq!(known.get(&2, at(3 * 3600)), Some((at(60), &())));
        assert_eq!(known.list(at(3 * 3600)), [2]);
        assert!(known.list(at(4 * 3600)).is_empty() && known.is_empty());
    }

    #[test]
    fn what_is_asked_over_and_over_takes_the_place_of_one() {
        let mut known = Remembered::default();
        known.add("oldest", 0, at(0));
        for n in 0..1000 {
            known.add("again", n, at(n));
        }
        assert_eq!(known.list(at(1000)), ["oldest", "again"]);
        assert_eq!(known.get("again", at(1000)), Some((at(999), &999)));
        assert_eq!((known.known.len(), known.order.len()), (2, 2));
    }
}
