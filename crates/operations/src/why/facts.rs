//! What is known about a task and its surroundings: what an explanation is made from.

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::{ControlRow, TaskRow};
use serde::Serialize;
use std::time::Duration;

/// Everything that was found out.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) task: TaskRow,
    /// The database's time.
    pub(super) now: DateTime<Utc>,
    /// What holds of what was asked about the task and its family.
    pub(super) asked: Vec<ControlRow>,
    /// Who paused the service whose queue its key leads to, if somebody did.
    pub(super) paused_by: Option<String>,
    /// The queue that its key leads to.
    pub(super) queue: Queue,
    /// Living workers that consume it.
    pub(super) consumed_by: Vec<WorkerFact>,
    /// The worker that the row names.
    pub(super) worker: Option<WorkerFact>,
    /// How many tasks wait for that queue and are due, itself among them: as far as was looked, and while it is not
    /// over.
    pub(super) due: usize,
    /// In whose dead queue its message lies.
    pub(super) dead: Option<DeadFact>,
    /// Reports about it that nobody believes yet.
    pub(super) parked: Vec<String>,
    /// How many may run at once over all workers, when its type is limited so.
    pub(super) tokens: Option<Tokens>,
    /// Its session's id and state.
    pub(super) session: Option<(String, String)>,
    /// Whether it waits in the outbox: nobody has sent it yet.
    pub(super) is_unsent: bool,
    /// Why it can never be sent from there, if the daemon gave up.
    pub(super) refusal: Option<String>,
    /// After how long without news a missing message is sent again.
    pub(super) lost_after: Duration,
    /// What the daemon has not read yet.
    pub(super) lag: Lag,
}

/// A queue, as far as the broker could be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) state: QueueState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum QueueState {
    /// The broker does not answer.
    Unknown {
        reason: String,
    },
    Missing,
    There {
        ready: u32,
        consumers: u32,
    },
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeadFact {
    pub(super) service: String,
    pub(super) reason: String,
    /// Messages in the dead queue of the service, if the broker could be asked.
    pub(super) ready: Option<u32>,
}

/// A worker, as its last sign of life told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkerFact {
    pub(super) id: String,
    pub(super) age: TimeDelta,
    /// How often it gives a sign of life.
    pub(super) interval: TimeDelta,
    pub(super) is_alive: bool,
    pub(super) phase: String,
    pub(super) running: i64,
    /// Whether it knows the type of the task; `None`: it has not told what it knows.
    pub(super) knows: Option<bool>,
}

/// The tokens by which a type of task is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) limit: u32,
    /// Workers that had some lately.
    pub(super) held_by: Vec<String>,
}

/// Messages that the daemon has not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lag {
    Unknown {
        reason: String,
    },
    Known {
        tracking: u32,
        events: u32,
        daemons: u32,
    },
}

impl Lag {
    /// Whether no daemon reads, so that what the database says may be old.
    pub(super) const fn is_unread(&self) -> bool {
        matches!(self, Self::Known { daemons: 0, .. })
    }

    /// What to say about it, if there is something.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::Unknown { reason } => Some(format!("the broker cannot be asked: {reason}")),
            Self::Known { daemons: 0, .. } => Some(
                "no daemon reads what happens, so this may be old: start `counterfoil-sync`"
                    .to_owned(),
            ),
            Self::Known {
                tracking, events, ..
            } if tracking + events > 0 => Some(format!(
                "the daemon has {tracking} tracking copies and {events} batches of events still to read"
            )),
            Self::Known { .. } => None,
        }
    }
}
