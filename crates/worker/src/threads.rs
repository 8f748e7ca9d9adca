//! The threads that handlers run on.
//!
//! Consuming, reporting and heartbeats have a thread of their own, the transport's, so a handler
//! that blocks its thread starves none of them. Handlers share the threads of the runtime that the
//! worker was started on. When all of those are blocked, new tasks go to a runtime beside it: the
//! watchdog (`watchdog.rs`) sees to that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};

/// How long all threads of a runtime may be busy without a look at anything else.
const STUCK: Duration = Duration::from_millis(400);

/// Runtimes beside the first one, at most. When they are blocked too, nothing helps but a new
/// process.
const MOST_SPARES: usize = 3;

/// Threads of a spare runtime, at least.
const SPARE_THREADS: usize = 2;

/// Where handlers run.
#[derive(Debug)]
pub(crate) struct Threads {
    pools: Mutex<Pools>,
}

#[derive(Debug)]
struct Pools {
    /// The runtime of the worker first, then those beside it.
    pools: Vec<Pool>,
    /// Where new tasks go.
    current: usize,
    /// They end with the worker.
    spares: Vec<Runtime>,
}

#[derive(Debug)]
struct Pool {
    handle: Handle,
    canary: Canary,
}

/// Something small to do, to see whether a runtime still does anything.
#[derive(Debug)]
struct Canary {
    answered: Arc<AtomicBool>,
    sent_at: Instant,
}

/// What a look at the threads found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// New tasks find a thread.
    Fine,
    /// All threads were blocked, so there are new ones now.
    Relieved,
    /// All threads are blocked, and there will be no new ones.
    Stuck,
}

impl Threads {
    /// The threads of `home`, and others when they are needed.
    pub(crate) fn new(home: Handle) -> Self {
        let pools = Pools {
            pools: vec![Pool::new(home)],
            current: 0,
            spares: Vec::new(),
        };
        Self {
            pools: Mutex::new(pools),
        }
    }

    /// Where new tasks go.
    pub(crate) fn current(&self) -> Handle {
        let pools = self.pools();
        pools.pools[pools.current].handle.clone()
    }

    /// Sees whether new tasks would find a thread, and gets some if not.
    pub(crate) fn look(&self) -> Health {
        let mut pools = self.pools();
        let healthy = pools.pools.iter_mut().map(Pool::is_healthy);
        // Every pool must be asked, or its canary would answer an old question.
        let healthy: Vec<_> = healthy.collect();
        if let Some(at) = healthy.iter().position(|healthy| *healthy) {
            pools.current = at;
            return Health::Fine;
        }
        if pools.spares.len() == MOST_SPARES {
            return Health::Stuck;
        }
        match spare() {
            Ok(spare) => {
                pools.pools.push(Pool::new(spare.handle().clone()));
                pools.current = pools.pools.len() - 1;
                pools.spares.push(spare);
                Health::Relieved
            }
            Err(error) => {
                tracing::error!(%error, "no more threads could be started");
                Health::Stuck
            }
        }
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for spare in std::mem::take(&mut self.pools().spares) {
            // Some of its threads are blocked, perhaps for ever.
            spare.shutdown_background();
        }
    }
}

impl Pool {
    fn new(handle: Handle) -> Self {
        let canary = Canary::send(&handle);
        Self { handle, canary }
    }

    fn is_healthy(&mut self) -> bool {
        if self.canary.answered.load(Ordering::Relaxed) {
            self.canary = Canary::send(&self.handle);
            return true;
        }
        self.canary.sent_at.elapsed() < STUCK
    }
}

impl Canary {
    fn send(to: &Handle) -> Self {
        let answered = Arc::new(AtomicBool::new(false));
        let answer = answered.clone();
        to.spawn(async move { answer.store(true, Ordering::Relaxed) });
        Self {
            answered,
            sent_at: Instant::now(),
        }
    }
}

fn spare() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.max(SPARE_THREADS))
        .thread_name("counterfoil-spare")
        .enable_all()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn new_tasks_go_elsewhere_while_all_threads_are_blocked_and_come_back_afterwards() {
        let home = Builder::new_multi_thread().worker_threads(1).build();
        let home = home.expect("a thread");
        let threads = Threads::new(home.handle().clone());
        let (release, blocked) = mpsc::channel::<()>();
        let (has_begun, begun) = mpsc::channel();
        home.spawn(async move {
            has_begun.send(()).expect("the test listens");
            let _ = blocked.recv();
        });
        begun.recv().expect("it runs");
        // Until the canary that may have answered before is replaced by one that cannot.
        let until = |wanted: Health| while threads.look() != wanted {};
        until(Health::Relieved);
        let ran = threads.current().spawn(async { 7 });
        assert_eq!(home.block_on(ran).expect("it ran"), 7);
        drop(release);
        while threads.current().id() != home.handle().id() {
            threads.look();
        }
        assert_eq!(threads.look(), Health::Fine);
    }
}
