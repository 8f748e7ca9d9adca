//! Where executions begin: in lanes, each of which takes one delivery after the other. Read
//! `consume.rs` first, `execute.rs` next.
//!
//! Most tasks are over before they first wait for anything, and a runtime's task for each of them
//! costs as much as the rest of a short one. So a lane polls an execution once, and only one that
//! waits goes on as a task of its own. There are as many lanes as the runtime has threads, so a
//! handler that keeps its thread holds up no more than it would anyway. Lanes that take nothing for
//! a while although something waits are written off, and others take their place: their handlers
//! may keep them without keeping a thread (`block_in_place`).

use crate::execute::execute;
use crate::panic;
use crate::shared::Shared;
use counterfoil_toolbox::transport::{Delivery, Requeue};
use futures::FutureExt;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may be taken before the lanes are written off.
const PATIENCE: Duration = Duration::from_millis(10);

/// How long a lane goes on before it lets others run on its thread.
const TURN: Duration = Duration::from_millis(1);

/// The lanes of one queue.
#[derive(Debug)]
pub(crate) struct Lanes {
    shared: Arc<Shared>,
    line: Arc<Mutex<Line>>,
    /// How many there may be.
    most: usize,
}

/// What waits for a lane.
#[derive(Debug)]
struct Line {
    waiting: VecDeque<Delivery>,
    /// Lanes that there are, without those that were written off.
    open: usize,
    /// Which lanes those are: older ones were written off.
    generation: u64,
    /// When a delivery was taken, or began to wait after a time when none did.
    moved_at: Instant,
}

impl Lanes {
    /// No lane yet.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let line = Line {
            waiting: VecDeque::new(),
            open: 0,
            generation: 0,
            moved_at: Instant::now(),
        };
        Self {
            most: shared.threads.current().metrics().num_workers(),
            shared,
            line: Arc::new(Mutex::new(line)),
        }
    }

    /// Begins the execution of `deliveries`, in this order, as soon as there is a thread for it.
    pub(crate) fn begin(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let mut line = locked(&self.line);
        if line.waiting.is_empty() {
            line.moved_at = Instant::now();
        }
        line.waiting.extend(deliveries);
        self.open_lanes(line);
    }

    /// When to look whether the lanes are stuck; `None` while nothing waits for one.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        let line = locked(&self.line);
        (!line.waiting.is_empty()).then(|| line.moved_at + PATIENCE)
    }

    /// Replaces the lanes if they are stuck.
    pub(crate) fn look(&self) {
        let mut line = locked(&self.line);
        let now = Instant::now();
        if !line.waiting.is_empty() && line.moved_at + PATIENCE <= now {
            line.generation += 1;
            line.open = 0;
            line.moved_at = now;
            self.open_lanes(line);
        }
    }

    /// Gives back what waits for a lane.
    pub(crate) fn give_back(&self) {
        let waiting = std::mem::take(&mut locked(&self.line).waiting);
        for delivery in waiting {
            // Stale: it goes back anyway.
            let _ = delivery.nack(Requeue::Yes);
        }
    }

    fn open_lanes(&self, mut line: MutexGuard<'_, Line>) {
        let more = self.most.saturating_sub(line.open).min(line.waiting.len());
        let generation = line.generation;
        line.open += more;
        drop(line);
        if more == 0 {
            return;
        }
        let threads = self.shared.threads.current();
        for _ in 0..more {
            let lane = lane(self.shared.clone(), self.line.clone(), generation);
            self.shared.executions.spawn_on(lane, &threads);
        }
    }
}

async fn lane(shared: Arc<Shared>, line: Arc<Mutex<Line>>, generation: u64) {
    let mut since = Instant::now();
    while let Some((delivery, now)) = take(&line, generation) {
        let waits = begin(&shared, delivery);
        // What waits stands first in this thread's line, where no other thread can get it.
        if waits || now - since >= TURN {
            tokio::task::yield_now().await;
            since = Instant::now();
        }
    }
}

/// The next delivery, and the time. `None`: there is none for this lane, and it ends.
fn take(line: &Mutex<Line>, generation: u64) -> Option<(Delivery, Instant)> {
    let mut line = locked(line);
    if line.generation != generation {
        return None;
    }
    match line.waiting.pop_front() {
        Some(delivery) => {
            line.moved_at = Instant::now();
            Some((delivery, line.moved_at))
        }
        None => {
            line.open -= 1;
            None
        }
    }
}

/// Executes until the first wait. `true`: it waits, and goes on by itself.
fn begin(shared: &Arc<Shared>, delivery: Delivery) -> bool {
    let mut execution = Box::pin(execute(shared.clone(), delivery));
    // Whoever wakes it meanwhile wakes nobody: it is polled again at once.
    match panic::catch(|| execution.as_mut().now_or_never()) {
        Ok(Some(())) => false,
        Ok(None) => {
            shared.executions.spawn(execution);
            true
        }
        // It catches its own: this one is of whatever it left behind.
        Err(note) => {
            tracing::error!(error = note.message, "an execution panicked");
            false
        }
    }
}

fn locked(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().expect("no code panics while it holds the lock")
}
