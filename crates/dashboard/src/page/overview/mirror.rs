//! How far the mirror is behind: how long messages take until they are written down, as those tell that are sent each
//! minute only to see that. Pure.

use crate::shown::span;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::CanaryRow;

/// How many canaries are looked at.
pub(super) const LOOKED_AT: u32 = 30;

/// What the mirror may be behind before people are warned.
const LATE: TimeDelta = TimeDelta::seconds(10);

/// How long no canary may be sent before somebody should know: the leading daemon sends one each minute.
const SILENT: TimeDelta = TimeDelta::minutes(3);

/// How far the mirror is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mirror {
    /// No canary was ever sent.
    Unknown,
    /// The last one took so long, and came through at this time.
    Behind(TimeDelta, DateTime<Utc>),
    /// One that was sent so long ago has not come through.
    AtLeast(TimeDelta),
    /// For so long none was sent.
    Silent(TimeDelta),
}

impl Mirror {
    /// Of the last canaries, newest first.
    pub(super) fn of(canaries: &[CanaryRow], now: DateTime<Utc>) -> Self {
        let Some(newest) = canaries.first() else {
            return Self::Unknown;
        };
        if now - newest.sent_at > SILENT {
            return Self::Silent(now - newest.sent_at);
        }
        let is_under_way = |row: &&CanaryRow| row.tracked_at.is_none();
        let oldest = canaries.iter().take_while(is_under_way).last();
        let waits = oldest.map(|row| now - row.sent_at);
        let mut seen = canaries.iter();
        let seen = seen.find_map(|row| Some((row.tracked_at? - row.sent_at, row.tracked_at?)));
        match (seen, waits) {
            (Some((took, at)), None) => Self::Behind(took, at),
            (Some((took, at)), Some(waits)) if waits <= took.max(LATE) => Self::Behind(took, at),
            (_, waits) => Self::AtLeast(waits.unwrap_or_default()),
        }
    }

    /// What people should know.
    pub(super) fn warning(self) -> Option<String> {
        let text = |time: TimeDelta| span(time.num_milliseconds());
        match self {
            Self::Behind(time, _) if time > LATE => Some(format!(
                "the mirror is {} behind: what is shown here is that old",
                text(time)
            )),
            Self::AtLeast(time) if time > LATE => Some(format!(
                "the mirror is at least {} behind: what is shown here is that old",
                text(time)
            )),
            Self::Silent(time) => Some(format!(
                "for {} nothing was heard of the mirror: no counterfoil-sync runs, or none can write",
                text(time)
            )),
            Self::Unknown | Self::Behind(..) | Self::AtLeast(_) => None,
        }
    }

    /// What it is worth knowing when nothing is wrong: how far it is behind, and when that was.
    pub(super) fn told(self) -> Option<(String, DateTime<Utc>)> {
        match self {
            Self::Behind(time, at) => Some((span(time.num_milliseconds().max(0)), at)),
            Self::Unknown | Self::AtLeast(_) | Self::Silent(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// Sent so many seconds ago, and seen after so many milliseconds.
    fn canary(now: DateTime<Utc>, ago: i64, took_ms: Option<i64>) -> CanaryRow {
        let sent_at = now - TimeDelta::seconds(ago);
        CanaryRow {
            id: Uuid::nil(),
            sent_at,
            tracked_at: took_ms.map(|ms| sent_at + TimeDelta::milliseconds(ms)),
            unroutable_at: None,
            event_at: None,
        }
    }

    #[test]
    fn how_far_the_mirror_is_behind_is_told_by_the_last_canaries() {
        let now = Utc::now();
        for (canaries, warning, told) in [
            (vec![], None, None),
            (vec![(30, Some(12))], None, Some("12 ms")),
            // Under way, and not yet late.
            (vec![(4, None), (64, Some(12))], None, Some("12 ms")),
            (
                vec![(40, None), (100, None), (160, Some(12))],
                Some("the mirror is at least 1 min 40 s behind"),
                None,
            ),
            (
                vec![(5, None), (65, Some(30_000))],
                Some("the mirror is 30.0 s behind"),
                Some("30.0 s"),
            ),
            // One that never came is over when a later one has come.
            (
                vec![(10, Some(5)), (70, None), (130, Some(7))],
                None,
                Some("5 ms"),
            ),
            (
                vec![(170, None)],
                Some("the mirror is at least 2 min 50 s behind"),
                None,
            ),
            (
                vec![(600, Some(12))],
                Some("for 10 min 00 s nothing was heard"),
                None,
            ),
        ] {
            let rows: Vec<_> = canaries
                .iter()
                .map(|(ago, took)| canary(now, *ago, *took))
                .collect();
            let mirror = Mirror::of(&rows, now);
            let warned = mirror.warning();
            let is_so = match (&warned, warning) {
                (Some(text), Some(begins)) => text.starts_with(begins),
                (warned, warning) => warned.is_none() && warning.is_none(),
            };
            assert!(is_so, "{canaries:?}: {warned:?}");
            let text = mirror.told().map(|(text, _)| text);
            assert_eq!(text.as_deref(), told, "{canaries:?}");
        }
    }
}
