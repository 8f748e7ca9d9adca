//! Which of its times a schedule fires at, when it was not looked at for a while.

use super::Calendar;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::CatchUp;
use std::collections::VecDeque;

/// Within this time after it, a time is not missed.
const ON_TIME: TimeDelta = TimeDelta::seconds(60);

/// Missed times that are made up for at most: the last ones.
const MOST: usize = 100;

/// Times that are looked at. Only what fires every few minutes for weeks has more.
const STEPS: usize = 20_000;

/// From when on times are looked at, where there are more.
const FAR_BACK: TimeDelta = TimeDelta::days(7);

/// What a schedule does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Times to fire for, in their order.
    pub(crate) ticks: Vec<DateTime<Utc>>,
    /// How many times it does not fire for, which were missed.
    pub(crate) skipped: usize,
    /// When it fires next.
    pub(crate) next: Option<DateTime<Utc>>,
}

impl Plan {
    /// `due` is the time for which it is to fire, and `now` has it.
    pub(crate) fn new(
        calendar: &Calendar,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
        catch_up: CatchUp,
    ) -> Self {
        let (mut ticks, mut count, next) = match ticks(calendar, due, now) {
            Some(found) => found,
            None => {
                let from = calendar.after(now - FAR_BACK);
                from.and_then(|from| ticks(calendar, from, now))
                    .unwrap_or_else(|| (VecDeque::new(), 0, calendar.after(now)))
            }
        };
        match catch_up {
            CatchUp::Skip => ticks.retain(|tick| now - *tick <= ON_TIME),
            CatchUp::Once => drop(ticks.drain(..ticks.len().saturating_sub(1))),
            CatchUp::All => {}
        }
        count -= ticks.len().min(count);
        Self {
            ticks: ticks.into(),
            skipped: count,
            next,
        }
    }
}

/// The last times from `first` to `now`, how many there are, and the one that comes then; `None`: there
/// are too many.
#[expect(
    clippy::type_complexity,
    reason = "three things of one loop, used once"
)]
fn ticks(
    calendar: &Calendar,
    first: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<(VecDeque<DateTime<Utc>>, usize, Option<DateTime<Utc>>)> {
    let (mut ticks, mut count) = (VecDeque::new(), 0);
    let mut next = Some(first);
    while let Some(tick) = next.filter(|tick| *tick <= now) {
        if count == STEPS {
            return None;
        }
        if ticks.len() == MOST {
            ticks.pop_front();
        }
        ticks.push_back(tick);
        count += 1;
        next = calendar.after(tick);
    }
    Some((ticks, count, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-05-{text}Z").parse().expect("a time")
    }

    fn plan(cron: &str, due: &str, now: &str, catch_up: CatchUp) -> Plan {
        let calendar = Calendar::new(cron, "UTC").expect("a calendar");
        Plan::new(&calendar, at(due), at(now), catch_up)
    }

    #[test]
    fn on_time_every_policy_fires_once() {
        for catch_up in CatchUp::ALL {
            let plan = plan("0 * * * *", "01T10:00:00", "01T10:00:03", catch_up);
            assert_eq!(plan.ticks, [at("01T10:00:00")]);
            assert_eq!((plan.skipped, plan.next), (0, Some(at("01T11:00:00"))));
        }
    }

    #[test]
    fn missed_times_are_skipped_or_made_up_for_once_or_each() {
        let missed = |catch_up| plan("0 * * * *", "01T10:00:00", "01T13:30:00", catch_up);
        let skip = missed(CatchUp::Skip);
        assert_eq!((skip.ticks.len(), skip.skipped), (0, 4));
        let once = missed(CatchUp::Once);
        assert_eq!((once.ticks, once.skipped), (vec![at("01T13:00:00")], 3));
        let all = missed(CatchUp::All);
        assert_eq!((all.ticks.len(), all.skipped), (4, 0));
        assert_eq!(all.ticks[0], at("01T10:00:00"));
        assert_eq!(skip.next, Some(at("01T14:00:00")));
    }

    #[test]
    fn of_many_missed_times_the_last_ones_are_made_up_for() {
        let plan = plan("* * * * *", "01T00:00:00", "03T00:00:00", CatchUp::All);
        assert_eq!(plan.ticks.len(), MOST);
        assert_eq!(plan.ticks.last(), Some(&at("03T00:00:00")));
        assert_eq!(plan.skipped, 2 * 24 * 60 + 1 - MOST);
        let plan = self::plan("* * * * *", "01T00:00:00", "30T00:00:30", CatchUp::Once);
        assert_eq!(plan.ticks, [at("30T00:00:00")]);
        assert_eq!(plan.next, Some(at("30T00:01:00")));
    }
}
