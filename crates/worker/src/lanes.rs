//! Where executions begin: in lanes, each of which takes one delivery after the other.
//!
//! Most tasks are over before they first wait for anything, and a runtime's task for each of them
//! costs as much as the rest of a short one. So a lane polls an execution once, and only one that
//! waits goes on as a task of its own. There are as many lanes as the runtime has threads: a handler
//! that keeps its thread holds up no more than it would anyway. One that keeps its lane but not the
//! runtime's thread (`block_in_place`) gets its lane replaced.

use crate::execute::execute;
use crate::panic;
use crate::shared::Shared;
use counterfoil_toolbox::transport::Delivery;
use futures::FutureExt;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::runtime::Handle;

/// Deliveries may wait for a lane this long before there is another one.
pub(crate) const PATIENCE: Duration = Duration::from_millis(10);

/// The lanes of one queue.
#[derive(Debug)]
pub(crate) struct Lanes {
    shared: Arc<Shared>,
    line: Arc<Mutex<Line>>,
    /// How many there may be.
    most: usize,
    /// How many deliveries had been taken at the last look.
    taken_before: u64,
}

/// What waits for a lane.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Delivery>,
    /// Lanes that there are.
    open: usize,
    /// Deliveries that lanes took so far.
    taken: u64,
}

impl Lanes {
    /// No lane yet. To be called within the runtime that executions run on.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            line: Arc::default(),
            most: Handle::current().metrics().num_workers(),
            taken_before: 0,
        }
    }

    /// Begins the execution of `deliveries`, in this order, as soon as there is a thread for it.
    pub(crate) fn begin(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let more = {
            let mut line = locked(&self.line);
            line.waiting.extend(deliveries);
            let more = self.most.saturating_sub(line.open).min(line.waiting.len());
            line.open += more;
            more
        };
        (0..more).for_each(|_| self.open_one());
    }

    /// Whether something waits for a lane.
    pub(crate) fn is_late(&self) -> bool {
        !locked(&self.line).waiting.is_empty()
    }

    /// Opens another lane if nothing was taken since this was last called.
    pub(crate) fn replace_stuck(&mut self) {
        let is_stuck = {
            let mut line = locked(&self.line);
            let is_stuck = line.taken == self.taken_before && !line.waiting.is_empty();
            self.taken_before = line.taken;
            line.open += usize::from(is_stuck);
            is_stuck
        };
        if is_stuck {
            self.open_one();
        }
    }

    fn open_one(&self) {
        let lane = lane(self.shared.clone(), self.line.clone());
        self.shared.executions.spawn(lane);
    }
}

async fn lane(shared: Arc<Shared>, line: Arc<Mutex<Line>>) {
    while let Some(delivery) = take(&line) {
        begin(&shared, delivery);
        // Others want to run too, and this never waits for anything.
        tokio::task::coop::consume_budget().await;
    }
}

/// The next delivery. `None`: there is none, and the lane ends.
fn take(line: &Mutex<Line>) -> Option<Delivery> {
    let mut line = locked(line);
    match line.waiting.pop_front() {
        Some(delivery) => {
            line.taken += 1;
            Some(delivery)
        }
        None => {
            line.open -= 1;
            None
        }
    }
}

/// Executes until the first wait.
fn begin(shared: &Arc<Shared>, delivery: Delivery) {
    let mut execution = Box::pin(execute(shared.clone(), delivery));
    // Whoever wakes it meanwhile wakes nobody: it is polled again at once.
    match panic::catch(|| execution.as_mut().now_or_never()) {
        Ok(Some(())) => {}
        Ok(None) => drop(shared.executions.spawn(execution)),
        // Handlers are caught by themselves. Unsettled, its message comes back with its channel.
        Err(note) => tracing::error!(error = note.message, "an execution panicked"),
    }
}

fn locked(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().expect("no code panics while it holds the lock")
}
