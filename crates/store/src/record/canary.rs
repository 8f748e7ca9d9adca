//! Messages that are sent only to see whether every queue of the platform is read.

use crate::batch::CanarySight;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Where a canary can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CanaryPlace {
    /// In the tracking queue.
    Tracking,
    /// In the queue of tasks that no service owns.
    Unroutable,
    /// In the queue of events.
    Events,
}

impl CanaryPlace {
    /// Every place.
    pub const ALL: [Self; 3] = [Self::Tracking, Self::Unroutable, Self::Events];

    /// A word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tracking => "tracking",
            Self::Unroutable => "unroutable",
            Self::Events => "events",
        }
    }
}

/// When a canary was sent and where it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct CanaryRow {
    /// Id of the canary.
    #[sqlx(try_from = "String")]
    pub id: Uuid,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// When it came through the tracking queue.
    pub tracked_at: Option<DateTime<Utc>>,
    /// When it came through the queue of unroutable tasks.
    pub unroutable_at: Option<DateTime<Utc>>,
    /// When it came through the queue of events.
    pub event_at: Option<DateTime<Utc>>,
}

impl CanaryRow {
    /// When it was seen there.
    #[must_use]
    pub const fn seen_at(&self, place: CanaryPlace) -> Option<DateTime<Utc>> {
        match place {
            CanaryPlace::Tracking => self.tracked_at,
            CanaryPlace::Unroutable => self.unroutable_at,
            CanaryPlace::Events => self.event_at,
        }
    }

    /// Where it was not seen.
    pub fn missing(&self) -> impl Iterator<Item = CanaryPlace> {
        let all = CanaryPlace::ALL.into_iter();
        all.filter(|place| self.seen_at(*place).is_none())
    }
}

/// Those of `seen` that came as events and are not `known`: each canary has a row before it is sent, so somebody with
/// another database sent them. As a task alone come the probes of `doctor --probe`, which have none.
pub(crate) fn foreign(seen: &BTreeMap<Uuid, CanarySight>, known: &[String]) -> Vec<Uuid> {
    let is_known = |id: &Uuid| known.iter().any(|known| *known == id.to_string());
    let foreign = seen
        .iter()
        .filter(|(id, sight)| sight.events && !is_known(id));
    foreign.map(|(id, _)| *id).collect()
}
