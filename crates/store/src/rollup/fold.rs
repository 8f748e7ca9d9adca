//! From counts by size to what a chart shows: pure.

use super::What;
use super::size::ms_of;
use super::span::Reading;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use std::collections::BTreeMap;

/// How tasks fared over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollup {
    /// Seconds from one point to the next: those that were asked for, or more where less is not kept any more.
    pub step_s: i64,
    /// One for each step, also where nothing happened, the earliest first.
    pub points: Vec<RollupPoint>,
}

/// What happened within one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollupPoint {
    /// When it begins.
    pub at: DateTime<Utc>,
    /// Tasks that were sent.
    pub sent: i64,
    /// Tasks of which a first attempt was started.
    pub started: i64,
    /// Executions after which a task was to run again.
    pub retried: i64,
    /// Runs that ended in SUCCESS.
    pub succeeded: i64,
    /// Runs that ended in FAILURE.
    pub failed: i64,
    /// Runs that ended in REVOKED.
    pub revoked: i64,
    /// Tasks that a full queue refused.
    pub rejected: i64,
    /// How long the handlers of runs ran that ended, the last attempt of each.
    pub run_time: Percentiles,
    /// How long the tasks had waited that were started.
    pub queue_time: Percentiles,
}

/// How tasks of one type fared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeRollup {
    /// Service that owns the type.
    pub service: String,
    /// The type.
    #[serde(rename = "type")]
    pub name: String,
    /// Runs that ended.
    pub ended: i64,
    /// Those of them that ended in FAILURE.
    pub failed: i64,
    /// How long their handlers ran.
    pub run_time: Percentiles,
    /// All of that together, in milliseconds, as exact as the sizes are.
    pub total_run_ms: i64,
}

/// Milliseconds that so many percent took at most, 9 % more or less. `None`: nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50_ms: Option<i64>,
    /// All but one in twenty.
    pub p95_ms: Option<i64>,
    /// All but one in a hundred.
    pub p99_ms: Option<i64>,
}

/// Counts by size.
#[derive(Debug, Default)]
struct Sizes(BTreeMap<i16, i64>);

impl Sizes {
    fn add(&mut self, size: i16, tasks: i64) {
        *self.0.entry(size).or_default() += tasks;
    }

    /// What is known, the shortest first. Less than nothing stands where something turned out otherwise that was
    /// counted in another step.
    fn known(&self) -> impl Iterator<Item = (f64, i64)> {
        let known = self.0.iter().filter(|(_, tasks)| **tasks > 0);
        known.filter_map(|(size, tasks)| Some((ms_of(*size)?, *tasks)))
    }

    fn percentiles(&self) -> Percentiles {
        let all: i64 = self.known().map(|(_, tasks)| tasks).sum();
        let of = |percent: i64| {
            // Rounded up: of one task that one is meant.
            let mut before = (all.saturating_mul(percent) + 99) / 100;
            let found = self.known().find(|(_, tasks)| {
                before -= tasks;
                before <= 0
            });
            found.map(|(ms, _)| whole(ms))
        };
        Percentiles {
            p50_ms: of(50),
            p95_ms: of(95),
            p99_ms: of(99),
        }
    }

    fn total_ms(&self) -> i64 {
        #[expect(clippy::cast_precision_loss, reason = "sizes are far coarser")]
        let ms = |(ms, tasks): (f64, i64)| ms * tasks as f64;
        whole(self.known().map(ms).sum())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers beyond its range become the last of it"
)]
fn whole(ms: f64) -> i64 {
    ms as i64
}

/// A row of `rollup.sql`.
#[derive(Debug, FromRow)]
pub(crate) struct StepRow {
    begins: i64,
    what: String,
    size: i16,
    tasks: i64,
}

/// A row of `rollup_types.sql`.
#[derive(Debug, FromRow)]
pub(crate) struct TypeRow {
    service: String,
    r#type: String,
    what: String,
    size: i16,
    tasks: i64,
}

/// What happened, each with its sizes.
#[derive(Debug, Default)]
struct Counts(BTreeMap<What, Sizes>);

impl Counts {
    /// What is none of ours, a newer daemon may have counted.
    fn add(&mut self, what: &str, size: i16, tasks: i64) {
        if let Some(what) = What::parse(what) {
            self.0.entry(what).or_default().add(size, tasks);
        }
    }

    fn count(&self, what: What) -> i64 {
        let sizes = self.0.get(&what);
        sizes.map_or(0, |sizes| sizes.0.values().sum::<i64>().max(0))
    }

    fn run_times(&self) -> Sizes {
        let mut all = Sizes::default();
        let ended = self.0.iter().filter(|(what, _)| what.is_end());
        for (size, tasks) in ended.flat_map(|(_, sizes)| &sizes.0) {
            all.add(*size, *tasks);
        }
        all
    }

    fn point(&self, at: DateTime<Utc>) -> RollupPoint {
        let queued = self.0.get(&What::Queued);
        RollupPoint {
            at,
            sent: self.count(What::Sent),
            started: self.count(What::Queued),
            retried: self.count(What::Retry),
            succeeded: self.count(What::Success),
            failed: self.count(What::Failure),
            revoked: self.count(What::Revoked),
            rejected: self.count(What::Rejected),
            run_time: self.run_times().percentiles(),
            queue_time: queued.map(Sizes::percentiles).unwrap_or_default(),
        }
    }
}

/// Steps with what happened in them.
pub(crate) fn points(rows: Vec<StepRow>, read: Reading) -> Rollup {
    let mut steps: BTreeMap<i64, Counts> = BTreeMap::new();
    for row in rows {
        let counts = steps.entry(row.begins).or_default();
        counts.add(&row.what, row.size, row.tasks);
    }
    let (mut points, mut begins) = (Vec::new(), read.from);
    while begins < read.to {
        let counts = steps.remove(&begins).unwrap_or_default();
        points.extend(DateTime::from_timestamp(begins, 0).map(|at| counts.point(at)));
        begins += read.step;
    }
    Rollup {
        step_s: read.step,
        points,
    }
}

/// Types with what happened to their tasks, those that took the most time together first.
pub(crate) fn types(rows: Vec<TypeRow>) -> Vec<TypeRollup> {
    let mut types: BTreeMap<(String, String), Counts> = BTreeMap::new();
    for row in rows {
        let counts = types.entry((row.service, row.r#type)).or_default();
        counts.add(&row.what, row.size, row.tasks);
    }
    let mut types: Vec<_> = types
        .into_iter()
        .map(|((service, name), counts)| {
            let run_times = counts.run_times();
            let ends = What::ALL.into_iter().filter(|what| what.is_end());
            TypeRollup {
                service,
                name,
                ended: ends.map(|what| counts.count(what)).sum(),
                failed: counts.count(What::Failure),
                run_time: run_times.percentiles(),
                total_run_ms: run_times.total_ms(),
            }
        })
        .collect();
    types.sort_by_key(|one| std::cmp::Reverse(one.total_run_ms));
    types
}

#[cfg(test)]
mod tests {
    use super::super::size::{UNKNOWN, size_of};
    use super::super::span::SPANS;
    use super::*;

    fn sizes(times: &[i64]) -> Sizes {
        let mut sizes = Sizes::default();
        for ms in times {
            sizes.add(size_of(Some(*ms)), 1);
        }
        sizes
    }

    #[test]
    fn percentiles_are_those_of_the_times_nine_percent_more_or_less() {
        let times: Vec<i64> = (1..=1000).collect();
        let told = sizes(&times).percentiles();
        for (told, exact) in [(told.p50_ms, 500), (told.p95_ms, 950), (told.p99_ms, 990)] {
            let told = told.expect("known");
            let off = (told - exact).abs();
            assert!(off * 100 <= exact * 10, "{told} for {exact}");
        }
        let one = sizes(&[7]).percentiles();
        assert_eq!((one.p50_ms, one.p99_ms), (Some(6), Some(6)));
        assert_eq!(Sizes::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn what_is_not_known_or_taken_back_makes_no_percentile() {
        let mut sizes = sizes(&[16]);
        sizes.add(UNKNOWN, 1000);
        sizes.add(size_of(Some(64)), -5);
        let told = sizes.percentiles();
        assert_eq!((told.p50_ms, told.p99_ms), (Some(16), Some(16)));
        assert_eq!(sizes.total_ms(), 16);
    }

    #[test]
    fn every_step_has_a_point() {
        let read = Reading {
            span: SPANS[0],
            from: 600,
            to: 780,
            step: 60,
        };
        let row = |begins, what: &str, tasks| StepRow {
            begins,
            what: what.to_owned(),
            size: 8,
            tasks,
        };
        let rows = vec![
            row(660, "SUCCESS", 3),
            row(660, "queued", 2),
            row(660, "sent", 4),
            row(660, "of a later version", 9),
            row(720, "FAILURE", -1),
        ];
        let told = points(rows, read);
        assert_eq!(told.step_s, 60);
        let begins: Vec<_> = told.points.iter().map(|it| it.at.timestamp()).collect();
        assert_eq!(begins, [600, 660, 720]);
        let [empty, full, less] = &told.points[..] else {
            panic!("{told:?}");
        };
        assert_eq!((empty.sent, empty.succeeded), (0, 0));
        assert_eq!((full.sent, full.started, full.succeeded), (4, 2, 3));
        assert_eq!(full.run_time.p95_ms, Some(4));
        assert_eq!((less.failed, less.run_time.p50_ms), (0, None));
    }

    #[test]
    fn types_are_told_those_that_took_most_together_first() {
        let row = |name: &str, what: &str, ms, tasks| TypeRow {
            service: "demo".to_owned(),
            r#type: name.to_owned(),
            what: what.to_owned(),
            size: size_of(ms),
            tasks,
        };
        let told = types(vec![
            row("demo.add", "SUCCESS", Some(4), 10),
            row("demo.add", "FAILURE", None, 3),
            row("demo.sleep", "SUCCESS", Some(1024), 2),
        ]);
        let told: Vec<_> = told
            .iter()
            .map(|it| (it.name.as_str(), it.ended, it.failed, it.total_run_ms))
            .collect();
        assert_eq!(told, [("demo.sleep", 2, 0, 2048), ("demo.add", 13, 3, 40)]);
    }
}
