//! What the worker is to other nodes of Celery: a name, a clock, and what is asked of its events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// A node: one worker, however many parts of this crate speak for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clock: AtomicU64,
    tells_of_tasks: AtomicBool,
    beat: Notify,
}

impl Node {
    /// The time of something that happens here: Lamport's clock.
    pub(crate) fn tick(&self) -> u64 {
        self.0.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What happens here from now on is later than what others have told at this time. Returns the new time.
    #[allow(dead_code, reason = "for remote control")]
    pub(crate) fn heard_at(&self, theirs: u64) -> u64 {
        let later = |ours: u64| ours.max(theirs).saturating_add(1);
        let before = self
            .0
            .clock
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ours| {
                Some(later(ours))
            });
        before.map_or_else(later, later)
    }

    /// Whether events are sent of tasks.
    pub(crate) fn tells_of_tasks(&self) -> bool {
        self.0.tells_of_tasks.load(Ordering::Relaxed)
    }

    /// Sends events of tasks, or none. Returns whether it did before.
    pub(crate) fn tell_of_tasks(&self, whether: bool) -> bool {
        self.0.tells_of_tasks.swap(whether, Ordering::Relaxed)
    }

    /// Asks for a sign of life now.
    #[allow(dead_code, reason = "for remote control")]
    pub(crate) fn beat(&self) {
        self.0.beat.notify_one();
    }

    /// Completes when a sign of life was asked for.
    pub(crate) async fn is_asked_to_beat(&self) {
        self.0.beat.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_after_something_was_heard_is_later() {
        let node = Node::default();
        assert_eq!((node.tick(), node.tick()), (1, 2));
        assert_eq!(node.heard_at(7), 8);
        assert_eq!(node.heard_at(3), 9);
        assert_eq!(node.tick(), 10);
        node.heard_at(u64::MAX);
    }
}
