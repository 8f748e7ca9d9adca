//! Workers, as their last sign of life described them.

use crate::json::JsonText;
use crate::worker_seen::LONGEST_INTERVAL_MS;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::heartbeat::Hand;
use counterfoil_toolbox::names::QueueName;
use serde::Serialize;
use sqlx::FromRow;
use std::collections::BTreeMap;

/// Signs of life that may be lost before a worker is taken for gone.
const LOST: i32 = 3;

/// A row of `worker`.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct WorkerRow {
    /// Which process.
    pub id: String,
    /// Service that it works for.
    pub service: String,
    /// Machine that it runs on.
    pub host: String,
    /// Process id on that machine.
    pub pid: Option<i64>,
    /// Version of its program.
    pub version: Option<String>,
    /// The tasks that it knows: `[{"name": …, "schema": …}]`.
    pub tasks: Option<JsonText>,
    /// `running`, `quiet`, `draining` or `stopped`.
    pub phase: String,
    /// Names of the queues that it consumes.
    pub queues: JsonText,
    /// What it has in hand of each: `{"name": {"consumers": …, "untold": …}}`; see
    /// [`Hand`](counterfoil_toolbox::heartbeat::Hand).
    pub hands: JsonText,
    /// Tasks that it runs by tokens: `{"name": {"limit": …, "tokens": […]}}`.
    pub limits: JsonText,
    /// How many tasks it ran at the last heartbeat.
    pub running: i64,
    /// How many executions ended since it started.
    pub processed: i64,
    /// How soon after the last heartbeat the next one was due, in milliseconds.
    pub interval_ms: i64,
    /// When it started, by its own clock.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was last heard of, by the database's clock.
    pub last_heartbeat: DateTime<Utc>,
    /// Names of the services of which it takes nothing, because somebody paused them.
    pub paused: JsonText,
    /// Whether it does what is asked of workers; `false`: it cannot read that.
    pub follows_control: bool,
    /// What was published until then of what is asked, by the database's clock, it has read; and all that it had
    /// begun before it has told.
    pub heard_until: Option<DateTime<Utc>>,
}

impl WorkerRow {
    /// How soon after the last sign of life the next one was due: an hour at most.
    #[must_use]
    pub fn interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.interval_ms.clamp(0, LONGEST_INTERVAL_MS))
    }

    /// How long it has been taken for gone at the database's time `now`, since so many signs of life in a row
    /// cannot all be lost. Negative: it is not yet.
    #[must_use]
    pub fn gone_for(&self, now: DateTime<Utc>) -> TimeDelta {
        now - self.last_heartbeat - self.interval() * LOST
    }

    /// Whether it said that it ends.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.phase == "stopped"
    }

    /// What it has in hand of each queue. Nothing, if that cannot be read.
    #[must_use]
    pub fn in_hand(&self) -> BTreeMap<QueueName, Hand> {
        serde_json::from_str(self.hands.get()).unwrap_or_default()
    }
}
