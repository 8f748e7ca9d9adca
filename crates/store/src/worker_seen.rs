//! Signs of life of workers.

use crate::json::JsonText;
use crate::text::{INDEXED, boxed};
use crate::time::clamped;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::heartbeat::{Hand, Phase};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::names::{QueueName, ServiceName, TaskName};
use counterfoil_toolbox::tokens::LimitReport;
use std::collections::BTreeMap;
use std::time::Duration;

/// How seldom a worker may give a sign of life, in milliseconds: an hour.
pub(crate) const LONGEST_INTERVAL_MS: i64 = 3_600_000;

/// A worker's announcement or heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSeen {
    /// Which process.
    pub id: WorkerId,
    /// Service that it works for.
    pub service: Box<str>,
    /// Machine that it runs on.
    pub host: Box<str>,
    /// Process id on that machine.
    pub pid: Option<i64>,
    /// Version of the worker's program.
    pub version: Option<Box<str>>,
    /// The tasks that it knows, a JSON array of `{"name": …, "schema": …}`. `None`: as announced
    /// before.
    pub tasks: Option<JsonText>,
    /// What it is about.
    pub phase: Phase,
    /// Queues that it consumes.
    pub queues: Vec<QueueName>,
    /// What it has in hand of each.
    pub hands: BTreeMap<QueueName, Hand>,
    /// Tasks that it runs by tokens.
    pub limits: BTreeMap<TaskName, LimitReport>,
    /// Tasks that it has taken over from the broker and still has.
    pub leases: Vec<TaskId>,
    /// How many tasks it runs right now.
    pub running: i64,
    /// How many executions ended since it started.
    pub processed: i64,
    /// How soon it will be heard of again.
    pub interval: Duration,
    /// When the process started, by its own clock.
    pub started_at: Option<DateTime<Utc>>,
    /// Services of which it takes nothing.
    pub paused: Vec<ServiceName>,
    /// Whether it does what is asked of workers.
    pub follows_control: bool,
    /// What was published until then of what is asked, by the database's clock, it has read; and all that it had
    /// begun before it has told.
    pub heard_until: Option<DateTime<Utc>>,
}

impl WorkerSeen {
    /// The same with text and times that any column holds.
    pub(crate) fn cleaned(self) -> Self {
        Self {
            service: boxed(&self.service, INDEXED),
            host: boxed(&self.host, INDEXED),
            version: self.version.map(|version| boxed(&version, INDEXED)),
            tasks: self.tasks.and_then(|tasks| JsonText::storable(tasks.get())),
            started_at: self.started_at.map(clamped),
            heard_until: self.heard_until.map(clamped),
            ..self
        }
    }

    /// The tasks whose leases it renews, each with the worker and its service.
    pub(crate) fn renewals(&self) -> impl Iterator<Item = (&TaskId, &WorkerId, &str)> {
        let renewal = |task_id| (task_id, &self.id, &*self.service);
        self.leases.iter().map(renewal)
    }

    pub(crate) fn queues_json(&self) -> String {
        names_json(&self.queues)
    }

    pub(crate) fn paused_json(&self) -> String {
        names_json(&self.paused)
    }

    pub(crate) fn limits_json(&self) -> String {
        object_json(&self.limits)
    }

    pub(crate) fn hands_json(&self) -> String {
        object_json(&self.hands)
    }

    pub(crate) const fn phase_text(&self) -> &'static str {
        match self.phase {
            Phase::Running => "running",
            Phase::Quiet => "quiet",
            Phase::Draining => "draining",
            Phase::Stopped => "stopped",
        }
    }

    /// An hour at most, whatever it said: databases reckon with it.
    pub(crate) fn interval_ms(&self) -> i64 {
        i64::try_from(self.interval.as_millis())
            .map_or(LONGEST_INTERVAL_MS, |ms| ms.min(LONGEST_INTERVAL_MS))
    }
}

fn object_json<T: serde::Serialize>(object: &T) -> String {
    let object = serde_json::to_string(object).expect("names and numbers are JSON");
    JsonText::storable(&object).map_or_else(|| "{}".to_owned(), |json| json.get().to_owned())
}

fn names_json<T: serde::Serialize>(names: &[T]) -> String {
    let names = serde_json::to_string(names).expect("a list of names is JSON");
    // A name with a NUL is somebody's joke.
    JsonText::storable(&names).map_or_else(|| "[]".to_owned(), |json| json.get().to_owned())
}
