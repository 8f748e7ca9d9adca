//! What a scenario measured.

use serde::Serialize;
use std::time::Duration;

/// The line that a scenario prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// How many tasks went through.
    pub tasks: usize,
    /// Tasks per second.
    pub per_second: f64,
    /// Half of the single times were shorter, in milliseconds. What is timed: see the scenario.
    pub p50_ms: f64,
    /// All but one in a hundred were shorter, in milliseconds.
    pub p99_ms: f64,
    /// Most memory that this process held, in mebibytes.
    pub max_rss_mb: f64,
}

impl Report {
    /// A report on `tasks` that took `elapsed` together.
    #[must_use]
    pub fn new(
        scenario: &'static str,
        tasks: usize,
        elapsed: Duration,
        latencies: Latencies,
    ) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "nobody benches 2^53 tasks")]
        let per_second = (tasks as f64 / elapsed.as_secs_f64()).round();
        let (p50_ms, p99_ms) = latencies.percentiles();
        Self {
            scenario,
            tasks,
            per_second,
            p50_ms,
            p99_ms,
            max_rss_mb: max_rss_mb(),
        }
    }
}

/// Single times, in the order in which they were taken.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The median and the 99th percentile, in milliseconds; zeros when nothing was timed.
    fn percentiles(mut self) -> (f64, f64) {
        self.0.sort_unstable();
        let at = |hundredths: usize| {
            let index = (self.0.len() * hundredths / 100).min(self.0.len().saturating_sub(1));
            self.0
                .get(index)
                .map_or(0.0, |time| (time.as_secs_f64() * 1e5).round() / 100.0)
        };
        (at(50), at(99))
    }
}

/// `VmHWM` of this process; 0 where the system does not tell.
fn max_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<f64> = line
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|n| n.parse().ok());
    (kib.unwrap_or(0.0) / 1024.0 * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut latencies = Latencies::default();
        (1..=200)
            .rev()
            .for_each(|ms| latencies.push(Duration::from_millis(ms)));
        assert_eq!(latencies.percentiles(), (101.0, 199.0));
        assert_eq!(Latencies::default().percentiles(), (0.0, 0.0));
    }

    #[test]
    fn this_process_holds_some_memory() {
        assert!(max_rss_mb() > 1.0);
    }
}
