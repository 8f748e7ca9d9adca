//! The one list of metrics, of all processes. Names and labels are public for ever.
//!
//! They are recorded through the `metrics` facade: a process that has no recorder pays next to nothing
//! for them, and an application that has one of its own finds them there. Those of `prometheus` (feature
//! `prometheus`) answer at `/metrics`.
//!
//! No label holds what a message says: tasks are named by the types that a worker has registered, and
//! all others go under [`UNKNOWN_TASK`].

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process serves its metrics itself.
static SERVED: AtomicBool = AtomicBool::new(false);

/// Whether this process serves its metrics by [`prometheus`](super).
///
/// ```
/// use counterfoil_toolbox::telemetry::metrics::are_served;
///
/// assert!(!are_served()); // nobody has called `prometheus::serve`
/// ```
#[must_use]
pub fn are_served() -> bool {
    SERVED.load(Ordering::Relaxed)
}

#[cfg(feature = "prometheus")]
pub(super) fn now_served() {
    SERVED.store(true, Ordering::Relaxed);
}

/// A metric.
///
/// ```
/// use counterfoil_toolbox::telemetry::metrics::{Kind, METRICS, Process, RUNNING};
///
/// for metric in METRICS.iter().filter(|metric| metric.of == Process::Worker) {
///     println!("{} ({}): {}", metric.name, metric.kind.as_str(), metric.help);
/// }
/// let running = METRICS.iter().find(|metric| metric.name == RUNNING).expect("all are listed");
/// assert_eq!((running.kind, running.labels.len()), (Kind::Gauge, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the unit.
    pub name: &'static str,
    /// What it counts up to.
    pub kind: Kind,
    /// Which process has it.
    pub of: Process,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// What the value of a metric does. [`Metric`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It rises.
    Counter,
    /// It rises and falls.
    Gauge,
    /// It is a distribution, in buckets.
    Histogram,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A kind of process. [`Metric`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Whoever sends tasks; a worker does, too.
    Producer,
    /// A worker.
    Worker,
    /// `counterfoil-sync`.
    Daemon,
}

impl Process {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Daemon => "daemon",
        }
    }
}

/// The label `task` of messages that name no task which the worker has registered. No task has this
/// name: names hold no white space.
pub const UNKNOWN_TASK: &str = "not registered";

/// Bounds of the buckets of times, in seconds.
pub const SECONDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 1800.0,
];

/// Bounds of the buckets of sizes of batches, in messages.
pub const MESSAGES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident of $process:ident, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*

        /// All metrics, in the order of the table in `docs/telemetry.md`.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            of: Process::$process,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

metrics! {
    SENDS = "counterfoil_producer_sends_total", Counter of Producer, ["outcome"],
        "Sends that ended: `confirmed`, `full`, `unavailable`, `unknown`, `refused` or `invalid`.";
    SEND_SECONDS = "counterfoil_producer_send_seconds", Histogram of Producer, [],
        "Time from a send to its outcome, tries and waits included.";
    BREAKER_OPEN = "counterfoil_producer_breaker_open", Gauge of Producer, [],
        "Producers of the process whose circuit breaker is open.";
    BREAKER_OPENINGS = "counterfoil_producer_breaker_openings_total", Counter of Producer, [],
        "How often a circuit breaker has opened.";

    TASKS = "counterfoil_worker_tasks_total", Counter of Worker, ["task", "outcome"],
        "Tasks that ended here: `success`, `skipped`, `failure`, `dead` (a failure whose message is in the dead queue) or `revoked`.";
    RETRIES = "counterfoil_worker_retries_total", Counter of Worker, ["task", "counted"],
        "Executions that ended in a retry; `counted`: whether it uses up the limit (`true`, `false`).";
    PUT_OFF = "counterfoil_worker_put_off_total", Counter of Worker, ["task"],
        "Tasks that came and were not begun yet: too early, held, or kept back by a limit.";
    GIVEN_BACK = "counterfoil_worker_given_back_total", Counter of Worker, ["task"],
        "Tasks that went back to the broker unfinished, mostly because the worker stops.";
    RUN_SECONDS = "counterfoil_worker_run_seconds", Histogram of Worker, ["task"],
        "Time that one execution took.";
    QUEUE_SECONDS = "counterfoil_worker_queue_seconds", Histogram of Worker, ["task"],
        "Time from the sending of a task, or from when it was due, to its start; by the clocks of both sides, where the sender tells it.";
    IN_HAND = "counterfoil_worker_in_hand", Gauge of Worker, [],
        "Tasks that the worker has and has not ended: running, waiting for a slot or for their time.";
    RUNNING = "counterfoil_worker_running", Gauge of Worker, [],
        "Handlers that run.";
    SLOTS = "counterfoil_worker_slots", Gauge of Worker, [],
        "Handlers that may run at a time.";
    REPORTS_UNSENT = "counterfoil_worker_reports_unsent", Gauge of Worker, [],
        "Events that the broker has not confirmed yet.";

    MESSAGES_READ = "counterfoil_sync_messages_total", Counter of Daemon, ["queue"],
        "Messages that were written down and acknowledged, by the queue that they came from.";
    EVENTS = "counterfoil_sync_events_total", Counter of Daemon, [],
        "Events of workers that were written down.";
    BATCH_MESSAGES = "counterfoil_sync_batch_messages", Histogram of Daemon, [],
        "Messages in one batch.";
    BATCH_SECONDS = "counterfoil_sync_batch_seconds", Histogram of Daemon, [],
        "Time to write one batch, with waits for the database.";
    LAG_SECONDS = "counterfoil_sync_lag_seconds", Gauge of Daemon, [],
        "How far the database is behind: age of the oldest event of the last batch when it was written, by the workers' clocks, or the time that messages wait in the daemon or writing fails, if that is longer; 0 once nothing waits.";
    BACKLOG = "counterfoil_sync_backlog", Gauge of Daemon, ["queue"],
        "Messages that wait in the queues of tracking copies and events, looked at every 5 s.";
    HELD = "counterfoil_sync_in_hand", Gauge of Daemon, [],
        "Messages that have come and are not being written yet.";
    PARKED = "counterfoil_sync_parked_total", Counter of Daemon, [],
        "Messages that were set aside because they cannot be understood, believed or stored.";
    DEATHS = "counterfoil_sync_deaths_total", Counter of Daemon, [],
        "Messages of tasks that ended in a dead queue.";
    OUTBOX = "counterfoil_sync_outbox_messages", Gauge of Daemon, ["state"],
        "Messages in the outbox: `due` and not published, due `later`, or `refused` for good. Of the leader, 0 elsewhere.";
    SESSIONS_OPEN = "counterfoil_sync_sessions_open", Gauge of Daemon, [],
        "Sessions that are not over, looked at every 5 s. Of the leader, 0 elsewhere.";
    RESCUES = "counterfoil_sync_rescues_total", Counter of Daemon, [],
        "Tasks that were sent again because their worker had vanished.";
    CANARIES_MISSED = "counterfoil_sync_canaries_missed_total", Counter of Daemon, [],
        "Canaries that did not come through the broker everywhere.";
    LEADER = "counterfoil_sync_leader", Gauge of Daemon, [],
        "1 for the daemon that leads, 0 for others.";
    READY = "counterfoil_sync_ready", Gauge of Daemon, [],
        "1 while the daemon does its work, as `/readyz` tells it, looked at every 5 s.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskName;

    #[test]
    fn names_are_of_one_kind_and_each_is_there_once() {
        for (at, metric) in METRICS.iter().enumerate() {
            let Metric { name, kind, of, .. } = metric;
            assert!(
                METRICS[..at].iter().all(|other| other.name != *name),
                "{name}"
            );
            let process = match of {
                Process::Producer => "counterfoil_producer_",
                Process::Worker => "counterfoil_worker_",
                Process::Daemon => "counterfoil_sync_",
            };
            assert!(name.starts_with(process), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }

    #[test]
    fn no_task_has_the_name_of_those_that_are_not_registered() {
        assert!(TaskName::new(UNKNOWN_TASK).is_err());
    }
}
