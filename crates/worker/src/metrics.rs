//! What a worker counts. The names are those of `counterfoil_toolbox::telemetry::metrics`.

use crate::held::Held;
use crate::outcome::Outcome;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::telemetry::metrics::{
    GIVEN_BACK, IN_HAND, PUT_OFF, QUEUE_SECONDS, REPORTS_UNSENT, RETRIES, RUN_SECONDS, RUNNING,
    SLOTS, TASKS, UNKNOWN_TASK,
};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::time::Duration;

/// Of the worker as a whole.
#[derive(Debug)]
pub(crate) struct Metrics {
    in_hand: Gauge,
    running: Gauge,
    /// Of tasks that are not registered: what messages say is no label.
    unknown: OfType,
}

impl Metrics {
    /// Those of a worker with so many slots.
    pub(crate) fn new(slots: u16) -> Self {
        gauge!(SLOTS).set(f64::from(slots));
        let metrics = Self {
            in_hand: gauge!(IN_HAND),
            running: gauge!(RUNNING),
            unknown: OfType::new(UNKNOWN_TASK),
        };
        metrics.in_hand.increment(0.0);
        metrics.running.increment(0.0);
        metrics
    }

    /// It has so many slots from now on.
    pub(crate) fn has_slots(&self, slots: u16) {
        gauge!(SLOTS).set(f64::from(slots));
    }

    /// One more task in hand, until the answer is dropped.
    pub(crate) fn hold(&self) -> Up {
        Up::new(&self.in_hand, 1)
    }

    /// One more handler that runs, until the answer is dropped.
    pub(crate) fn run(&self) -> Up {
        Up::new(&self.running, 1)
    }

    /// Those of tasks that are not registered.
    pub(crate) fn unknown(&self) -> &OfType {
        &self.unknown
    }
}

/// Of one type of task.
#[derive(Debug)]
pub(crate) struct OfType {
    success: Counter,
    skipped: Counter,
    failure: Counter,
    dead: Counter,
    revoked: Counter,
    counted: Counter,
    uncounted: Counter,
    put_off: Counter,
    given_back: Counter,
    run: Histogram,
    queue: Histogram,
}

impl OfType {
    pub(crate) fn new(task: &str) -> Self {
        let task = || task.to_owned();
        let ended = |outcome: &'static str| counter!(TASKS, "task" => task(), "outcome" => outcome);
        let retries =
            |counted: &'static str| counter!(RETRIES, "task" => task(), "counted" => counted);
        Self {
            success: ended("success"),
            skipped: ended("skipped"),
            failure: ended("failure"),
            dead: ended("dead"),
            revoked: ended("revoked"),
            counted: retries("true"),
            uncounted: retries("false"),
            put_off: counter!(PUT_OFF, "task" => task()),
            given_back: counter!(GIVEN_BACK, "task" => task()),
            run: histogram!(RUN_SECONDS, "task" => task()),
            queue: histogram!(QUEUE_SECONDS, "task" => task()),
        }
    }

    /// What becomes of a task.
    pub(crate) fn note(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Done(_) => &self.success,
            Outcome::Skipped(_) => &self.skipped,
            Outcome::Failed(_) => &self.failure,
            Outcome::Dead(_) => &self.dead,
            Outcome::Revoked(_) => &self.revoked,
            Outcome::RetryIn { counted: true, .. } => &self.counted,
            Outcome::RetryIn { counted: false, .. } | Outcome::Replaced(_) => &self.uncounted,
            Outcome::Later(_) | Outcome::HeldBack(_) => &self.put_off,
            Outcome::HandBack | Outcome::LetGo => &self.given_back,
        };
        counter.increment(1);
    }

    /// An execution took so long.
    pub(crate) fn ran_for(&self, took: Duration) {
        self.run.record(took.as_secs_f64());
    }

    /// A task starts that has `executions` retries behind it.
    pub(crate) fn started(&self, held: &Held, executions: i32, now: DateTime<Utc>) {
        if let Some(waited) = waited(held, executions, now) {
            self.queue.record(waited.as_secs_f64());
        }
    }
}

/// How long a task has waited since it was sent, or was due. `None`: nobody tells, or it has been here before.
fn waited(held: &Held, executions: i32, now: DateTime<Utc>) -> Option<Duration> {
    let envelope = &held.envelope;
    let lineage = envelope.lineage;
    // Copies that the platform sends keep the time at which the task was sent first.
    let is_first = lineage.run == 0 && lineage.rescue == 0 && executions == lineage.executions;
    let sent = envelope.sent_at.filter(|_| is_first)?;
    let due = envelope.eta.map_or(sent, |eta| eta.max(sent));
    // A clock that is behind the sender's shows no time at all.
    Some((now - due).to_std().unwrap_or(Duration::ZERO))
}

/// Events that the broker has not confirmed yet.
#[derive(Debug, Clone)]
pub(crate) struct Unsent(Gauge);

impl Unsent {
    pub(crate) fn new() -> Self {
        let gauge = gauge!(REPORTS_UNSENT);
        gauge.increment(0.0);
        Self(gauge)
    }

    /// So many, until the answer is dropped.
    pub(crate) fn hold(&self, events: u32) -> Up {
        Up::new(&self.0, events)
    }
}

/// A share of a gauge, which is taken back when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Up {
    gauge: Gauge,
    by: u32,
}

impl Up {
    fn new(gauge: &Gauge, by: u32) -> Self {
        gauge.increment(f64::from(by));
        Self {
            gauge: gauge.clone(),
            by,
        }
    }

    /// One more.
    pub(crate) fn add(&mut self) {
        self.gauge.increment(1.0);
        self.by += 1;
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.gauge.decrement(f64::from(self.by));
    }
}
