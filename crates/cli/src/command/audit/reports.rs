//! Whether the database has what it was told.
//!
//! Messages that wait can be counted. Those that a daemon has in hand cannot, and one that hangs may have them for
//! long; so canaries tell how far the daemons are: those that they send themselves, and, between two looks, some
//! of ours.

use super::balance::Unread;
use super::look::Look;
use crate::canary;
use crate::failure::Failure;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::CanaryPlace;
use counterfoil_store::record::CanaryRow;
use counterfoil_toolbox::transport::{PublisherOptions, QueueDepth};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// So many messages may wait for a daemon that keeps up.
const ON_THEIR_WAY: u32 = 500;

/// A daemon through which no canary came for so long, or for three times as long as there is between two, has what
/// it read in hand still.
const SILENCE: TimeDelta = TimeDelta::minutes(5);

/// How many canaries are looked through: as many as are sent within that time, and more.
const LOOK_BACK: u32 = 400;

/// How many canaries tell how long there is between two.
const GAPS: usize = 50;

/// How many canaries are sent: the broker gives them to all daemons in turn.
const SENT: usize = 4;

/// Canaries that were sent from here.
#[derive(Debug, Default)]
pub(super) struct Canaries(HashSet<Uuid>);

impl Canaries {
    /// Whether all of them came through some queue.
    fn are_through(&self, rows: &[CanaryRow], place: CanaryPlace) -> bool {
        let through = rows
            .iter()
            .filter(|row| self.0.contains(&row.id) && row.seen_at(place).is_some());
        through.count() >= self.0.len()
    }
}

impl Look<'_> {
    /// Sends canaries where a daemon reads them. Whoever may not, does without.
    pub(super) async fn send_canaries(&self) -> Result<Canaries, Failure> {
        let mut sent = Canaries::default();
        let depth = self.transport.depth(&self.names.tracking_queue).await?;
        if depth.is_none_or(|depth| depth.consumers == 0) {
            return Ok(sent);
        }
        let publisher = self.transport.publisher(PublisherOptions::default());
        while sent.0.len() < SENT {
            match canary::send(self.store, &publisher, self.names).await {
                Ok(id) => sent.0.insert(id),
                Err(error) => {
                    tracing::debug!(%error, "no canary is sent");
                    break;
                }
            };
        }
        Ok(sent)
    }

    /// Waits until these canaries are in the database, and not for ever.
    pub(super) async fn wait_for(&self, sent: &Canaries) -> Result<(), Failure> {
        canary::wait_for(self.store, &sent.0).await?;
        Ok(())
    }

    /// Queues of the platform with reports that the database does not have, and why not.
    pub(super) async fn unread(
        &self,
        sent: &Canaries,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<String, Unread>, Failure> {
        let canaries = self.store.canaries(LOOK_BACK).await?;
        let silent_since = now - SILENCE.max(longest_gap(&canaries) * 3);
        let queues: [(_, Option<CanaryPlace>); 5] = [
            (&self.names.tracking_queue, Some(CanaryPlace::Tracking)),
            (&self.names.events_queue, Some(CanaryPlace::Events)),
            (&self.names.unroutable_queue, Some(CanaryPlace::Unroutable)),
            (&self.names.deaths_queue, None),
            (&self.names.expired_queue, None),
        ];
        let mut all = BTreeMap::new();
        for (queue, place) in queues {
            let Some(depth) = self.transport.depth(queue).await? else {
                continue;
            };
            let written = place.and_then(|place| last_written(&canaries, place));
            let are_late = place.is_some_and(|place| !sent.are_through(&canaries, place));
            let unread = unread(&depth, written, if are_late { now } else { silent_since });
            all.extend(unread.map(|unread| (queue.to_string(), unread)));
        }
        Ok(all)
    }
}

/// The longest time between two of the newest canaries: daemons may be told to send them seldom. Rows are a day
/// old at most.
fn longest_gap(canaries: &[CanaryRow]) -> TimeDelta {
    let newest = &canaries[..canaries.len().min(GAPS)];
    let gaps = newest
        .windows(2)
        .map(|pair| pair[0].sent_at - pair[1].sent_at);
    gaps.max().unwrap_or_default()
}

/// When the last of these canaries was sent that came through, or the first one when none did. None: there is
/// no canary.
fn last_written(canaries: &[CanaryRow], place: CanaryPlace) -> Option<DateTime<Utc>> {
    let last = canaries
        .iter()
        .find(|canary| canary.seen_at(place).is_some());
    last.or(canaries.last()).map(|canary| canary.sent_at)
}

/// Whether the database lacks what a queue tells, of which a canary was `written` last.
fn unread(
    depth: &QueueDepth,
    written: Option<DateTime<Utc>>,
    silent_since: DateTime<Utc>,
) -> Option<Unread> {
    if depth.ready > ON_THEIR_WAY || depth.ready > 0 && depth.consumers == 0 {
        return Some(Unread::Waits(depth.ready));
    }
    // Nobody who reads has nothing in hand.
    let written = written.filter(|written| depth.consumers > 0 && *written < silent_since);
    written.map(Unread::InHand)
}

#[cfg(test)]
#[path = "reports_tests.rs"]
mod tests;
