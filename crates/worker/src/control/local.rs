//! What was revoked on this worker alone, by those who speak to it directly. In memory, and not for ever.

use super::remembered::Remembered;
use crate::held::Held;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::HeaderValue;
use std::sync::atomic::{AtomicI32, Ordering};
use uuid::Uuid;

/// No run yet.
const NO_RUN: i32 = -1;

/// Ids and stamps of tasks that are not wanted.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// With the run that it was about, as soon as that has come: people may ask for another one since.
    ids: Remembered<TaskId, AtomicI32>,
    /// Tasks that are to end while they run, up to this run of them.
    ended: Remembered<TaskId, i32>,
    stamps: Remembered<Uuid, ()>,
}

/// What a stamp and its value are remembered by: no value is so long that many of them would fill the memory.
const STAMPS: Uuid = Uuid::from_u128(0x0d5f_7c0e_8f63_4f0b_9a51_1c7b_e2d4_90a6);

fn stamped(stamp: &str, value: &HeaderValue) -> Uuid {
    let text = serde_json::json!([stamp, value.to_json()]).to_string();
    Uuid::new_v5(&STAMPS, text.as_bytes())
}

impl Local {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.ended.is_empty() && self.stamps.is_empty()
    }

    pub(super) fn revoke(&mut self, id: TaskId, now: DateTime<Utc>) {
        self.ids.add(id, AtomicI32::new(NO_RUN), now);
    }

    /// Ends this run of a task.
    pub(super) fn end(&mut self, id: TaskId, run: i32, now: DateTime<Utc>) {
        self.ended.add(id, run, now);
    }

    pub(super) fn revoke_stamped(
        &mut self,
        stamp: &str,
        values: &[HeaderValue],
        now: DateTime<Utc>,
    ) {
        for value in values {
            self.stamps.add(stamped(stamp, value), (), now);
        }
    }

    /// Ids, the oldest first.
    pub(super) fn revoked(&mut self, now: DateTime<Utc>) -> Vec<TaskId> {
        self.ids.list(now)
    }

    /// Whether the task must not begin.
    pub(super) fn refuses(&self, held: &Held, now: DateTime<Utc>) -> bool {
        self.is_revoked(held, now) || self.is_stamped(held.envelope.extra.get("stamps"), now)
    }

    /// Whether the task must not go on.
    pub(super) fn ends(&self, held: &Held, now: DateTime<Utc>) -> bool {
        let ended = self.ended.get(&held.envelope.id, now);
        ended.is_some_and(|(_, run)| held.envelope.lineage.run <= *run)
    }

    fn is_revoked(&self, held: &Held, now: DateTime<Utc>) -> bool {
        let Some((at, revoked)) = self.ids.get(&held.envelope.id, now) else {
            return false;
        };
        let run = held.envelope.lineage.run;
        match revoked.load(Ordering::Relaxed) {
            NO_RUN => {
                let published = held.published.and_then(|at| i64::try_from(at).ok());
                if run > 0 && published.is_some_and(|published| published > at.timestamp()) {
                    return false;
                }
                revoked.store(run, Ordering::Relaxed);
                true
            }
            revoked => run <= revoked,
        }
    }

    /// A stamp is one value or several.
    fn is_stamped(&self, stamps: Option<&HeaderValue>, now: DateTime<Utc>) -> bool {
        let Some(HeaderValue::Table(stamps)) = stamps.filter(|_| !self.stamps.is_empty()) else {
            return false;
        };
        stamps.iter().any(|(name, value)| {
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
            let is_revoked = |value| self.stamps.get(&stamped(name, value), now).is_some();
            values.iter().any(is_revoked)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::message::Headers;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn stamps(value: impl Into<HeaderValue>) -> HeaderValue {
        let mut stamps = Headers::new();
        stamps.push("tag", value);
        HeaderValue::Table(stamps)
    }

    #[test]
    fn a_stamp_is_remembered_for_three_hours_by_its_name_and_value() {
        let mut local = Local::default();
        local.revoke_stamped("tag", &["a".into(), 7.into()], at(0));
        let is_stamped =
            |value: HeaderValue, second| local.is_stamped(Some(&stamps(value)), at(second));
        assert!(is_stamped("a".into(), 1) && is_stamped(7.into(), 1));
        assert!(!is_stamped("7".into(), 1) && !is_stamped("b".into(), 1));
        assert!(is_stamped(HeaderValue::List(vec!["b".into(), 7.into()]), 1));
        assert!(!is_stamped("a".into(), 3 * 3600));
        let mut other = Headers::new();
        other.push("mark", "a");
        assert!(!local.is_stamped(Some(&HeaderValue::Table(other)), at(1)));
        local.revoke_stamped("tag", &["b".into()], at(4 * 3600));
        assert_eq!(local.stamps.list(at(4 * 3600)).len(), 1);
    }
}
