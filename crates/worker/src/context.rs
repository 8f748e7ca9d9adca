//! What a handler can know and do beside its arguments.
//!
//! `came` is the message that it came by · `told` what it says of its task · `ending` how it learns that it has to
//! end · `checkpoints` what it leaves for the next execution · `children` the tasks that it sends, `sessions` groups of
//! them, `calls` those that it runs itself.

mod told;

mod checkpoints;
mod ending;

mod calls;
mod came;
mod children;
mod opened;
mod sessions;

pub use checkpoints::CheckpointError;
pub use ending::WhyCancelled;

use crate::blocking::Blocking;
use crate::handler::Slot;
use crate::held::Held;
use crate::report::Live;
use crate::shared::Shared;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::{TaskId, TaskName};
use opened::Opened;
use std::any::type_name;
use std::fmt;
use std::sync::{Arc, Weak};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The execution that a handler is part of. Cheap to clone.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # struct Pool { size: u32 }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Import { rows: u32 }
/// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Announce { rows: u32 }
/// # impl counterfoil_toolbox::Task for Announce { const NAME: &'static str = "parcels.announce"; type Output = (); }
/// async fn import(task: Import, cx: Context) -> Result<u32, TaskError> {
///     let pool = cx.state::<Pool>(); // what `WorkerBuilder::state` was given
///     cx.progress(1, 2, format!("over {} connections", pool.size));
///     cx.send(Announce { rows: task.rows }).await?; // a child of this task
///     Ok(task.rows)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let register = |worker: counterfoil_worker::WorkerBuilder| worker.state(Pool { size: 8 }).handle(import);
/// let done = Perform::new(Import { rows: 3 }).by(register).await?;
/// assert_eq!(done.output(), &3);
/// done.assert_scheduled(|child: &Announce| child.rows == 3);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    held: Arc<Held>,
    live: Live,
    executions: i32,
    cancelled: CancellationToken,
    soft: CancellationToken,
    /// When the soft or else the hard time limit is over.
    ends_at: Option<Instant>,
    /// Which sessions this execution has opened.
    opened: Arc<Opened>,
    /// Its place among the handlers that run, for those that it runs itself.
    slot: Weak<Slot>,
}

impl Context {
    pub(crate) fn new(
        shared: Arc<Shared>,
        held: Arc<Held>,
        live: Live,
        executions: i32,
        cancelled: CancellationToken,
        soft: CancellationToken,
        ends_at: Option<Instant>,
    ) -> Self {
        Self {
            shared,
            held,
            live,
            executions,
            cancelled,
            soft,
            ends_at,
            opened: Arc::default(),
            slot: Weak::new(),
        }
    }

    /// The same with its place among the handlers that run.
    pub(crate) fn in_slot(mut self, slot: &Arc<Slot>) -> Self {
        self.slot = Arc::downgrade(slot);
        self
    }

    /// The value of type `T` that was given to the worker as state.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Import { rows: u32 }
    /// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
    /// struct Pool { size: u32 }
    ///
    /// async fn import(task: Import, cx: Context) -> Result<u32, TaskError> {
    ///     Ok(task.rows / cx.state::<Pool>().size)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Import { rows: 16 });
    /// let done = done.by(|worker| worker.state(Pool { size: 8 }).handle(import)).await?;
    /// assert_eq!(done.output(), &2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// When there is none. The panic ends this execution, not the worker.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        let missing = || {
            panic!(
                "no state of type {} was given to the worker",
                type_name::<T>()
            )
        };
        self.try_state().unwrap_or_else(missing)
    }

    /// The value of type `T` that was given to the worker as state, if there is one.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Import { rows: u32 }
    /// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
    /// # struct Pool { size: u32 }
    /// async fn import(task: Import, cx: Context) -> Result<u32, TaskError> {
    ///     let size = cx.try_state::<Pool>().map_or(1, |pool| pool.size);
    ///     Ok(task.rows / size)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let done = Perform::new(Import { rows: 16 }).by(|worker| worker.handle(import)).await?;
    /// assert_eq!(done.output(), &16);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn try_state<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.shared.states.get()
    }

    /// Id of this task.
    #[must_use]
    pub fn task_id(&self) -> &TaskId {
        &self.held.envelope.id
    }

    /// Name under which this task was sent.
    #[must_use]
    pub fn task_name(&self) -> &TaskName {
        &self.held.envelope.name
    }

    /// The task that scheduled this one, if a task did.
    #[must_use]
    pub fn parent_id(&self) -> Option<&TaskId> {
        self.held.envelope.parent_id.as_ref()
    }

    /// First task of this task's family; its own id when it has no parent.
    #[must_use]
    pub fn root_id(&self) -> &TaskId {
        &self.held.envelope.root_id
    }

    /// Who wanted the task, as the platform names its users.
    #[must_use]
    pub fn creator(&self) -> Option<&str> {
        self.held.envelope.creator_id.as_deref()
    }

    /// How many times this task has been tried, this time included: 1 the first time. Retries,
    /// lost workers and rescues count.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Fetch { page: u32 }
    /// # impl counterfoil_toolbox::Task for Fetch { const NAME: &'static str = "harvest.fetch"; type Output = String; }
    /// async fn fetch(task: Fetch, cx: Context) -> Result<String, TaskError> {
    ///     let server = if cx.attempt() < 3 { "tiles" } else { "mirror" };
    ///     Ok(format!("{server}/{}", task.page))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let third = Perform::new(Fetch { page: 7 }).attempt(3).by(|worker| worker.handle(fetch)).await?;
    /// assert_eq!(third.output(), "mirror/7");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let lineage = self.lineage();
        let before = [lineage.rescue, lineage.retries(), lineage.deliveries];
        let before = before.map(|n| u32::try_from(n).unwrap_or(0));
        before.into_iter().fold(1, u32::saturating_add)
    }

    /// Which attempt this is, as events and the database name it.
    ///
    /// What must not happen twice outside has a key that attempts share, and runs that people ask for do not:
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Pay { order: u32 }
    /// # impl counterfoil_toolbox::Task for Pay { const NAME: &'static str = "shop.pay"; type Output = String; }
    /// async fn pay(_: Pay, cx: Context) -> Result<String, TaskError> {
    ///     // Every attempt of one run pays under one key, so the bank refuses the second payment.
    ///     Ok(format!("{}-{}", cx.task_id(), cx.lineage().run))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let again = Perform::new(Pay { order: 17 }).attempt(2).by(|worker| worker.handle(pay)).await?;
    /// assert_eq!(again.output(), &format!("{}-0", again.id()));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        Lineage {
            // A redelivery that was taken over meanwhile begins no other attempt.
            deliveries: self.held.envelope.lineage.deliveries,
            ..self.held.lineage(self.executions)
        }
    }

    /// Runs code that blocks (files, long computations, libraries without `async`) on a thread where
    /// it harms nobody, and waits for what it returns. A panic of the code is one of the handler.
    ///
    /// ```
    /// # use counterfoil_testkit::Perform;
    /// # use counterfoil_worker::{Context, TaskError};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Count { file: String }
    /// # impl counterfoil_toolbox::Task for Count { const NAME: &'static str = "text.count"; type Output = usize; }
    /// async fn count(task: Count, cx: Context) -> Result<usize, TaskError> {
    ///     let text = cx.spawn_blocking(|| std::fs::read_to_string(task.file)).await?;
    ///     Ok(text.lines().count())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let task = Count { file: "Cargo.toml".to_owned() };
    /// let done = Perform::new(task).by(|worker| worker.handle(count)).await?;
    /// assert!(*done.output() > 10);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Cancelled, the code goes on and nobody hears of it. When it does not end within ten seconds
    /// it counts as hung: see [`Exit::Hung`](crate::Exit::Hung).
    ///
    /// # Panics
    /// Outside of the handler's runtime.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Blocking<T> {
        Blocking::start(self.shared.clone(), self.held.clone(), work)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("task_id", self.task_id())
            .field("task_name", self.task_name())
            .field("lineage", &self.lineage())
            .finish_non_exhaustive()
    }
}
