//! Putting a session together.

mod identity;

use super::opening::{Finalizer, MOST_SUBTASKS, Opening, Subtask};
use super::started::SessionError;
use super::status::ErrorPolicy;
use crate::call::Signature;
use crate::ids::{SessionId, TaskId};
use crate::names::TaskName;
use crate::producer::{RawTask, SendError, SendOptions};
use crate::task::Task;
use crate::telemetry::TraceContext;
use serde_json::value::RawValue;
use std::time::Duration;

/// A session before it is started: see [the module](super).
///
/// ```
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Harvest { page: u32 }
/// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Publish { session: Option<counterfoil_toolbox::session::SessionSummary> }
/// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
/// use counterfoil_toolbox::producer::SendOptions;
/// use counterfoil_toolbox::session::{ErrorPolicy, Session};
/// use std::time::Duration;
///
/// let session = Session::new("harvest", Publish { session: None })?
///     .policy(ErrorPolicy::Fail)
///     .estimated(Duration::from_secs(20))
///     .buffer(Duration::from_secs(60))
///     .finalizer_options(SendOptions::new().creator("anna"))
///     .subtasks((0..3).map(|page| Harvest { page }))?
///     .subtask_with(Harvest { page: 3 }, SendOptions::new().max_retries(0))?;
/// assert_eq!(session.opening()?.subtasks.len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a session does nothing until a producer or a context starts it"]
pub struct Session {
    id: SessionId,
    action: Box<str>,
    /// What tells it apart from others of equal content, where the sender says so.
    key: Option<Box<str>>,
    finalizer: RawTask,
    takes_summary: bool,
    finalizer_options: SendOptions,
    /// Its id where the sender chose none, and the session is opened by a task.
    derived_finalizer: Option<TaskId>,
    policy: ErrorPolicy,
    estimated: Option<Duration>,
    buffer: Option<Duration>,
    parts: Vec<Part>,
}

/// A subtask with its options.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) task: RawTask,
    pub(crate) options: SendOptions,
    /// Whether its id is the sender's choice.
    has_own_id: bool,
}

impl Session {
    /// A session without subtasks for `action`, a word or two for people, that ends with `finalizer`. A
    /// finalizer with a field `session` gets a [`SessionSummary`](super::SessionSummary) there.
    ///
    /// # Errors
    /// [`SendError`] when the finalizer cannot be written as JSON.
    pub fn new<T: Task>(action: &str, finalizer: T) -> Result<Self, SendError> {
        let takes_summary = Signature::of::<T>().takes("session");
        let session = Self::raw(action, RawTask::of(&finalizer)?, takes_summary);
        Ok(session.finalizer_options(SendOptions::new().of_type::<T>()))
    }

    /// The same with a finalizer that is not known as a Rust type. `takes_summary`: whether it has an
    /// argument `session`.
    pub fn raw(action: &str, finalizer: RawTask, takes_summary: bool) -> Self {
        Self {
            id: SessionId::random(),
            action: action.into(),
            key: None,
            finalizer,
            takes_summary,
            finalizer_options: SendOptions::new(),
            derived_finalizer: None,
            policy: ErrorPolicy::default(),
            estimated: None,
            buffer: None,
            parts: Vec::new(),
        }
    }

    /// What tells this session apart from others of equal content that the same task opens: `"page-7"`. It is part
    /// of what its ids follow from, and of no message. Default: none.
    ///
    /// A task must give each of its sessions of equal content a key of its own. A context refuses the second
    /// without one in an execution. But a handler that is executed again and skips the first, by a checkpoint, opens
    /// the second as the only one: without keys it would take that for the first, and send nothing of it if the first
    /// has ended. Choose what a repeated execution chooses again: no random number, and no time of day.
    ///
    /// ```
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Harvest { page: u32 }
    /// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Publish { session: Option<counterfoil_toolbox::session::SessionSummary> }
    /// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
    /// use counterfoil_toolbox::session::Session;
    ///
    /// // A handler that does the same twice says which time it is.
    /// let session = |key: &str| -> Result<Session, Box<dyn std::error::Error>> {
    ///     let session = Session::new("harvest", Publish { session: None })?.key(key);
    ///     Ok(session.subtask(Harvest { page: 7 })?)
    /// };
    /// assert_ne!(session("before")?.content_id(), session("after")?.content_id());
    /// assert_eq!(session("after")?.content_id(), session("after")?.content_id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into().into());
        self
    }

    /// What it is for.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Type of the task that it ends with.
    #[must_use]
    pub fn finalizer(&self) -> &TaskName {
        &self.finalizer.name
    }

    /// Id of the session.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whether an id of a task in it, the finalizer included, is the sender's choice.
    #[must_use]
    pub fn has_chosen_ids(&self) -> bool {
        self.finalizer_options.id.is_some() || self.parts.iter().any(|part| part.has_own_id)
    }

    /// Options of the finalizer: its id, creator, related object, identifier, limits, retries and priority.
    /// The others mean nothing for it. An identifier that another living task of its type has may cost it its
    /// run, as with any task.
    pub fn finalizer_options(mut self, options: SendOptions) -> Self {
        self.finalizer_options = options;
        self
    }

    /// What it comes to with failed subtasks. Default: [`ErrorPolicy::Complete`].
    pub fn policy(mut self, policy: ErrorPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a subtask is expected to take, its wait included. The session may take that for each of
    /// them, one after the other, and the [buffer](Self::buffer); then it is timed out. Default: the daemon's
    /// `sync.session_estimate`, 60 s.
    pub fn estimated(mut self, estimated: Duration) -> Self {
        self.estimated = Some(estimated);
        self
    }

    /// How much longer than estimated all of it may take. Default: the daemon's `sync.session_buffer`,
    /// 10 min.
    pub fn buffer(mut self, buffer: Duration) -> Self {
        self.buffer = Some(buffer);
        self
    }

    /// Adds a subtask.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be written as JSON.
    pub fn subtask<T: Task>(self, task: T) -> Result<Self, SendError> {
        self.subtask_with(task, SendOptions::new())
    }

    /// Adds a subtask with options.
    ///
    /// ```
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Harvest { page: u32 }
    /// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Publish { session: Option<counterfoil_toolbox::session::SessionSummary> }
    /// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
    /// use counterfoil_toolbox::producer::SendOptions;
    /// use counterfoil_toolbox::session::{ErrorPolicy, Session};
    ///
    /// let session = Session::new("harvest", Publish { session: None })?
    ///     .policy(ErrorPolicy::Fail) // one page that fails makes all of it a failure
    ///     .subtask_with(Harvest { page: 1 }, SendOptions::new().max_retries(9))?
    ///     .subtask(Harvest { page: 2 })?;
    /// assert_eq!(session.opening()?.subtasks.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError`] when it cannot be written as JSON.
    pub fn subtask_with<T: Task>(self, task: T, options: SendOptions) -> Result<Self, SendError> {
        Ok(self.subtask_raw(RawTask::of(&task)?, options.of_type::<T>()))
    }

    /// Adds subtasks.
    ///
    /// # Errors
    /// [`SendError`] when one cannot be written as JSON.
    pub fn subtasks<T: Task>(
        mut self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Result<Self, SendError> {
        for task in tasks {
            self = self.subtask(task)?;
        }
        Ok(self)
    }

    /// Adds a subtask that is not known as a Rust type.
    pub fn subtask_raw(mut self, task: RawTask, options: SendOptions) -> Self {
        let has_own_id = options.id.is_some();
        let options = options.in_session(&self.id);
        self.parts.push(Part {
            task,
            options,
            has_own_id,
        });
        self
    }

    /// Makes all of it children of the task `parent` in the family of `root`. A worker's context does this by
    /// itself.
    pub fn child_of(mut self, parent: &TaskId, root: &TaskId) -> Self {
        for part in &mut self.parts {
            let options = std::mem::take(&mut part.options);
            part.options = options.child_of(parent.clone(), root.clone());
        }
        let options = self.finalizer_options;
        self.finalizer_options = options.child_of(parent.clone(), root.clone());
        self
    }

    /// Makes all of it part of a trace, for where no span is current. A worker's context does this by itself.
    pub fn parent_trace(mut self, trace: Option<&TraceContext>) -> Self {
        for part in &mut self.parts {
            let options = std::mem::take(&mut part.options);
            part.options = options.parent_trace(trace.cloned());
        }
        self.finalizer_options = self.finalizer_options.parent_trace(trace.cloned());
        self
    }

    /// What tells the platform of it: for those who send messages themselves.
    ///
    /// # Errors
    /// [`SessionError`] when it cannot be sent as it is.
    pub fn opening(&self) -> Result<Opening, SessionError> {
        Ok(self.clone().into_parts()?.0)
    }

    /// What tells the platform, and what is sent then.
    ///
    /// # Errors
    /// [`SessionError`] when it cannot be sent as it is.
    pub(crate) fn into_parts(self) -> Result<(Opening, Vec<Part>), SessionError> {
        if self.parts.len() > MOST_SUBTASKS {
            return Err(SessionError::TooMany(self.parts.len()));
        }
        let subtasks = self.parts.iter().map(|part| Subtask {
            id: part.options.id.clone().expect("given when it was added"),
            task: part.task.name.clone(),
        });
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut options = self.finalizer_options;
        options.id = options.id.or(self.derived_finalizer);
        let opening = Opening {
            subtasks: subtasks.collect(),
            id: self.id,
            action: self.action,
            policy: self.policy,
            estimated_ms: self.estimated.map(ms),
            buffer_ms: self.buffer.map(ms),
            finalizer: finalizer(self.finalizer, self.takes_summary, options)?,
        };
        Ok((opening, self.parts))
    }
}

fn finalizer(
    task: RawTask,
    takes_summary: bool,
    options: SendOptions,
) -> Result<Finalizer, SendError> {
    let name = task.name;
    let json = |text: String| {
        RawValue::from_string(text).map_err(|source| SendError::Arguments {
            task: name.clone(),
            source,
        })
    };
    let ms = |time: Option<Duration>| Some(u64::try_from(time?.as_millis()).unwrap_or(u64::MAX));
    let trace = options.trace_of_message();
    let (parent_id, root_id) = options.parent.unzip();
    Ok(Finalizer {
        args: json(task.args)?,
        kwargs: json(task.kwargs)?,
        id: options.id.unwrap_or_else(TaskId::random),
        task: name,
        takes_summary,
        max_retries: options.max_retries,
        time_limit_ms: ms(options.time_limits.hard),
        soft_time_limit_ms: ms(options.time_limits.soft),
        retention_s: options.retention.map(|keep| keep.as_secs()),
        priority: options.priority.unwrap_or_default(),
        parent_id,
        root_id,
        creator: options.creator.map(Into::into),
        related: options
            .related
            .map(|(kind, id)| format!("{kind}:{id}").into()),
        identifier: options.identifier.map(Into::into),
        traceparent: trace.as_ref().map(|trace| trace.traceparent().into()),
        tracestate: trace.and_then(|trace| trace.tracestate().map(Into::into)),
    })
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
