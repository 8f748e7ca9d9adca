//! What the worker is to other nodes of Celery: a name, a clock, and what is asked of its events.

use counterfoil_toolbox::ids::WorkerId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// A node: one worker, however many parts of this crate speak for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    name: OnceLock<Box<str>>,
    clock: AtomicU64,
    tells_of_tasks: AtomicBool,
    beat: Notify,
}

impl Node {
    /// Gives it a name, unless it has one. In it stand `%h` for the name of the host, `%n` for the part of that before
    /// its first dot and `%d` for the rest, as Celery has them, and `%%` for `%`.
    pub(crate) fn named(&self, name: &str, host: &str) {
        // An error: it has one.
        let _ = self.0.name.set(named(name, host).into());
    }

    /// Its name: the id of `worker`, unless it was given another before.
    pub(crate) fn name(&self, worker: &WorkerId) -> &str {
        self.0.name.get_or_init(|| worker.as_str().into())
    }

    /// The time of something that happens here: Lamport's clock.
    pub(crate) fn tick(&self) -> u64 {
        self.0.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What happens here from now on is later than what others have told at this time. Returns the new time.
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
    pub(crate) fn beat(&self) {
        self.0.beat.notify_one();
    }

    /// Completes when a sign of life was asked for.
    pub(crate) async fn is_asked_to_beat(&self) {
        self.0.beat.notified().await;
    }
}

/// A name with what stands in it for parts of the host's name.
fn named(name: &str, host: &str) -> String {
    let (first, rest) = host.split_once('.').unwrap_or((host, ""));
    let mut named = String::new();
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            named.push(letter);
            continue;
        }
        match letters.next() {
            Some('h') => named.push_str(host),
            Some('n') => named.push_str(first),
            Some('d') => named.push_str(rest),
            Some('%') | None => named.push('%'),
            Some(other) => named.extend(['%', other]),
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_parts_of_the_hosts_name_as_celery_has_them() {
        let told = |name| named(name, "web1.example.com");
        assert_eq!(told("w1@%h"), "w1@web1.example.com");
        assert_eq!(told("%n@%d"), "web1@example.com");
        assert_eq!(told("100%%@%x%"), "100%@%x%");
        let (node, worker) = (Node::default(), "a@b.1.c".parse().expect("valid"));
        assert_eq!(node.name(&worker), "a@b.1.c");
        node.named("late", "b");
        assert_eq!(node.name(&worker), "a@b.1.c");
    }

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
