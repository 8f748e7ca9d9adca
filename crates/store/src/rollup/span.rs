//! Which of the spans that are kept beside each other answers a question.

use crate::time::clamped;
use chrono::{DateTime, Utc};
use std::time::Duration;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// Most steps of a chart, and about as many spans are read to compare types.
const MOST_STEPS: u64 = 2000;

/// Longest step that anybody gets: no number is kept for longer.
const LONGEST_STEP: u64 = 366 * DAY;

/// So many spans are read to compare types: a question about a day reads hours, one about a month days.
const SPANS_OF_TYPES: u64 = 60;

/// What is added up together, and how long that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) minutes: i16,
    pub(crate) kept: Duration,
}

impl Span {
    const fn new(minutes: i16, kept: u64) -> Self {
        let kept = Duration::from_secs(kept);
        Self { minutes, kept }
    }

    const fn seconds(self) -> u64 {
        self.minutes.unsigned_abs() as u64 * MINUTE
    }
}

/// All of them, the shortest first. Days are those of UTC.
pub(crate) const SPANS: [Span; 5] = [
    Span::new(1, 3 * 60 * MINUTE),
    Span::new(5, 2 * DAY),
    Span::new(60, 8 * DAY),
    Span::new(360, 32 * DAY),
    Span::new(1440, 90 * DAY),
];

/// What is read to answer a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) span: Span,
    /// Seconds since 1970, whole steps.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Seconds.
    pub(crate) step: i64,
}

impl Reading {
    /// From when to when.
    pub(crate) fn times(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let time = |s| clamped(DateTime::from_timestamp(s, 0).unwrap_or(DateTime::UNIX_EPOCH));
        (time(self.from), time(self.to))
    }
}

/// The shortest span that is still kept of that time.
fn oldest_kept(from: DateTime<Utc>, now: DateTime<Utc>) -> usize {
    let age = (now - from).to_std().unwrap_or_default();
    let kept = SPANS.iter().position(|span| age <= span.kept);
    kept.unwrap_or(SPANS.len() - 1)
}

/// For a chart: the longest span that fits into its steps, of those that are kept for so long.
pub(crate) fn for_chart(
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    step: Duration,
    now: DateTime<Utc>,
) -> Reading {
    let length = (to - from).to_std().unwrap_or_default().as_secs();
    let least = SPANS[oldest_kept(from, now)];
    let step = step.as_secs().min(LONGEST_STEP);
    let step = step.max(length / MOST_STEPS).max(least.seconds());
    let mut longest_first = SPANS.iter().rev();
    let fitting = longest_first.find(|span| span.seconds() <= step);
    let span = *fitting.unwrap_or(&least);
    reading(span, (from, to), step.next_multiple_of(span.seconds()))
}

/// To compare types: the shortest span of which not too many are read.
pub(crate) fn for_types((from, to): (DateTime<Utc>, DateTime<Utc>), now: DateTime<Utc>) -> Reading {
    let length = (to - from).to_std().unwrap_or_default().as_secs();
    let kept = &SPANS[oldest_kept(from, now)..];
    let few = kept
        .iter()
        .find(|span| length <= span.seconds() * SPANS_OF_TYPES);
    let span = *few.or(kept.last()).unwrap_or(&SPANS[0]);
    reading(span, (from, to), span.seconds())
}

fn reading(span: Span, (from, to): (DateTime<Utc>, DateTime<Utc>), step: u64) -> Reading {
    let step = i64::try_from(step).unwrap_or(i64::MAX / 4);
    let begins = |at: i64| at.div_euclid(step) * step;
    let from = begins(from.timestamp());
    // The one that has begun is told as well.
    let to = begins(to.timestamp() - 1) + step;
    Reading {
        span,
        from,
        to: to.max(from),
        step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone};

    fn now() -> DateTime<Utc> {
        let now = Utc.with_ymd_and_hms(2026, 3, 9, 12, 34, 56);
        now.single().expect("a time")
    }

    fn chart(hours: i64, step: u64) -> (i16, i64, i64) {
        let from = now() - TimeDelta::hours(hours);
        let read = for_chart((from, now()), Duration::from_secs(step), now());
        assert!(read.from <= from.timestamp() && read.to >= now().timestamp());
        assert_eq!((read.from % read.step, read.to % read.step), (0, 0));
        let steps = (read.to - read.from) / read.step;
        (read.span.minutes, read.step, steps)
    }

    #[test]
    fn a_chart_reads_the_longest_span_that_fits_into_its_steps() {
        assert_eq!(chart(1, 60), (1, 60, 61));
        assert_eq!(chart(1, 90), (1, 120, 31));
        assert_eq!(chart(6, 900), (5, 900, 25));
        assert_eq!(chart(24, 3600), (60, 3600, 25));
        assert_eq!(chart(7 * 24, 6 * 3600), (360, 6 * 3600, 29));
        assert_eq!(chart(30 * 24, 86_400), (1440, 86_400, 31));
    }

    #[test]
    fn what_is_not_kept_is_told_in_longer_steps() {
        assert_eq!(chart(24, 60), (5, 300, 289));
        assert_eq!(chart(60 * 24, 1), (1440, 86_400, 61));
        assert_eq!(chart(400 * 24, 1), (1440, 86_400, 401));
        assert_eq!(chart(0, 1), (1, 60, 1));
    }

    #[test]
    fn a_step_is_at_most_a_year_whatever_is_asked_for() {
        for seconds in [u64::MAX, u64::MAX / 2, 400 * DAY] {
            let step = Duration::from_secs(seconds);
            let read = for_chart((now() - TimeDelta::hours(1), now()), step, now());
            assert_eq!(read.step.unsigned_abs(), LONGEST_STEP, "{seconds}");
            assert!(read.from < now().timestamp() && read.to >= now().timestamp());
        }
    }

    #[test]
    fn types_are_compared_by_some_dozens_of_spans() {
        for (hours, minutes) in [(1, 1), (2, 5), (24, 60), (72, 360), (30 * 24, 1440)] {
            let from = now() - TimeDelta::hours(hours);
            let read = for_types((from, now()), now());
            assert_eq!(read.span.minutes, minutes, "{hours} hours");
        }
    }

    #[test]
    fn a_time_that_ends_before_it_begins_is_none() {
        let read = for_chart(
            (now(), now() - TimeDelta::hours(3)),
            Duration::from_secs(60),
            now(),
        );
        assert_eq!(read.from, read.to);
    }
}
