//! What else is said about tasks: for those who speak with a task's sender, or its successors, in a protocol of their
//! own.
//!
//! An [`Extension`] is asked at every step of a task's life. What it has to send because of the step is with the broker
//! before the task's end is told and its message acknowledged: a worker that crashes in between sends it once more,
//! and none of it is lost.
//!
//! ```
//! # use counterfoil_testkit::Perform;
//! # use counterfoil_toolbox::config::BrokerSettings;
//! # use counterfoil_worker::{Context, TaskError};
//! # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! # struct Import {}
//! # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = (); }
//! # async fn import(_: Import, _: Context) -> Result<(), TaskError> { Err(TaskError::fail("no such parcel")) }
//! use counterfoil_toolbox::message::{Envelope, encode};
//! use counterfoil_toolbox::names::ExchangeName;
//! use counterfoil_toolbox::transport::Publication;
//! use counterfoil_worker::extension::{Extension, Message, Step, Subject};
//!
//! /// Sends a mail for every task that failed.
//! #[derive(Debug)]
//! struct Alarm {
//!     tasks: ExchangeName,
//! }
//!
//! impl Extension for Alarm {
//!     fn messages(&self, task: &Subject<'_>, step: &Step<'_>) -> Result<Vec<Message>, String> {
//!         let Step::Failed(fault) = step else {
//!             return Ok(Vec::new());
//!         };
//!         let id = format!("{}.alarm", task.envelope.id); // the same, should it be sent twice
//!         let id = id.parse().map_err(|error| format!("{error}"))?;
//!         let mail = Envelope::new(id, "mail.alarm".parse().expect("a valid name"));
//!         let kwargs = serde_json::json!({ "why": fault.message }).to_string();
//!         let publication = Publication {
//!             exchange: self.tasks.clone(),
//!             routing_key: mail.name.routing_key(),
//!             content: encode(&mail, "[]", &kwargs),
//!         };
//!         Ok(vec![Message::Task { publication, due: None }])
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let alarm = Alarm { tasks: BrokerSettings::default().names()?.tasks };
//! let done = Perform::new(Import {}).by(|worker| worker.handle(import).extension(alarm)).await?;
//! assert!(done.scheduled().to_string().contains("mail.alarm {\"why\":\"no such parcel\"}"));
//! # Ok(()) }
//! ```

use crate::builder::WorkerBuilder;
use crate::held::Held;
pub use crate::inside::{HeldTask, Inside, NoSuchTask, Stage, TaskType, WhileItRuns};
use crate::shared::Shared;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::event::{After, Progress, TaskFault};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::{Content, Envelope, Headers, Payload};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Publication, Publisher, Transport};
use futures::future::BoxFuture;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Says more about tasks than the worker does by itself: see [`WorkerBuilder::extension`].
pub trait Extension: fmt::Debug + Send + Sync + 'static {
    /// Adds what it needs to the worker: handlers of tasks of its own, and state. Asked once, when the worker gets it.
    fn join(&self, worker: WorkerBuilder) -> WorkerBuilder {
        worker
    }

    /// What is to be sent because a task has ended, in this order. It is asked again, and all is sent again, where the
    /// end could not be told: messages that are tasks should have ids which follow from the task's own.
    ///
    /// # Errors
    /// Why it cannot be said what is to be sent. The task then fails with this, and its message is kept in the dead queue.
    fn messages(&self, task: &Subject<'_>, step: &Step<'_>) -> Result<Vec<Message>, String>;

    /// What it does beside the worker, from its start until it is over: see [`Beside::over`].
    fn beside(&self, worker: Beside) -> Option<BoxFuture<'static, ()>> {
        let _ = worker;
        None
    }

    /// Told of every task that the worker has sent, retries aside: children of its tasks, and what
    /// [follows](Message::Task) after them. It must return at once.
    fn sent(&self, worker: &WorkerId, task: &Publication) {
        let _ = (worker, task);
    }

    /// Told of every step when it is taken. It must return at once: others wait meanwhile.
    fn heard(&self, task: &Subject<'_>, step: &Step<'_>) {
        let _ = (task, step);
    }
}

/// A worker, for what goes on beside it.
#[derive(Debug, Clone)]
pub struct Beside {
    /// The worker's way to the broker.
    pub transport: Arc<dyn Transport>,
    /// Names of the broker's settings.
    pub names: Names,
    /// The id under which it reports.
    pub worker: WorkerId,
    /// What it has, and what can be asked of it.
    pub inside: Inside,
    /// By which [answers](Message::Answer) go: what is handed over to it before stays before them.
    pub answers: Publisher,
    pub(crate) over: CancellationToken,
}

impl Beside {
    /// Completes when the last task of the worker is over and told. What goes on then is dropped two seconds later.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Handlers that run now.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.inside.0.counts.running()
    }

    /// Executions that have ended since the worker was started, well or not.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.inside.0.counts.processed()
    }
}

/// A task of which something is said. The [module](self) shows how it is used.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its headers.
    pub envelope: &'a Envelope,
    /// Its arguments, and what is to happen after it. `None`: they cannot be read.
    pub payload: Option<&'a Payload>,
    /// What else its message says.
    pub headers: HeadersOf<'a>,
    /// The queue that it came by.
    pub queue: &'a QueueName,
    /// The exchange that it was published to.
    pub exchange: &'a ExchangeName,
    /// With this key.
    pub routing_key: &'a RoutingKey,
    /// The broker has given this message to a worker before. A retry is another message.
    pub redelivered: bool,
    /// Who has it.
    pub worker: &'a WorkerId,
    /// In the name of this service the platform is told of it.
    pub service: &'a str,
    /// Which attempt of it this is.
    pub lineage: Lineage,
    /// How long its handler ran. `None`: it has not ended, or was not started.
    pub ran_for: Option<Duration>,
    /// Nobody waits for its result: by the word of its sender, or else by its type's.
    pub ignores_result: bool,
}

/// Headers of the message that a task came with, of which those are copied that are asked for.
///
/// ```
/// use counterfoil_toolbox::message::Headers;
/// use counterfoil_worker::extension::HeadersOf;
///
/// let mut headers = Headers::new();
/// headers.push("argsrepr", "(2, 3)");
/// assert_eq!(HeadersOf::from(&headers).text("argsrepr").as_deref(), Some("(2, 3)")); // a task's, in a test
/// ```
#[derive(Debug, Clone, Copy)]
pub struct HeadersOf<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Held(&'a Held),
    Given(&'a Headers),
}

impl HeadersOf<'_> {
    /// A header that is text. `None` also when the message is not here any more, since it was settled.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Box<str>> {
        match self.0 {
            Source::Held(held) => held.header_text(name),
            Source::Given(headers) => headers.text(name).map(Into::into),
        }
    }
}

impl<'a> From<&'a Headers> for HeadersOf<'a> {
    fn from(headers: &'a Headers) -> Self {
        Self(Source::Given(headers))
    }
}

/// A step in the life of a task. The [module](self) shows how it is used.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// It is in the worker's hands, and waits for a place.
    Received,
    /// Its handler was started.
    Started,
    /// Its handler says how far it is.
    Progress(&'a Progress),
    /// It is to run again, after this and so much time.
    Retried(&'a TaskFault, Duration),
    /// It left this worker as it came: somebody else runs it, or this worker later.
    PutOff,
    /// It succeeded with this output; `None`: null.
    Succeeded(Option<&'a RawValue>),
    /// It will not be tried again.
    Failed(&'a TaskFault),
    /// It was cancelled, or its time was over.
    Revoked(&'a TaskFault),
}

/// Something to send. The [module](self) shows how it is used.
#[derive(Debug, Clone)]
pub enum Message {
    /// Another task that follows. The worker does not rest until the broker has it.
    Task {
        /// The task, addressed as if it were due.
        publication: Publication,
        /// When it is due. `None`: now.
        due: Option<DateTime<Utc>>,
    },
    /// Word for somebody who may not be there any more. It is sent until the broker has it, or refuses it, or its queue has
    /// not taken it for ten seconds, which is logged and has no other consequence. One to a caller of Celery's that this
    /// user may not send goes by the platform's daemon: see [`Answer`](counterfoil_toolbox::answer::Answer).
    Answer {
        /// The message.
        publication: Publication,
        /// What is sent where the broker takes no message that is so large. `None`: nothing.
        instead: Option<Box<Publication>>,
    },
    /// Something that the platform's daemon reads, in the name of the service whose task it is. The worker does not rest
    /// until the broker has it.
    Platform(Content),
    /// What the platform is told with the end of the task. Of several it is told the last one.
    After(After),
}

/// What goes on in the place of a task: the last of these tasks has its id, and the platform takes it for another
/// attempt.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Import { file: String }
/// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = (); }
/// use counterfoil_toolbox::message::{Envelope, encode};
/// use counterfoil_toolbox::names::ExchangeName;
/// use counterfoil_toolbox::transport::Publication;
/// use counterfoil_worker::extension::{Message, Replacement};
/// use std::time::Duration;
///
/// /// Leaves large files to another service.
/// async fn import(task: Import, cx: Context) -> Result<(), TaskError> {
///     let mut other = Envelope::new(cx.task_id().clone(), "large.import".parse()?);
///     other.lineage = cx.lineage(); // of this run
///     (other.lineage.executions, other.lineage.tries) = (cx.lineage().retries() + 1, 0);
///     let kwargs = serde_json::json!({ "file": task.file }).to_string();
///     let publication = Publication {
///         exchange: ExchangeName::new("task_exchange")?,
///         routing_key: other.name.routing_key(),
///         content: encode(&other, "[]", &kwargs),
///     };
///     let messages = vec![Message::Task { publication, due: None }];
///     Err(TaskError::replaced(Replacement { by: "large.import".to_owned(), messages, within: Duration::ZERO }))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(Import { file: "a.csv".to_owned() }).by(|worker| worker.handle(import)).await?;
/// assert_eq!(done.fault().message, "large.import goes on in its place");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Replacement {
    /// What it is, for people.
    pub by: String,
    /// What is to be sent.
    pub messages: Vec<Message>,
    /// How long until the message with the task's id is sent, at most: the platform does not take the task for lost
    /// before. Zero: it is among these.
    pub within: Duration,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(
        shared: &'a Shared,
        held: &'a Held,
        executions: i32,
        ran_for: Option<Duration>,
    ) -> Self {
        let of_type = || shared.registry.get(&held.envelope.name);
        let ignored = held.envelope.ignore_result;
        Self {
            envelope: &held.envelope,
            payload: held.payload.as_ref().ok(),
            headers: HeadersOf(Source::Held(held)),
            queue: &held.queue,
            exchange: &held.exchange,
            routing_key: &held.routing_key,
            redelivered: held.redelivered,
            worker: &shared.id,
            service: &held.service,
            lineage: held.lineage(executions),
            ran_for,
            ignores_result: ignored
                .unwrap_or_else(|| of_type().is_some_and(|task| task.options.ignore_result)),
        }
    }
}
