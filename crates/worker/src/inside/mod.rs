//! What a worker has and does, for what goes on beside it, and what can be asked of it while it runs.
//!
//! All of it is looked at when somebody asks: a task costs nothing more because of it.

mod ask;
mod task;

pub use ask::{NoSuchTask, WhileItRuns};
pub(crate) use task::Course;
pub use task::{HeldTask, Stage};

use crate::registry::Registered;
use crate::shared::Shared;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::{Item, Queue};
use counterfoil_toolbox::{TaskName, TaskOptions};
use std::sync::Arc;

/// The inside of a worker: see [`Beside::inside`](crate::extension::Beside::inside). Cheap to clone.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// use counterfoil_worker::extension::{Beside, Extension, Message, Step, Subject};
/// use futures::future::BoxFuture;
///
/// /// Says what a worker is about to do.
/// #[derive(Debug)]
/// struct Tell(tokio::sync::mpsc::UnboundedSender<String>);
///
/// impl Extension for Tell {
///     fn messages(&self, _: &Subject<'_>, _: &Step<'_>) -> Result<Vec<Message>, String> {
///         Ok(Vec::new())
///     }
///
///     fn beside(&self, worker: Beside) -> Option<BoxFuture<'static, ()>> {
///         let tell = self.0.clone();
///         Some(Box::pin(async move {
///             let inside = &worker.inside;
///             inside.grow(2);
///             let types: Vec<_> = inside.task_types().into_iter().map(|it| it.name.to_string()).collect();
///             let _ = tell.send(format!("{types:?} of {:?}, {} at a time", inside.queues(), inside.concurrency()));
///         }))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// # let settings = counterfoil_toolbox::config::WorkerSettings { concurrency: 4, ..Default::default() };
/// let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
/// let worker = platform.start(platform.worker_with(settings).handle(resize).extension(Tell(tell))).await?;
/// let told = told.recv().await.expect("it is told");
/// assert_eq!(told, r#"["image.resize"] of [QueueName("image")], 6 at a time"#);
/// # drop(worker);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Inside(pub(crate) Arc<Shared>);

/// A type of task that a worker knows. [`Inside`] has an example.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskType {
    /// Its name.
    pub name: TaskName,
    /// Its options, as they hold now.
    pub options: TaskOptions,
    /// Whether its worker consumes the queue of its service because of it.
    pub has_queue: bool,
    /// How many executions have begun.
    pub begun: u64,
}

impl TaskType {
    fn of(task: &Registered) -> Self {
        Self {
            name: task.name.clone(),
            options: task.options_now(),
            has_queue: task.has_queue,
            begun: task.begun(),
        }
    }
}

impl Inside {
    /// The tasks in hand: those that run, and those that wait.
    #[must_use]
    pub fn tasks(&self) -> Vec<HeldTask> {
        self.0.guard.held(|held| Some(HeldTask(Arc::clone(held))))
    }

    /// The types of task that it knows, by name.
    #[must_use]
    pub fn task_types(&self) -> Vec<TaskType> {
        let tasks = self.0.registry.sorted();
        tasks.into_iter().map(TaskType::of).collect()
    }

    /// The queues that it consumes.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueName> {
        self.0.consumers.queues()
    }

    /// How a queue is declared. `None`: this worker does not declare it.
    #[must_use]
    pub fn declared(&self, queue: &QueueName) -> Option<Queue> {
        let items = self.0.declarations.get(queue)?;
        items.iter().find_map(|item| match item {
            Item::Queue(declared) if declared.name == *queue => Some(declared.clone()),
            Item::Queue(_) | Item::Exchange(_) | Item::Binding(_) => None,
        })
    }

    /// How many handlers may run at the same time.
    #[must_use]
    pub fn concurrency(&self) -> u16 {
        self.0.slots.count()
    }

    /// How many deliveries of each queue it may hold.
    #[must_use]
    pub fn prefetch(&self) -> u16 {
        *self.0.consumers.prefetch().borrow()
    }
}
