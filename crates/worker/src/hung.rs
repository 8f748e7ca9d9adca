//! Blocking code that goes on although its task is over.
//!
//! A thread cannot be ended from outside. All that can be done is to ask it to leave, to say whose
//! it is, and to end the process when too many do not leave: each takes up a place for good.

use crate::exit::Exit;
use crate::held::Held;
use crate::shared::Shared;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::Envelope;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How long a handler that was asked to leave may take before it counts as one that hangs.
const GRACE: Duration = Duration::from_secs(10);

/// The tasks whose handlers hang.
#[derive(Debug)]
pub(crate) struct Hung {
    tasks: Mutex<Vec<TaskId>>,
    /// So many are too many.
    limit: AtomicUsize,
}

impl Hung {
    /// Half of the places may be taken by handlers that hang.
    pub(crate) fn new(concurrency: u16) -> Self {
        let hung = Self {
            tasks: Mutex::default(),
            limit: AtomicUsize::new(0),
        };
        hung.has_places(concurrency);
        hung
    }

    /// There are so many places from now on.
    pub(crate) fn has_places(&self, count: u16) {
        let limit = usize::from(count.div_ceil(2));
        self.limit.store(limit, Ordering::Relaxed);
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.tasks
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

/// Waits for the end of blocking code whose task is over, or of the worker. `thread` is what awaits
/// it.
pub(crate) async fn see_off<T>(
    shared: Arc<Shared>,
    held: Arc<Held>,
    thread: impl Future<Output = T> + Unpin,
) {
    let draining = shared.stop.draining();
    draining
        .run_until_cancelled(wait(&shared, &held, thread))
        .await;
}

async fn wait<T>(shared: &Shared, held: &Held, mut thread: impl Future<Output = T> + Unpin) {
    if tokio::time::timeout(GRACE, &mut thread).await.is_ok() {
        return;
    }
    let Envelope { id, name, .. } = &held.envelope;
    let hung = {
        let mut tasks = shared.hung.tasks();
        tasks.push(id.clone());
        tasks.clone()
    };
    let count = hung.len();
    tracing::error!(task_id = %id, task_name = %name, count, "blocking code of a handler hangs: it keeps its thread until it ends");
    if count >= shared.hung.limit.load(Ordering::Relaxed) {
        shared.end(Exit::Hung { tasks: hung });
    }
    thread.await;
    tracing::info!(task_id = %id, task_name = %name, "blocking code that hung has ended");
    let mut tasks = shared.hung.tasks();
    if let Some(at) = tasks.iter().position(|task| task == id) {
        tasks.swap_remove(at);
    }
}
