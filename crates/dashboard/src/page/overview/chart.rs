//! Charts, drawn on the server: no script is needed to see them. Pure.

use crate::shown::{When, grouped, span};
use counterfoil_store::{Percentiles, Rollup, RollupPoint};
use std::fmt::Write;

/// Size of a chart in units of its own; pages stretch it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// Bars of what ended: how often a run ended how, step by step.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) bars: Vec<Bar>,
    /// What the top of the chart stands for.
    pub(super) most: String,
    /// The chart in a sentence.
    pub(super) told: String,
}

/// What ended within a step, from the bottom up.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) parts: Vec<Part>,
    /// What it stands for, when somebody points at it.
    pub(super) title: String,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) y: String,
    pub(super) height: String,
}

/// Lines of times: half of the tasks, and all but one in twenty.
#[derive(Debug)]
pub(super) struct Times {
    /// Points of the lines; several where there are gaps.
    pub(super) p50: Vec<String>,
    pub(super) p95: Vec<String>,
    pub(super) most: String,
    pub(super) told: String,
}

impl Ends {
    pub(super) fn of(rollup: &Rollup) -> Self {
        let ended =
            |point: &RollupPoint| point.succeeded.max(0) + point.failed.max(0) + other(point);
        let most = rollup.points.iter().map(ended).max().unwrap_or(0).max(1);
        let width = step_width(rollup);
        let bar = |(place, point): (usize, &RollupPoint)| {
            let mut top = HEIGHT;
            let shares = [
                ("good", point.succeeded.max(0)),
                ("stopped", other(point)),
                ("bad", point.failed.max(0)),
            ];
            let part = |(class, tasks): (&'static str, i64)| {
                let height = share(tasks, most) * HEIGHT;
                top -= height;
                (tasks > 0).then(|| Part {
                    class,
                    y: number(top),
                    height: number(height),
                })
            };
            Bar {
                x: number(at(place) * width + width * 0.1),
                width: number(width * 0.8),
                parts: shares.into_iter().filter_map(part).collect(),
                title: title(point),
            }
        };
        let sum = |of: fn(&RollupPoint) -> i64| rollup.points.iter().map(of).sum::<i64>().max(0);
        let (good, bad) = (sum(|point| point.succeeded), sum(|point| point.failed));
        Self {
            bars: rollup.points.iter().enumerate().map(bar).collect(),
            most: grouped(most),
            told: format!(
                "{} tasks succeeded, {} failed, {} were sent",
                grouped(good),
                grouped(bad),
                grouped(sum(|point| point.sent))
            ),
        }
    }
}

impl Times {
    /// Of the times that `of` picks.
    pub(super) fn of(rollup: &Rollup, of: fn(&RollupPoint) -> Percentiles) -> Self {
        let times: Vec<Percentiles> = rollup.points.iter().map(of).collect();
        let most = times
            .iter()
            .filter_map(|time| time.p95_ms)
            .max()
            .unwrap_or(0);
        let width = step_width(rollup);
        let line = |of: fn(&Percentiles) -> Option<i64>| lines(&times, of, most.max(1), width);
        let last = times.iter().rev().find(|time| time.p95_ms.is_some());
        let told = last.map_or_else(
            || "nothing is known".to_owned(),
            |time| {
                let text = |ms: Option<i64>| ms.map_or_else(String::new, span);
                format!(
                    "lately half within {}, 95 % within {}",
                    text(time.p50_ms),
                    text(time.p95_ms)
                )
            },
        );
        Self {
            p50: line(|time| time.p50_ms),
            p95: line(|time| time.p95_ms),
            most: span(most),
            told,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.p95.is_empty()
    }
}

fn lines(
    times: &[Percentiles],
    of: fn(&Percentiles) -> Option<i64>,
    most: i64,
    width: f64,
) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for (place, time) in times.iter().enumerate() {
        match of(time) {
            Some(ms) => {
                let y = number(HEIGHT - share(ms, most) * (HEIGHT - 2.0) - 1.0);
                // A step wide, so that one without neighbours is seen.
                for x in [at(place) * width, at(place + 1) * width] {
                    write!(line, "{},{y} ", number(x)).expect("a string takes all text");
                }
            }
            None if line.is_empty() => {}
            None => lines.push(std::mem::take(&mut line)),
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn title(point: &RollupPoint) -> String {
    let mut title = format!(
        "{}: {} succeeded, {} failed",
        When::of(point.at).text,
        grouped(point.succeeded.max(0)),
        grouped(point.failed.max(0))
    );
    if other(point) > 0 {
        write!(title, ", {} revoked or refused", grouped(other(point)))
            .expect("a string takes all text");
    }
    write!(title, "; {} sent", grouped(point.sent)).expect("a string takes all text");
    title
}

fn other(point: &RollupPoint) -> i64 {
    point.revoked.max(0) + point.rejected.max(0)
}

fn step_width(rollup: &Rollup) -> f64 {
    WIDTH / at(rollup.points.len().max(1))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "charts have fewer dots than that"
)]
fn at(place: usize) -> f64 {
    place as f64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "charts have fewer dots than that"
)]
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

fn number(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    fn point(succeeded: i64, failed: i64, p95_ms: Option<i64>) -> RollupPoint {
        let time = Percentiles {
            p50_ms: p95_ms.map(|ms| ms / 2),
            p95_ms,
            p99_ms: p95_ms,
        };
        RollupPoint {
            at: DateTime::<Utc>::UNIX_EPOCH,
            sent: succeeded + failed,
            started: 0,
            retried: 0,
            succeeded,
            failed,
            revoked: 0,
            rejected: 0,
            run_time: time,
            queue_time: Percentiles::default(),
        }
    }

    #[test]
    fn bars_fill_the_chart_and_failures_stand_on_top() {
        let points = vec![point(6, 2, None), point(0, 0, None), point(3, 0, None)];
        let ends = Ends::of(&Rollup { step_s: 60, points });
        assert_eq!((ends.most.as_str(), ends.bars.len()), ("8", 3));
        let part = |part: &Part| (part.class, part.y.clone(), part.height.clone());
        let first: Vec<_> = ends.bars[0].parts.iter().map(part).collect();
        assert_eq!(
            first,
            [
                ("good", "30.0".into(), "90.0".into()),
                ("bad", "0.0".into(), "30.0".into())
            ]
        );
        assert!(ends.bars[1].parts.is_empty());
        assert_eq!(ends.told, "9 tasks succeeded, 2 failed, 11 were sent");
    }

    #[test]
    fn a_line_has_gaps_where_nothing_is_known() {
        let points = [Some(100), None, Some(200), Some(50)]
            .map(|ms| point(1, 0, ms))
            .to_vec();
        let rollup = Rollup { step_s: 60, points };
        let times = Times::of(&rollup, |point| point.run_time);
        assert_eq!((times.p95.len(), times.p50.len()), (2, 2));
        assert_eq!(times.most, "200 ms");
        assert!(Times::of(&rollup, |point| point.queue_time).is_empty());
    }

    #[test]
    fn an_empty_chart_is_drawn_too() {
        let ends = Ends::of(&Rollup {
            step_s: 60,
            points: Vec::new(),
        });
        assert!(ends.bars.is_empty());
        let negative = Ends::of(&Rollup {
            step_s: 60,
            points: vec![point(-3, 1, None)],
        });
        assert_eq!(negative.bars[0].parts.len(), 1);
    }
}
