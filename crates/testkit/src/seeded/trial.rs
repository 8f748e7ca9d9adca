//! One seed: a platform, its workers, and what happens to them.

use super::diary::{Diary, Entry};
use super::inject::inject_all;
use super::plan::{Planned, Weather, chance_of, pauses_of, plan, spread};
use super::process::Process;
use super::settled::Settled;
use super::told::{Told, listen};
use crate::MemoryPlatform;
use counterfoil_toolbox::chance::Stream;
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::{RawTask, SendError, SendOptions};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::{Producer, Task, TaskId};
use counterfoil_worker::layer::{Answer, Call, Next, from_fn};
use counterfoil_worker::{Worker, WorkerBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often a task is sent again that the broker did not take for certain.
const TRIES: u32 = 20;

/// Pause between two tries of what the broker did not take.
const PAUSE: Duration = Duration::from_secs(1);

/// One seed at work: a platform in memory of its own, workers on it that die and come again, and a broker that
/// misbehaves. Cheap to clone. [`Seeds`](crate::Seeds) shows it at work.
#[derive(Clone)]
pub struct Trial {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    seed: u64,
    pub(super) weather: Weather,
    /// Numbers of faults that do not happen.
    pub(super) left_out: BTreeSet<usize>,
    pub(super) platform: MemoryPlatform,
    producer: Producer,
    began: Instant,
    diary: Arc<Diary>,
    /// Tasks by the order in which they were heard of: their ids differ from one run to the next.
    numbers: Mutex<BTreeMap<TaskId, usize>>,
    pauses: Mutex<Stream>,
    chance: Mutex<Stream>,
    pub(super) processes: Mutex<Vec<Arc<Process>>>,
    pub(super) told: watch::Receiver<Told>,
    /// Faults that are still to come.
    planned: Mutex<Option<Vec<Planned>>>,
    /// All faults are over, and none comes any more.
    pub(super) is_calm: AtomicBool,
    pub(super) is_settled: AtomicBool,
    /// Workers that were told to stop.
    pub(super) leaving: Mutex<JoinSet<()>>,
    /// What its workers are there for.
    pub(super) queues: Mutex<BTreeSet<QueueName>>,
    pub(super) services: Mutex<BTreeSet<String>>,
    /// Tasks in dead queues, and why.
    pub(super) deaths: Mutex<BTreeMap<TaskId, String>>,
    /// What goes on beside the test: it ends with the runtime of the trial at the latest.
    pub(super) beside: Mutex<JoinSet<()>>,
}

impl Trial {
    pub(super) async fn begin(
        seed: u64,
        weather: &Weather,
        left_out: &BTreeSet<usize>,
        diary: Arc<Diary>,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let platform = MemoryPlatform::new().await?;
        let producer = Producer::builder(platform.transport(), platform.names().clone());
        let (tell, told) = watch::channel(Told::new());
        let queue = platform.names().events_queue.clone();
        let mut beside = JoinSet::new();
        beside.spawn(listen(platform.transport(), queue, tell));
        let inner = Inner {
            seed,
            weather: weather.clone(),
            left_out: left_out.clone(),
            platform,
            producer: producer.patient().build(),
            began,
            diary,
            numbers: Mutex::default(),
            pauses: Mutex::new(Stream::new(pauses_of(seed))),
            chance: Mutex::new(Stream::new(chance_of(seed))),
            processes: Mutex::default(),
            told,
            planned: Mutex::new(Some(plan(seed, weather))),
            is_calm: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
            leaving: Mutex::default(),
            queues: Mutex::default(),
            services: Mutex::default(),
            deaths: Mutex::default(),
            beside: Mutex::new(beside),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The platform in memory: names, transport, what was scheduled. Its producer gives up soon, as that of a
    /// program does in which somebody waits; [`Self::producer`] waits for a broker that is away.
    #[must_use]
    pub fn platform(&self) -> &MemoryPlatform {
        &self.inner.platform
    }

    /// A producer that waits for a broker that is away. Its sends fail when that takes too long: what your program
    /// does then is yours to test.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.inner.producer
    }

    /// One of `0..end`, drawn from the seed; 0 when that is empty. For all that differs from seed to seed in the test
    /// itself: how many tasks, which of them fail, how long a handler takes.
    ///
    /// ```
    /// # use counterfoil_testkit::Seeds;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// Seeds::new(5).run(async |trial| {
    ///     trial.worker(|worker| worker.handle(resize)).await?;
    ///     for n in 0..=trial.chance(3) {
    ///         trial.note(format!("picture {n}")); // shown with a failure
    ///         trial.send(Resize { width: 100 }).await?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn chance(&self, end: u64) -> u64 {
        lock(&self.inner.chance).below(end)
    }

    /// Starts a worker with default settings to which `add` adds handlers and state, in a process of its own:
    /// `add` is called again for every process that takes the place of one that was killed or replaced. What outlives a
    /// process (a database) is made outside and cloned in; what it makes anew is the memory of one process.
    /// Called twice, there are two workers. Faults begin with the first one.
    ///
    /// # Errors
    /// When the worker cannot be built: see [`WorkerBuilder::build`].
    pub async fn worker(
        &self,
        add: impl Fn(WorkerBuilder) -> WorkerBuilder + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let names = self.inner.platform.names().clone();
        let settings = WorkerSettings::default();
        let begin = move |transport| Worker::builder(transport, names.clone(), settings.clone());
        self.worker_over(move |transport| add(begin(transport)))
            .await
    }

    /// The same for a worker that `make` begins itself, on the transport that it is given: one with settings of its
    /// own, or with something of yours between it and the broker.
    ///
    /// ```
    /// # use counterfoil_toolbox::config::WorkerSettings;
    /// # use counterfoil_worker::Worker;
    /// # use counterfoil_testkit::Seeds;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Resize { width: u32 }
    /// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
    /// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
    /// Seeds::new(5).run(async |trial| {
    ///     let names = trial.platform().names().clone();
    ///     let slow = WorkerSettings { concurrency: 1, ..WorkerSettings::default() };
    ///     let make = move |broker| Worker::builder(broker, names.clone(), slow.clone()).handle(resize);
    ///     trial.worker_over(make).await?;
    ///     trial.send(Resize { width: 100 }).await?;
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    /// See [`Self::worker`].
    pub async fn worker_over(
        &self,
        make: impl Fn(Arc<dyn Transport>) -> WorkerBuilder + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let inner = &self.inner;
        let number = lock(&inner.processes).len() + 1;
        let trial = Arc::downgrade(inner);
        let around = move |call, next| in_turn(trial.clone(), number, call, next);
        let build = move |transport| make(transport).layer(from_fn(around.clone())).build();
        let process = Arc::new(Process::new(number, Box::new(build)));
        let worker = process.build(&inner.platform)?;
        // The broker may be away by now, if this is not the first one.
        let mut tries = 0;
        while let Err(error) = inner.platform.declare_for(&worker).await {
            tries += 1;
            anyhow::ensure!(tries < TRIES, error);
            tokio::time::sleep(PAUSE).await;
        }
        let names = inner.platform.names();
        let services = worker
            .queues()
            .iter()
            .map(|queue| names.service_of(queue).to_owned());
        lock(&inner.services).extend(services);
        lock(&inner.queues).extend(worker.queues().iter().cloned());
        drop(worker);
        process.start(&inner.platform)?;
        inner.note(format!("{process} starts"));
        lock(&inner.processes).push(process);
        if let Some(planned) = lock(&inner.planned).take() {
            let injecting = inject_all(Arc::downgrade(inner), planned);
            lock(&inner.beside).spawn(injecting);
        }
        Ok(())
    }

    /// Sends a task, and sends it again under the same id until the broker has confirmed it.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be sent at all.
    pub async fn send<T: Task>(&self, task: T) -> Result<TaskId, SendError> {
        let inner = &self.inner;
        inner.pause().await;
        let raw = RawTask::of(&task)?;
        let id = TaskId::random();
        let number = inner.number_of(&id);
        let mut tries = 0;
        loop {
            let options = SendOptions::new().id(id.clone());
            let Err(error) = inner.producer.send_raw(raw.clone(), options).await else {
                inner.note(format!("{} #{number} is sent", T::NAME));
                return Ok(id);
            };
            let may_work = matches!(
                error,
                SendError::QueueFull { .. }
                    | SendError::Unknown { .. }
                    | SendError::Refused { .. }
                    | SendError::BrokerUnavailable { .. }
                    | SendError::Levels(_)
            );
            tries += 1;
            if !may_work || tries == TRIES {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until every task of the trial's workers is over, and checks the books: see [`Settled`]. Faults go on
    /// meanwhile, and end when the last task is over. The workers have drained when this returns.
    ///
    /// Every task must end in a terminal state, or be dead with a reason. Once the faults are over and the workers
    /// have drained, no message may be left in their queues and none on its way there. A task that was acknowledged
    /// early ([`Ack::Early`](counterfoil_toolbox::Ack::Early)) and whose worker is gone is sent again when its lease
    /// has ended, as `counterfoil-sync` does.
    ///
    /// # Errors
    /// What is lost or left, each task by its number, type and last word.
    pub async fn settle(&self) -> anyhow::Result<Settled> {
        self.inner.is_settled.store(true, Ordering::Relaxed);
        super::settle::settle(&self.inner).await
    }

    /// The books of a test that did not ask for them.
    pub(super) async fn settle_unless_settled(&self) -> anyhow::Result<()> {
        if !self.inner.is_settled.load(Ordering::Relaxed) {
            self.settle().await?;
        }
        Ok(())
    }

    /// What happened so far, a line each: workers, executions, injected faults, and what the test
    /// [noted](Self::note). Two runs of a seed have the same lines.
    #[must_use]
    pub fn diary(&self) -> Vec<String> {
        let entries = self.inner.diary.entries();
        entries.iter().map(Entry::to_string).collect()
    }

    /// Writes a line into the diary that a failure shows.
    pub fn note(&self, what: impl Into<String>) {
        self.inner.note(what.into());
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Trial");
        debug
            .field("seed", &self.inner.seed)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn note(&self, what: String) {
        self.diary.note(self.began.elapsed(), what, None);
    }

    pub(super) fn note_fault(&self, number: usize, what: String) {
        self.diary.note(self.began.elapsed(), what, Some(number));
    }

    /// Which task it is, as people tell them apart.
    pub(super) fn number_of(&self, id: &TaskId) -> usize {
        let mut numbers = lock(&self.numbers);
        let next = numbers.len() + 1;
        *numbers.entry(id.clone()).or_insert(next)
    }

    async fn pause(&self) {
        let pause = spread(&mut lock(&self.pauses), self.weather.longest_pause);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Starts what does not run.
    pub(super) fn start_all(&self) {
        for process in self.processes() {
            self.start(&process);
        }
    }

    pub(super) fn start(&self, process: &Process) {
        match process.start(&self.platform) {
            Ok(true) => self.note(format!("{process} starts again")),
            Ok(false) => {}
            Err(error) => self.note(format!("{process} cannot be built again: {error}")),
        }
    }

    pub(super) fn processes(&self) -> Vec<Arc<Process>> {
        lock(&self.processes).clone()
    }
}

/// Around every handler: a while before it, and a while until anybody learns that it is done.
async fn in_turn(trial: Weak<Inner>, process: usize, call: Call, next: Next) -> Answer {
    let Some(trial) = trial.upgrade() else {
        return std::future::pending().await;
    };
    trial.pause().await;
    let cx = call.cx();
    let number = trial.number_of(cx.task_id());
    let (name, lineage) = (cx.task_name().clone(), cx.lineage());
    trial.note(format!(
        "worker {process} begins {name} #{number} ({lineage})"
    ));
    let answer = next.run(call).await;
    let how = if answer.is_ok() {
        "well"
    } else {
        "with an error"
    };
    trial.note(format!("worker {process}: {name} #{number} ends {how}"));
    trial.pause().await;
    answer
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
