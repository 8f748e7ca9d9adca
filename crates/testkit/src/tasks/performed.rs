//! What came of one execution.

use super::scheduled::{Scheduled, ScheduledTask};
use anyhow::Context as _;
use chrono::TimeDelta;
use counterfoil_toolbox::event::{Event, EventKind, LogLine, Progress, TaskFault};
use counterfoil_toolbox::{Task, TaskId, TaskState};
use counterfoil_worker::Context;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// What became of a task by one execution. Its worker decides that, not the handler alone: an error may be a retry,
/// or the end of the last one.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// use counterfoil_testkit::Outcome;
///
/// async fn resize(task: Resize, _: Context) -> Result<u32, TaskError> {
///     let full = || TaskError::retry("the disk is full");
///     (task.width == 0).then_some(0).ok_or_else(full)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let empty = Perform::new(Resize { width: 0 }).by(|worker| worker.handle(resize)).await?;
/// assert_eq!(empty.outcome(), &Outcome::Done(0));
/// // After its three retries it is dead.
/// let last = Perform::new(Resize { width: 1 }).attempt(4);
/// let last = last.by(|worker| worker.handle(resize)).await?;
/// assert!(matches!(last.outcome(), Outcome::Dead(_)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome<O> {
    /// SUCCESS, with this output.
    Done(O),
    /// SUCCESS: there was nothing to do, and this is why.
    Skipped(String),
    /// RETRY: it will run again.
    Retry {
        /// When. With the usual backoff this is a matter of chance, up to what its options say.
        after: Duration,
        /// Whether it uses up one of the task's retries.
        counted: bool,
        /// Why.
        fault: TaskFault,
    },
    /// FAILURE: it will not run again.
    Failed(TaskFault),
    /// FAILURE, and its message is in the dead queue, from which people can send it again: retries used up,
    /// rejected, arguments that do not fit.
    Dead(TaskFault),
    /// REVOKED: it was not begun, or not finished.
    Revoked(TaskFault),
}

/// What came of one execution. Made by [`Perform`](crate::Perform).
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use std::time::Duration;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// async fn resize(task: Resize, cx: Context) -> Result<u32, TaskError> {
///     cx.progress(1, 2, "read");
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     Ok(task.width)
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(Resize { width: 100 }).by(|worker| worker.handle(resize)).await?;
/// assert_eq!(done.output(), &100);
/// assert_eq!(done.progress().expect("it told").message.as_deref(), Some("read"));
/// assert!(done.took() >= Duration::from_secs(60)); // by a clock that was paused
/// assert!(done.scheduled().is_empty());
/// # Ok(()) }
/// ```
pub struct Performed<T: Task> {
    pub(super) id: TaskId,
    pub(super) outcome: Outcome<T::Output>,
    /// All that was told of the task.
    pub(super) events: Vec<Event>,
    pub(super) scheduled: Scheduled,
    /// The handler's, if it began.
    pub(super) cx: Option<Context>,
    pub(super) took: Duration,
}

impl<T: Task> Performed<T> {
    /// Id of the task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// What became of the task.
    #[must_use]
    pub fn outcome(&self) -> &Outcome<T::Output> {
        &self.outcome
    }

    /// What the handler returned.
    ///
    /// # Panics
    /// When the task did not succeed. The message says what became of it.
    #[must_use]
    #[track_caller]
    pub fn output(&self) -> &T::Output {
        match &self.outcome {
            Outcome::Done(output) => output,
            other @ (Outcome::Skipped(_)
            | Outcome::Retry { .. }
            | Outcome::Failed(_)
            | Outcome::Dead(_)
            | Outcome::Revoked(_)) => panic!("{} did not return anything: {other}", T::NAME),
        }
    }

    /// Why the task failed, is retried, or was revoked.
    ///
    /// # Panics
    /// When it succeeded.
    #[must_use]
    #[track_caller]
    pub fn fault(&self) -> &TaskFault {
        match &self.outcome {
            Outcome::Retry { fault, .. }
            | Outcome::Failed(fault)
            | Outcome::Dead(fault)
            | Outcome::Revoked(fault) => fault,
            other @ (Outcome::Done(_) | Outcome::Skipped(_)) => {
                panic!("{} did not fail: {other}", T::NAME)
            }
        }
    }

    /// The tasks that the handler scheduled, children and subtasks of sessions.
    #[must_use]
    pub fn scheduled(&self) -> &Scheduled {
        &self.scheduled
    }

    /// Checks that the handler scheduled a task of type `C` that `fits`, and returns the first one.
    ///
    /// # Panics
    /// When it did not. The message lists what it scheduled instead.
    #[track_caller]
    pub fn assert_scheduled<C: Task>(&self, fits: impl Fn(&C) -> bool) -> &ScheduledTask {
        self.scheduled.assert_scheduled(fits)
    }

    /// How far the handler said last that it was.
    #[must_use]
    pub fn progress(&self) -> Option<&Progress> {
        let told = self.events.iter().rev();
        told.filter_map(|event| event.progress.as_ref()).next()
    }

    /// What the handler wrote into the task's log.
    pub fn log(&self) -> impl Iterator<Item = &LogLine> {
        self.events.iter().filter_map(|event| event.log.as_ref())
    }

    /// The checkpoint that the next execution would find. `None`: there is none.
    ///
    /// # Errors
    /// When it is no `C`.
    pub fn checkpoint<C: DeserializeOwned>(&self) -> anyhow::Result<Option<C>> {
        let Some(cx) = &self.cx else {
            return Ok(None);
        };
        Ok(cx.last_checkpoint()?)
    }

    /// How long the handler ran, by the test's clock. Zero when it did not begin.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// Tasks and outputs need not be printable.
impl<T: Task> fmt::Debug for Performed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Performed")
            .field("id", &self.id)
            .field("outcome", &self.outcome.to_string())
            .field("scheduled", &self.scheduled)
            .field("took", &self.took)
            .finish_non_exhaustive()
    }
}

impl<O: DeserializeOwned> Outcome<O> {
    /// As the last event of an execution tells it. `None`: it is not the last one.
    pub(super) fn of(event: &Event, is_dead: bool) -> anyhow::Result<Option<Self>> {
        let EventKind::State(state) = event.kind else {
            return Ok(None);
        };
        let fault = || event.error.clone().context("the event tells no error");
        Ok(Some(match state {
            TaskState::Success => match &event.skipped {
                Some(why) => Self::Skipped(why.to_string()),
                None => {
                    let json = event.result.as_ref().map_or("null", |json| json.get());
                    let output = serde_json::from_str(json);
                    Self::Done(output.context("the output cannot be read back")?)
                }
            },
            TaskState::Retry => {
                let after = event.retry_at.map(|at| at - event.at);
                Self::Retry {
                    after: after
                        .as_ref()
                        .map_or(Ok(Duration::ZERO), TimeDelta::to_std)?,
                    counted: event.counted == Some(true),
                    fault: fault()?,
                }
            }
            TaskState::Failure if is_dead => Self::Dead(fault()?),
            TaskState::Failure => Self::Failed(fault()?),
            TaskState::Revoked => Self::Revoked(fault()?),
            TaskState::Pending
            | TaskState::Unroutable
            | TaskState::Rejected
            | TaskState::Received
            | TaskState::Started
            | TaskState::Progress => return Ok(None),
        }))
    }
}

/// As a sentence. An output need not be printable.
impl<O> fmt::Display for Outcome<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, fault) = match self {
            Self::Done(_) => return f.write_str("it succeeded"),
            Self::Skipped(why) => return write!(f, "it was skipped: {why}"),
            Self::Retry { after, fault, .. } => {
                write!(f, "it is retried after {after:?}: ")?;
                ("", fault)
            }
            Self::Failed(fault) => ("it failed: ", fault),
            Self::Dead(fault) => ("it is dead: ", fault),
            Self::Revoked(fault) => ("it was revoked: ", fault),
        };
        write!(f, "{what}{}: {}", fault.kind, fault.message)
    }
}
