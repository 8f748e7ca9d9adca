//! What became of the tasks of a trial.

use anyhow::Context as _;
use counterfoil_toolbox::event::TaskFault;
use counterfoil_toolbox::{Task, TaskId, TaskName, TaskState};
use serde_json::value::RawValue;

/// What became of the tasks of a trial, in the order of their sending.
///
/// ```
/// # use counterfoil_testkit::Seeds;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> { Ok(task.width) }
/// use counterfoil_toolbox::TaskState;
///
/// Seeds::new(5).run(async |trial| {
///     trial.worker(|worker| worker.handle(resize)).await?;
///     let id = trial.send(Resize { width: 100 }).await?;
///     let settled = trial.settle().await?;
///     assert_eq!(settled.count(TaskState::Success), settled.tasks().len());
///     assert_eq!(settled.task(&id).expect("it was sent").output::<Resize>()?, 100);
///     Ok(())
/// });
/// ```
#[derive(Debug, Clone)]
pub struct Settled {
    tasks: Vec<SettledTask>,
}

/// What became of one task: what the platform's database would say.
#[derive(Debug, Clone)]
pub struct SettledTask {
    pub(super) id: TaskId,
    pub(super) name: TaskName,
    pub(super) state: TaskState,
    pub(super) fault: Option<TaskFault>,
    pub(super) result: Option<Box<RawValue>>,
}

impl Settled {
    pub(super) fn new(tasks: Vec<SettledTask>) -> Self {
        Self { tasks }
    }

    /// All tasks of the trial's workers, children too.
    #[must_use]
    pub fn tasks(&self) -> &[SettledTask] {
        &self.tasks
    }

    /// One of them.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&SettledTask> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// How many ended in `state`.
    #[must_use]
    pub fn count(&self, state: TaskState) -> usize {
        self.tasks.iter().filter(|task| task.state == state).count()
    }
}

impl SettledTask {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Its type.
    #[must_use]
    pub fn name(&self) -> &TaskName {
        &self.name
    }

    /// How it ended: a terminal state.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Why it did not succeed.
    #[must_use]
    pub fn fault(&self) -> Option<&TaskFault> {
        self.fault.as_ref()
    }

    /// What it returned, if it is one of type `T`.
    ///
    /// # Errors
    /// When it is not of that type, or did not succeed.
    pub fn output<T: Task>(&self) -> anyhow::Result<T::Output> {
        anyhow::ensure!(
            self.name.as_str() == T::NAME,
            "{} is no {}",
            self.name,
            T::NAME
        );
        anyhow::ensure!(
            self.state == TaskState::Success,
            "it ended as {}",
            self.state
        );
        let json = self.result.as_ref().map_or("null", |json| json.get());
        serde_json::from_str(json).with_context(|| format!("what {} returned", self.name))
    }
}
