//! A task in a worker's hands, for others.

use crate::held::Held;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::message::{Envelope, Payload};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A task in a worker's hands: see [`Inside::tasks`](super::Inside::tasks).
#[derive(Debug, Clone)]
pub struct HeldTask(pub(super) Arc<Held>);

/// What a task in hand does: see [`HeldTask::stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a place.
    Waits,
    /// It waits for its time.
    WaitsForItsTime,
    /// Its handler runs since then.
    Runs(DateTime<Utc>),
    /// Its handler has ended. What follows is being told, or it is about to be tried again.
    HasEnded,
}

/// How far a task in hand has come: since when its handler runs, in microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Course(AtomicI64);

/// In place of a time: the handler was not started, or has ended.
const WAITS: i64 = 0;
const HAS_ENDED: i64 = -1;

impl Course {
    /// The handler runs from now on.
    pub(crate) fn begins(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp_micros(), Ordering::Relaxed);
    }

    /// It does not any more.
    pub(crate) fn ends(&self) {
        self.0.store(HAS_ENDED, Ordering::Relaxed);
    }

    /// What a task does that is due at `eta`.
    fn stage(&self, eta: Option<DateTime<Utc>>) -> Stage {
        let since = self.0.load(Ordering::Relaxed);
        match (since, DateTime::from_timestamp_micros(since)) {
            (HAS_ENDED, _) => Stage::HasEnded,
            (since, Some(at)) if since != WAITS => Stage::Runs(at),
            (_, _) => match eta {
                Some(eta) if eta > Utc::now() => Stage::WaitsForItsTime,
                Some(_) | None => Stage::Waits,
            },
        }
    }
}

impl HeldTask {
    /// Its headers.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.0.envelope
    }

    /// Its arguments. `None`: they cannot be read.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        self.0.payload.as_ref().ok()
    }

    /// The queue that it came by.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.0.queue
    }

    /// The exchange that it was published to.
    #[must_use]
    pub fn exchange(&self) -> &ExchangeName {
        &self.0.exchange
    }

    /// With this key.
    #[must_use]
    pub fn routing_key(&self) -> &RoutingKey {
        &self.0.routing_key
    }

    /// Whether the broker had delivered it before it came here.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.0.redelivered
    }

    /// Whether its message is acknowledged, though it is not over.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.0.lease().is_some()
    }

    /// What it does.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.0.course.stage(self.0.envelope.eta)
    }
}
