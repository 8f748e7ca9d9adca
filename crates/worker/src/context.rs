//! What a handler can know and do beside its arguments.

mod opened;
mod sessions;

use crate::blocking::Blocking;
use crate::held::Held;
use crate::outcome::cut;
use crate::report::Live;
use crate::shared::Shared;
use counterfoil_toolbox::event::{LogLine, Progress};
use counterfoil_toolbox::producer::{RawTask, SendError, SendOptions};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::telemetry::TraceContext;
use counterfoil_toolbox::{Task, TaskId, TaskName};
use opened::Opened;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Level;

/// Longest line of a log or of progress, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// Largest fields of a log line, in bytes of JSON.
const MAX_FIELDS: usize = 64 * 1024;

/// Largest checkpoint, in bytes of JSON. Headers must fit one frame of 128 KiB, all of them together.
const MAX_CHECKPOINT: usize = 32 * 1024;

/// A checkpoint that cannot be kept, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is no JSON, or not that of the type that was asked for.
    #[error("the checkpoint cannot be written or read as JSON")]
    Json(#[source] serde_json::Error),
    /// Keep it elsewhere, and leave its name or key here.
    #[error("the checkpoint takes {bytes} bytes; at most 32 KiB are kept")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Why a handler is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyCancelled {
    /// Somebody cancelled the task: it will not run again. After `worker.cancel_grace` the handler is
    /// dropped. What it returns until then counts if it is a success; all else is REVOKED.
    Revoked,
    /// The worker stops: the task will run again elsewhere.
    WorkerStops,
    /// The time limit has passed.
    TimeLimit,
}

/// The execution that a handler is part of. Cheap to clone.
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
        }
    }

    /// The value of type `T` that was given to the worker as state.
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
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let lineage = self.lineage();
        let before = [lineage.rescue, lineage.retries(), lineage.deliveries];
        let before = before.map(|n| u32::try_from(n).unwrap_or(0));
        before.into_iter().fold(1, u32::saturating_add)
    }

    /// Which attempt this is, as events and the database name it.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        Lineage {
            // A redelivery that was taken over meanwhile begins no other attempt.
            deliveries: self.held.envelope.lineage.deliveries,
            ..self.held.lineage(self.executions)
        }
    }

    /// Fires when the worker wants this handler to end: it is draining and its patience is over,
    /// the handler's time limit has passed, or somebody cancelled the task. [`Self::why_cancelled`]
    /// tells which. Where nobody cancelled it, what is not done by then is done again elsewhere.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Fires when this execution's soft time limit has passed, and whenever [`Self::cancelled`] does:
    /// time to clean up, or to stop half-way. Nothing is ended by it.
    ///
    /// ```
    /// # use counterfoil_worker::{Context, TaskError};
    /// # async fn harvest(cx: Context) -> Result<u32, TaskError> {
    /// # let pages = 0..3; async fn fetch(_: u32) {}
    /// let mut done = 0;
    /// for page in pages {
    ///     if cx.soft_time_limit().is_cancelled() {
    ///         cx.checkpoint(&done)?; // the next attempt goes on from here
    ///         return Err(TaskError::retry_uncounted("out of time", std::time::Duration::ZERO));
    ///     }
    ///     fetch(page).await;
    ///     done += 1;
    /// }
    /// # Ok(done) }
    /// ```
    #[must_use]
    pub fn soft_time_limit(&self) -> &CancellationToken {
        &self.soft
    }

    /// Leaves something for the next execution of this task, which finds it as
    /// [`Self::last_checkpoint`]. The latest counts.
    ///
    /// It travels with the message of a retry, and with a task whose handler leaves when a draining
    /// worker [asks it to](Self::cancelled). A worker that dies, or a handler that has to be dropped,
    /// leaves what the message had when it came: the checkpoint of the last retry.
    ///
    /// # Errors
    /// [`CheckpointError`] when it cannot be written as JSON, or takes more than 32 KiB.
    pub fn checkpoint(&self, state: &impl Serialize) -> Result<(), CheckpointError> {
        let json = serde_json::to_string(state).map_err(CheckpointError::Json)?;
        if json.len() > MAX_CHECKPOINT {
            return Err(CheckpointError::TooLarge { bytes: json.len() });
        }
        self.held.set_checkpoint(json.into());
        Ok(())
    }

    /// What an earlier execution of this task left, or this one. `None`: nothing.
    ///
    /// # Errors
    /// [`CheckpointError::Json`] when it is no `T`: perhaps an older version of the handler left it.
    pub fn last_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, CheckpointError> {
        let json = self.held.checkpoint();
        let state = json.map(|json| serde_json::from_str(&json));
        state.transpose().map_err(CheckpointError::Json)
    }

    /// Why [`Self::cancelled`] fired; `None`: it has not.
    #[must_use]
    pub fn why_cancelled(&self) -> Option<WhyCancelled> {
        if !self.cancelled.is_cancelled() {
            None
        } else if self.shared.control.revocation(&self.held).is_some() {
            Some(WhyCancelled::Revoked)
        } else if self.shared.stop.leaving().is_cancelled() {
            Some(WhyCancelled::WorkerStops)
        } else {
            Some(WhyCancelled::TimeLimit)
        }
    }

    /// Tells how far the task is. Only the latest matters: of many in a row, few are sent.
    pub fn progress(&self, current: i64, total: impl Into<Option<i64>>, message: impl AsRef<str>) {
        let message = Some(cut(message.as_ref(), MAX_LINE)).filter(|text| !text.is_empty());
        let progress = Progress {
            current,
            total: total.into(),
            message,
        };
        let (live, executions) = (self.live, self.executions);
        self.shared.reporter.progress(live, executions, progress);
    }

    /// Writes a line into the task's log, which the database keeps. `fields` is a JSON object,
    /// `null` for none. Lines are dropped, and counted, when far more are written than can be sent.
    pub fn log(&self, level: Level, message: impl AsRef<str>, fields: Value) {
        let line = LogLine {
            level: level.as_str().to_ascii_lowercase().into(),
            message: cut(message.as_ref(), MAX_LINE),
            fields: log_fields(fields),
        };
        self.shared.reporter.log(self.live, self.executions, line);
    }

    /// Runs code that blocks (files, long computations, libraries without `async`) on a thread where
    /// it harms nobody, and waits for what it returns. A panic of the code is one of the handler.
    ///
    /// ```
    /// # use counterfoil_worker::{Context, TaskError};
    /// # async fn read(cx: Context) -> Result<String, TaskError> {
    /// let text = cx.spawn_blocking(|| std::fs::read_to_string("parcels.csv")).await?;
    /// # Ok(text) }
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

    /// Sends a task as a child of this one. `Ok`: the broker has stored it.
    ///
    /// It waits for a broker that is away, up to three times the confirm time-out (30 s), and has no
    /// circuit breaker: nobody sits in front of a screen, the worker could get no other task meanwhile,
    /// and an error at once would cost the task an attempt and all that the handler has done so far.
    ///
    /// An execution that is repeated, after a retry or because its worker was lost, sends its
    /// children again, as other tasks with other ids. Nothing else would be safe: a second
    /// execution may take another way, and its third child be another than the third of the first.
    /// A handler that knows which child is the same says so by an id of its choice, which must
    /// differ between the runs of the parent. The platform then keeps one row for it; like any
    /// task, it may run more than once.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Task, producer::SendOptions};
    /// # use counterfoil_worker::{Context, TaskError};
    /// # async fn harvest<Page: Task>(cx: Context, number: u32, page: Page) -> Result<(), TaskError> {
    /// let id = format!("{}.{}.page-{number}", cx.task_id(), cx.lineage().run);
    /// cx.send_with(page, SendOptions::new().id(id.parse()?)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendError`]; after [`SendError::Unknown`] the child may still run.
    ///
    /// # Cancel safety
    /// Cancelled, the child may still be sent.
    pub async fn send<T: Task>(&self, child: T) -> Result<TaskId, SendError> {
        self.send_with(child, SendOptions::new()).await
    }

    /// Sends a task as a child of this one, with options.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_with<T: Task>(
        &self,
        child: T,
        options: SendOptions,
    ) -> Result<TaskId, SendError> {
        let producer = &self.shared.senders.producer;
        let sent = producer.send_with(child, self.as_child(options)).await?;
        Ok(sent.id().clone())
    }

    /// Sends a task by name as a child of this one, its arguments as JSON text.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_raw(
        &self,
        child: RawTask,
        options: SendOptions,
    ) -> Result<TaskId, SendError> {
        let producer = &self.shared.senders.producer;
        producer.send_raw(child, self.as_child(options)).await
    }

    fn as_child(&self, options: SendOptions) -> SendOptions {
        let child = options.child_of(self.task_id().clone(), self.root_id().clone());
        child.parent_trace(self.trace())
    }

    /// The trace that this task came with: its children get it, unless they are sent in a span of their own.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::of_headers(&self.held.envelope.extra)
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

/// Fields as an object: anything else becomes the field `value`; too large ones are left out.
fn log_fields(fields: Value) -> Map<String, Value> {
    let fields = match fields {
        Value::Null => return Map::new(),
        Value::Object(fields) => fields,
        value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Map::from_iter([("value".to_owned(), value)])
        }
    };
    match serde_json::to_string(&fields).map(|json| json.len()) {
        Ok(..=MAX_FIELDS) => fields,
        Ok(bytes) => Map::from_iter([("fields_too_large".to_owned(), bytes.into())]),
        Err(error) => Map::from_iter([("fields_unwritable".to_owned(), error.to_string().into())]),
    }
}
