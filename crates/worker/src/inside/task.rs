//! A task in a worker's hands, for others.

use crate::held::Held;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::message::{Envelope, Payload};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use std::sync::Arc;

/// A task in a worker's hands: see [`Inside::tasks`](super::Inside::tasks).
#[derive(Debug, Clone)]
pub struct HeldTask(pub(super) Arc<Held>);

/// What a task in hand does: see [`HeldTask::stage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a place, or is over and about to be acknowledged.
    Waits,
    /// It waits for its time.
    WaitsForItsTime,
    /// Its handler runs since then.
    Runs(DateTime<Utc>),
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
        if let Some(since) = self.0.runs_since() {
            return Stage::Runs(since);
        }
        match self.0.envelope.eta {
            Some(eta) if eta > Utc::now() => Stage::WaitsForItsTime,
            Some(_) | None => Stage::Waits,
        }
    }
}
