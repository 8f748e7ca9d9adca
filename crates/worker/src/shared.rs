//! What all executions of one worker share.

use crate::consumers::Consumers;
use crate::control::Control;
use crate::exit::Exit;
use crate::guard::Guard;
use crate::held::Held;
use crate::hung::Hung;
use crate::layer::HandlerService;
use crate::metrics::Metrics;
use crate::queues::Declarations;
use crate::registry::{Registered, Registry};
use crate::report::Reporter;
use crate::say::Extensions;
use crate::slots::Slots;
use crate::states::States;
use crate::stop::Stop;
use crate::threads::Threads;
use crate::tokens::Tokens;
use counterfoil_toolbox::delay::addressee;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::producer::Observer;
use counterfoil_toolbox::task::Ack;
use counterfoil_toolbox::topology::{DelayLevels, Names};
use counterfoil_toolbox::transport::{Delivery, Publisher, PublisherOptions, Transport};
use counterfoil_toolbox::{Producer, TaskId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};
use tokio::sync::SetOnce;
use tokio_util::task::TaskTracker;

/// One running worker.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: WorkerId,
    pub(crate) names: Names,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) states: Arc<States>,
    /// What is around every handler.
    pub(crate) layers: HandlerService,
    pub(crate) extensions: Extensions,
    pub(crate) services: Services,
    pub(crate) limits: Limits,
    pub(crate) senders: Senders,
    pub(crate) reporter: Reporter,
    pub(crate) guard: Guard,
    pub(crate) tokens: Tokens,
    pub(crate) consumers: Consumers,
    /// How its queues are declared, as far as it declares them.
    pub(crate) declarations: Declarations,
    /// Places for handlers that run at the same time.
    pub(crate) slots: Arc<Slots>,
    pub(crate) stop: Stop,
    /// Where handlers run.
    pub(crate) threads: Threads,
    /// When this worker began.
    pub(crate) began: Instant,
    /// What people have asked of it.
    pub(crate) control: Control,
    /// Every execution.
    pub(crate) executions: TaskTracker,
    pub(crate) counts: Counts,
    pub(crate) metrics: Metrics,
    pub(crate) hung: Hung,
    /// How the worker ends though nobody asked it to.
    pub(crate) ending: SetOnce<Exit>,
    /// Tasks that were started here and given back unfinished, because the worker stops.
    pub(crate) given_back: Mutex<Vec<TaskId>>,
    /// When the last sign of life that was heard was begun.
    pub(crate) heard: Mutex<Option<tokio::time::Instant>>,
}

impl Shared {
    /// Tasks that were started here and will run elsewhere: given back, or not settled yet.
    pub(crate) fn left_behind(&self) -> Vec<TaskId> {
        let mut left = self.guard.held_ids();
        for id in std::mem::take(&mut *self.given_back()) {
            // One whose last event was not confirmed is both.
            if !left.contains(&id) {
                left.push(id);
            }
        }
        left
    }

    /// A sign of life was heard that was begun then.
    pub(crate) fn was_heard(&self, begun: tokio::time::Instant) {
        *self
            .heard
            .lock()
            .expect("no code panics while it holds the lock") = Some(begun);
    }

    /// Whether a task that this worker has taken over may be somebody else's by now: nobody has heard of it
    /// for its whole lease.
    pub(crate) fn may_be_lost(&self, held: &Held) -> bool {
        let Some(taken) = held.taken_over() else {
            return false;
        };
        let heard = *self
            .heard
            .lock()
            .expect("no code panics while it holds the lock");
        let last = heard.map_or(taken.since, |heard| heard.max(taken.since));
        last.elapsed() >= Duration::from_millis(taken.lease.ms.into())
    }

    /// The worker cannot go on: it drains, and ends like this. The first reason counts.
    pub(crate) fn end(&self, how: Exit) {
        // An error: there is a reason already.
        let _ = self.ending.set(how);
    }

    /// See the field.
    pub(crate) fn given_back(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.given_back
            .lock()
            .expect("no code panics while it holds the lock")
    }
}

/// Limits that hold for every task.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Of tasks that have none of their own.
    pub(crate) time: Option<Duration>,
    /// No task may run for longer than this before its message is acknowledged: see
    /// [`longest_run`](counterfoil_toolbox::task::longest_run).
    pub(crate) longest: Duration,
    /// How long any task may wait here for a place. With `longest`, it stays below what the broker allows.
    pub(crate) shortest_wait: Duration,
    pub(crate) result_bytes: usize,
    /// Milliseconds of silence after which a task that the worker has taken over is lost.
    pub(crate) lease_ms: u32,
    /// Somebody has been told that a time limit was lowered.
    pub(crate) told: Once,
    /// Somebody has been told that a task is acknowledged late although its type says early.
    pub(crate) told_late: Once,
}

/// A time limit that a clock can add to the present: a hundred years at most.
fn addable(limit: Duration) -> Duration {
    limit.min(Duration::from_hours(24 * 365 * 100))
}

impl Limits {
    /// How long one execution may take. The sender's word goes before the task's, and that before
    /// the worker's, but none of them can make the broker wait.
    pub(crate) fn time_of(&self, held: &Held, task: &Registered) -> RunFor {
        let (hard_of_task, soft_of_task) = task.time_limits();
        let asked = held.envelope.time_limits.hard;
        let asked = asked.or(hard_of_task);
        // The broker takes tokens back too.
        let by_token = task.options.max_concurrency_global.is_some();
        let hard = match self.ack_of(held, task) {
            Ack::Early if !by_token => asked,
            Ack::Early => Some(self.as_the_broker_allows(asked, held)),
            Ack::Late => Some(self.as_the_broker_allows(asked.or(self.time), held)),
        };
        let soft = held.envelope.time_limits.soft;
        let soft = soft.or(soft_of_task);
        // Senders may write any number.
        let (hard, soft) = (hard.map(addable), soft.map(addable));
        RunFor {
            hard,
            soft: soft.filter(|soft| hard.is_none_or(|hard| *soft < hard)),
        }
    }

    /// When the task's message is acknowledged. One that was put straight into its queue has no tracking
    /// copy from which the platform could send it again, so it stays the broker's until it is over.
    pub(crate) fn ack_of(&self, held: &Held, task: &Registered) -> Ack {
        if task.options.ack == Ack::Early && held.exchange.is_default() {
            self.told_late.call_once(|| {
                let Envelope { id, name, .. } = &held.envelope;
                let reason = "it was published to its queue and not to the task exchange";
                tracing::warn!(task_id = %id, task_name = %name, reason, "a task is acknowledged late, and its time limit is lowered: nobody could send it again");
            });
            return Ack::Late;
        }
        task.options.ack
    }

    /// How long the task may wait for a place here: then it would be taken back before it is over.
    pub(crate) fn wait_of(&self, held: &Held, task: &Registered) -> Duration {
        let runs_for = match self.ack_of(held, task) {
            Ack::Early => Duration::ZERO,
            Ack::Late => self.time_of(held, task).hard.unwrap_or(self.longest),
        };
        self.longest
            .saturating_sub(runs_for)
            .max(self.shortest_wait)
    }

    fn as_the_broker_allows(&self, asked: Option<Duration>, held: &Held) -> Duration {
        if let Some(asked) = asked.filter(|asked| *asked <= self.longest) {
            return asked;
        }
        self.told.call_once(|| {
            let asked = asked.map_or("no time limit".to_owned(), |asked| format!("{asked:?}"));
            let reason = format!("{asked} is longer than the {:?} that are possible", self.longest);
            let Envelope { id, name, .. } = &held.envelope;
            tracing::warn!(task_id = %id, task_name = %name, reason, "time limits are lowered: the broker takes messages back");
        });
        self.longest
    }
}

/// How long one execution may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunFor {
    /// Then it is ended. `None`: it may take as long as it likes.
    pub(crate) hard: Option<Duration>,
    /// Then its handler is told. `None`: never, or not before the end.
    pub(crate) soft: Option<Duration>,
}

/// The ways out. Events have a publisher of their own, in the reporter's hands.
#[derive(Debug)]
pub(crate) struct Senders {
    /// Child tasks.
    pub(crate) producer: Producer,
    /// Who is told of them, and of tasks that follow.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Retry copies and signs of life.
    pub(crate) copies: Publisher,
    pub(crate) levels: DelayLevels,
    /// Dead letters, and what the worker says when it takes a task over. Mandatory: what no queue wants
    /// would be confirmed and lost.
    pub(crate) mandatory: Publisher,
}

impl Senders {
    /// `observer` is told of tasks that are sent.
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: &Names,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let mut producer = Producer::builder(transport.clone(), names.clone()).patient();
        if let Some(observer) = &observer {
            producer = producer.observer(Arc::clone(observer));
        }
        Self {
            producer: producer.build(),
            observer,
            copies: transport.publisher(PublisherOptions::default()),
            levels: DelayLevels::default(),
            mandatory: transport.publisher(PublisherOptions::mandatory()),
        }
    }
}

/// Services under which this worker reports.
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

    /// The service to report a task of `service` under: that of its queue, which the broker lets us
    /// speak for, if the task was sent there by its key or is of a service that we have nothing to do
    /// with. Of any other task the platform believes only what is said in the name of its service.
    pub(crate) fn speak_for(&self, service: &str, delivery: &Delivery) -> Arc<str> {
        let own = self.names.service_of(&delivery.queue);
        let by_key = !delivery.exchange.is_default();
        let came_by_key = by_key && addressee(delivery.routing_key.as_str()) == own;
        let ours = self.by_name.get(service).filter(|_| !came_by_key);
        let speaks = ours.or_else(|| self.by_name.get(own));
        speaks.cloned().unwrap_or_else(|| service.into())
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
