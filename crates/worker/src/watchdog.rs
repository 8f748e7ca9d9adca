//! Finding handlers that block their threads.
//!
//! An `async fn` must not: while it does, its thread runs nothing else, neither time limit nor
//! cancellation can end it, and a few of them stop a worker. So it is named, and the others get new
//! threads (`threads.rs`).

use crate::exit::Exit;
use crate::held::Held;
use crate::shared::Shared;
use crate::threads::Health;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// How often is looked.
const TICK: Duration = Duration::from_millis(100);

/// From when on a handler is said to block its thread. Said again each time it has taken ten times
/// as long.
const SUSPICIOUS: Duration = Duration::from_secs(1);

/// How long a handler is on its thread.
#[derive(Debug, Default)]
pub(crate) struct OnThread {
    /// Since when it has been there, in milliseconds since the worker began, plus one. Zero: it is not.
    since: AtomicU64,
    /// How many milliseconds it was there when it came to its end.
    last: AtomicU64,
}

impl OnThread {
    /// For how long it has been on its thread.
    fn elapsed(&self, began: Instant) -> Option<(u64, Duration)> {
        let since = self.since.load(Ordering::Relaxed);
        let on_thread = Duration::from_millis(since.checked_sub(1)?);
        Some((since, began.elapsed().saturating_sub(on_thread)))
    }

    /// For how long it was on its thread when it came to its end, in whole milliseconds.
    pub(crate) fn last_poll(&self) -> Duration {
        Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

/// A handler that can be watched.
pub(crate) struct Watched<'a, F> {
    pub(crate) handler: F,
    pub(crate) on_thread: &'a OnThread,
    /// When the worker began.
    pub(crate) began: Instant,
}

impl<F: Future + Unpin> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let began = self.began;
        let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (since, on_thread) = (now(), self.on_thread);
        on_thread
            .since
            .store(since.saturating_add(1), Ordering::Relaxed);
        let polled = Pin::new(&mut self.handler).poll(cx);
        on_thread.since.store(0, Ordering::Relaxed);
        if polled.is_ready() {
            on_thread.last.store(now() - since, Ordering::Relaxed);
        }
        polled
    }
}

/// Looks until it is dropped. Only of use on a thread that no handler can block.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watchdog = Watchdog {
        shared,
        said: HashMap::new(),
    };
    loop {
        ticks.tick().await;
        watchdog.look();
    }
}

struct Watchdog {
    shared: Arc<Shared>,
    /// What was said about whom: by task and beginning, how long it must take to be said again.
    said: HashMap<(Box<str>, u64), Duration>,
}

impl Watchdog {
    fn look(&mut self) {
        if self.shared.counts.running() == 0 {
            return self.said.clear();
        }
        let blocking = self.blocking();
        self.tell(&blocking);
        match self.shared.threads.look() {
            Health::Fine => {}
            Health::Relieved => {
                let count = blocking.len();
                tracing::error!(
                    count,
                    "handlers block all threads; new tasks get new threads"
                );
            }
            // Threads may be slow to answer for other reasons, too.
            Health::Stuck if blocking.is_empty() => {}
            Health::Stuck => {
                let tasks = blocking.iter().map(|it| it.held.envelope.id.clone());
                self.shared.end(Exit::Hung {
                    tasks: tasks.collect(),
                });
            }
        }
    }

    fn blocking(&self) -> Vec<Blocking> {
        let began = self.shared.began;
        let look_at = |held: &Arc<Held>| {
            let (since, elapsed) = held.on_thread.elapsed(began)?;
            let held = held.clone();
            (elapsed >= SUSPICIOUS).then_some(Blocking {
                held,
                since,
                elapsed,
            })
        };
        self.shared.guard.held(look_at)
    }

    fn tell(&mut self, blocking: &[Blocking]) {
        let mut said = HashMap::new();
        for Blocking {
            held,
            since,
            elapsed,
        } in blocking
        {
            let (id, name) = (&held.envelope.id, &held.envelope.name);
            let key = (Box::from(id.as_str()), *since);
            let mut next = self.said.get(&key).copied().unwrap_or(SUSPICIOUS);
            if *elapsed >= next {
                let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(task_id = %id, task_name = %name, elapsed_ms, "an async handler blocks its thread: register it with handle_blocking, or let cx.spawn_blocking do what blocks");
                next = *elapsed * 10;
            }
            said.insert(key, next);
        }
        self.said = said;
    }
}

/// A handler that has been on its thread for too long.
struct Blocking {
    held: Arc<Held>,
    since: u64,
    elapsed: Duration,
}
