//! What all executions of one worker share.

use crate::guard::Guard;
use crate::registry::Registry;
use crate::report::Reporter;
use crate::states::States;
use crate::stop::Stop;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::{DelayLevels, Names};
use counterfoil_toolbox::transport::{Publisher, PublisherOptions, Transport};
use counterfoil_toolbox::{Producer, TaskId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// One running worker.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: WorkerId,
    pub(crate) names: Names,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) states: Arc<States>,
    pub(crate) services: Services,
    pub(crate) limits: Limits,
    pub(crate) senders: Senders,
    pub(crate) reporter: Reporter,
    pub(crate) guard: Guard,
    /// Places for handlers that run at the same time.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) stop: Stop,
    /// Every execution.
    pub(crate) executions: TaskTracker,
    pub(crate) counts: Counts,
    /// Tasks that were started here and given back unfinished, because the worker stops.
    pub(crate) given_back: Mutex<Vec<TaskId>>,
}

impl Shared {
    /// Tasks that were started here and will run elsewhere: given back, or not settled yet.
    pub(crate) fn left_behind(&self) -> Vec<TaskId> {
        let mut left = self.guard.held_ids();
        left.append(&mut self.given_back());
        left
    }

    /// See the field.
    pub(crate) fn given_back(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.given_back
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

/// Limits that hold for every task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) time: Option<Duration>,
    pub(crate) result_bytes: usize,
}

/// The ways out. Events have a publisher of their own, in the reporter's hands.
#[derive(Debug)]
pub(crate) struct Senders {
    /// Child tasks.
    pub(crate) producer: Producer,
    /// Retry copies and signs of life.
    pub(crate) copies: Publisher,
    pub(crate) levels: DelayLevels,
    /// Dead letters. Mandatory: a dead letter that no queue wants would be lost.
    pub(crate) dead: Publisher,
}

impl Senders {
    pub(crate) fn new(transport: &Arc<dyn Transport>, names: &Names) -> Self {
        Self {
            producer: Producer::new(transport.clone(), names.clone()),
            copies: transport.publisher(PublisherOptions::default()),
            levels: DelayLevels::default(),
            dead: transport.publisher(PublisherOptions::mandatory()),
        }
    }
}

/// Services under which this worker may report: those of its tasks and of its queues.
#[derive(Debug)]
pub(crate) struct Services {
    by_name: HashMap<Box<str>, Arc<str>>,
    names: Names,
}

impl Services {
    pub(crate) fn new<'a>(services: impl IntoIterator<Item = &'a str>, names: Names) -> Self {
        let entry = |service: &str| (service.into(), service.into());
        Self {
            by_name: services.into_iter().map(entry).collect(),
            names,
        }
    }

    /// The service to report a task of `service` under that came out of `queue`. One that is none
    /// of ours came to the wrong queue; the broker may not let us speak for it.
    pub(crate) fn speak_for(&self, service: &str, queue: &QueueName) -> Arc<str> {
        let ours = self.by_name.get(service);
        let ours = ours.or_else(|| self.by_name.get(self.names.service_of(queue)));
        ours.cloned().unwrap_or_else(|| service.into())
    }
}

/// What signs of life tell.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    running: AtomicU64,
    processed: AtomicU64,
}

impl Counts {
    /// Handlers that run now.
    pub(crate) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Executions that ended.
    pub(crate) fn processed(&self) -> u64 {
        self.processed.load(Ordering::Relaxed)
    }

    /// A handler runs until the answer is dropped.
    pub(crate) fn begin(&self) -> Counted<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Counted(self)
    }
}

/// One running handler.
#[derive(Debug)]
#[must_use]
pub(crate) struct Counted<'a>(&'a Counts);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.processed.fetch_add(1, Ordering::Relaxed);
    }
}
