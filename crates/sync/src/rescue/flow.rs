//! Whether what workers say of their tasks has come through for long enough: a pure record.
//!
//! A worker that is not heard may be silent, or nobody listens: the broker takes nothing, the database is
//! away, the daemon is behind. Only while all else comes through promptly is silence a sign of death.

use counterfoil_toolbox::event::LONGEST_LEASE;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Markers that came through, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    markers: VecDeque<Marker>,
}

#[derive(Debug, Clone, Copy)]
struct Marker {
    sent_at: Instant,
    took: Duration,
}

impl Flow {
    /// A marker came through, after so long.
    pub(crate) fn came_through(&mut self, sent_at: Instant, took: Duration) {
        self.markers.push_back(Marker { sent_at, took });
        // One that is older than any lease has to stay: the last is what a long lease is measured from.
        let is_old = |marker: &Marker| sent_at - marker.sent_at > LONGEST_LEASE;
        while self.markers.get(1).is_some_and(is_old) {
            self.markers.pop_front();
        }
    }

    /// One did not.
    pub(crate) fn broke_off(&mut self) {
        self.markers.clear();
    }

    /// Whether all came through within a quarter of `lease`, one soon after the other, for all of that time.
    pub(crate) fn is_steady_for(&self, lease: Duration, now: Instant) -> bool {
        let slack = lease / 4;
        let mut next = now;
        for marker in self.markers.iter().rev() {
            if marker.took > slack || next - marker.sent_at > slack * 2 {
                return false;
            }
            if now - marker.sent_at >= lease {
                return true;
            }
            next = marker.sent_at;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(20);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Markers that were sent so many seconds after the start, each back after so many.
    fn flow(markers: &[(u64, u64)]) -> (Flow, Instant) {
        let start = Instant::now();
        let mut flow = Flow::default();
        for (sent_at, took) in markers {
            flow.came_through(start + secs(*sent_at), secs(*took));
        }
        (flow, start)
    }

    #[test]
    fn it_is_steady_once_markers_have_come_through_for_a_whole_lease() {
        let (flow, start) = flow(&[(0, 1), (5, 1), (10, 1), (15, 1), (20, 1)]);
        assert!(!flow.is_steady_for(LEASE, start + secs(19)));
        assert!(flow.is_steady_for(LEASE, start + secs(21)));
        assert!(!flow.is_steady_for(LEASE * 2, start + secs(21)));
    }

    #[test]
    fn a_marker_that_was_late_a_gap_or_a_stop_begin_the_lease_anew() {
        let (late, start) = flow(&[(0, 1), (5, 1), (10, 6), (15, 1), (20, 1)]);
        assert!(!late.is_steady_for(LEASE, start + secs(21)));
        let (gap, start) = flow(&[(0, 1), (5, 1), (16, 1), (20, 1)]);
        assert!(!gap.is_steady_for(LEASE, start + secs(21)));
        let (silent, start) = flow(&[(0, 1), (5, 1), (10, 1), (15, 1), (20, 1)]);
        assert!(!silent.is_steady_for(LEASE, start + secs(31)));
        let (mut broken, start) = flow(&[(0, 1), (5, 1), (10, 1), (15, 1)]);
        broken.broke_off();
        broken.came_through(start + secs(20), secs(1));
        assert!(!broken.is_steady_for(LEASE, start + secs(21)));
    }

    #[test]
    fn what_was_before_the_lease_does_not_matter() {
        let (flow, start) = flow(&[(0, 9), (10, 1), (15, 1), (20, 1), (25, 1), (30, 1)]);
        assert!(flow.is_steady_for(LEASE, start + secs(31)));
        assert!(!Flow::default().is_steady_for(LEASE, start));
    }

    #[test]
    fn it_remembers_no_more_than_the_longest_lease_needs() {
        let hour = LONGEST_LEASE.as_secs();
        let markers: Vec<_> = (0..=2 * hour / 5).map(|n| (n * 5, 1)).collect();
        let (flow, start) = flow(&markers);
        assert!(flow.is_steady_for(LONGEST_LEASE, start + secs(2 * hour)));
        assert!(flow.markers.len() as u64 <= hour / 5 + 2);
    }
}
