//! Tasks that were scheduled, and what a test may say of them.

use super::platform::Taken;
use counterfoil_toolbox::call::{BadArguments, Signature};
use counterfoil_toolbox::delay::delay_of;
use counterfoil_toolbox::message::{Content, Envelope, Payload, TaskMessage};
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::{Task, TaskId, TaskName};
use std::fmt;
use std::time::Duration;

/// A task that was scheduled.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_toolbox::producer::SendOptions;
/// # use std::time::Duration;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let platform = MemoryPlatform::new().await?;
/// let options = SendOptions::new().countdown(Duration::from_secs(3600)).creator("anna");
/// platform.producer().send_with(Resize { width: 100 }, options).await?; // your code
///
/// let task = platform.assert_scheduled(|task: &Resize| task.width == 100).await?;
/// // A little may have passed since the time was reckoned.
/// assert!(task.delay() > Some(Duration::from_secs(3590)));
/// assert_eq!(task.envelope().creator_id.as_deref(), Some("anna"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ScheduledTask {
    message: TaskMessage,
    delay: Option<Duration>,
    content: Content,
    routing_key: RoutingKey,
}

impl ScheduledTask {
    pub(super) fn new(message: TaskMessage, copy: Taken) -> Self {
        Self {
            message,
            delay: delay_of(copy.routing_key.as_str()),
            content: copy.content,
            routing_key: copy.routing_key,
        }
    }

    /// Its message, from which it can be sent again.
    pub(crate) fn message(&self) -> (&Content, &RoutingKey, &Payload) {
        (&self.content, &self.routing_key, &self.message.payload)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.message.envelope.id
    }

    /// Its type.
    #[must_use]
    pub fn name(&self) -> &TaskName {
        &self.message.envelope.name
    }

    /// How long it has to wait, in whole seconds, rounded up. `None`: it was due at once.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// Everything that its sender said, but for the arguments: parent, creator, identifier, limits.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.message.envelope
    }

    /// Its arguments.
    ///
    /// # Errors
    /// [`BadArguments`] when they are none of a `T`.
    pub fn arguments<T: Task>(&self) -> Result<T, BadArguments> {
        let payload = &self.message.payload;
        Signature::of::<T>().bind(payload.args(), payload.kwargs())
    }

    fn as_type<T: Task>(&self) -> Option<T> {
        (self.name().as_str() == T::NAME)
            .then(|| self.arguments().ok())
            .flatten()
    }
}

/// `image.resize {"path": "a.png"}`, and the delay.
impl fmt::Display for ScheduledTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = &self.message.payload;
        write!(f, "{}", self.name())?;
        if payload.args() != "[]" {
            write!(f, " {}", payload.args())?;
        }
        write!(f, " {}", payload.kwargs())?;
        match self.delay {
            Some(delay) => write!(f, " in {delay:?}"),
            None => Ok(()),
        }
    }
}

/// Tasks that were scheduled, in that order.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_toolbox::producer::SendOptions;
/// # use std::time::Duration;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Resize { width: u32 }
/// # impl counterfoil_toolbox::Task for Resize { const NAME: &'static str = "image.resize"; type Output = u32; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let platform = MemoryPlatform::new().await?;
/// for width in [100, 200] {
///     platform.producer().send(Resize { width }).await?; // your code
/// }
///
/// let scheduled = platform.scheduled().await?;
/// scheduled.assert_scheduled(|task: &Resize| task.width == 200);
/// scheduled.refute_scheduled(|task: &Resize| task.width == 300);
/// let widths: Vec<_> = scheduled.all::<Resize>().iter().map(|task| task.width).collect();
/// assert_eq!(widths, [100, 200]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scheduled(Vec<ScheduledTask>);

impl Scheduled {
    /// Adds one, unless it is there: a retry comes by under the same id.
    pub(super) fn add(&mut self, task: ScheduledTask) {
        if !self.0.iter().any(|known| known.id() == task.id()) {
            self.0.push(task);
        }
    }

    /// Without the task `id`.
    pub(super) fn without(mut self, id: &TaskId) -> Self {
        self.0.retain(|task| task.id() != id);
        self
    }

    /// Whether nothing was scheduled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ScheduledTask> {
        self.0.iter()
    }

    /// The arguments of those of type `T`.
    ///
    /// # Panics
    /// When the arguments of one are none of a `T`: whoever sent it has another idea of the type.
    #[must_use]
    #[track_caller]
    pub fn all<T: Task>(&self) -> Vec<T> {
        let of_type = self.iter().filter(|task| task.name().as_str() == T::NAME);
        let arguments = |task: &ScheduledTask| match task.arguments() {
            Ok(arguments) => arguments,
            Err(error) => panic!("{task}: {error}"),
        };
        of_type.map(arguments).collect()
    }

    /// Checks that a task of type `T` was scheduled that `fits`, and returns the first one.
    ///
    /// # Panics
    /// When none was. The message lists what was scheduled instead.
    #[track_caller]
    pub fn assert_scheduled<T: Task>(&self, fits: impl Fn(&T) -> bool) -> &ScheduledTask {
        match self.find(fits) {
            Some(task) => task,
            None => panic!("no {} that fits was scheduled; {self}", T::NAME),
        }
    }

    /// Checks that no task of type `T` was scheduled that `fits`.
    ///
    /// # Panics
    /// When one was.
    #[track_caller]
    pub fn refute_scheduled<T: Task>(&self, fits: impl Fn(&T) -> bool) {
        if let Some(task) = self.find(fits) {
            panic!("this should not have been scheduled: {task}");
        }
    }

    fn find<T: Task>(&self, fits: impl Fn(&T) -> bool) -> Option<&ScheduledTask> {
        let does = |task: &&ScheduledTask| task.as_type::<T>().is_some_and(|task| fits(&task));
        self.iter().find(does)
    }
}

/// Half a sentence, and a line for each.
impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was");
        }
        f.write_str("what was:")?;
        self.iter().try_for_each(|task| write!(f, "\n  {task}"))
    }
}
