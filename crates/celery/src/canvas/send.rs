//! Calling signatures: by a producer, or in a handler.

use super::call::Calls;
use super::message::{Ids, Parent, Place};
use super::signature::Signature;
use crate::outcome::Awaited;
use crate::route::Routes;
use chrono::Utc;
use counterfoil_toolbox::Producer;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::producer::{Draft, SendError};
use counterfoil_worker::Context;
use counterfoil_worker::extension::Message;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::value::RawValue;

/// Tasks of one signature that are under way to the broker at a time.
const UNDER_WAY: usize = 100;

/// Calls [signatures](Signature) from anywhere but a handler. Cheap to clone.
///
/// ```
/// use counterfoil_celery::{Canvas, Signature, chain};
/// # use counterfoil_testkit::MemoryPlatform;
/// use counterfoil_toolbox::Producer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// # let (transport, names) = (platform.transport(), platform.names().clone());
/// let canvas = Canvas::new(Producer::new(transport, names));
/// let add = |n: i64| Signature::task("calc.add").arg(n);
/// let sum = canvas.send(&chain![add(2).arg(2), add(3)]).await?; // to workers in Rust or Python
/// println!("its result will be that of task {}", sum.id());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Canvas {
    producer: Producer,
    routes: Routes,
}

/// Why a signature was not called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanvasError {
    /// It is none that can be called: nothing of it was sent.
    #[error("the signature cannot be called: {0}")]
    Invalid(String),
    /// Not all of its tasks could be sent. Those that were will run.
    #[error("not all tasks of the signature were sent")]
    Unsent(#[from] SendError),
}

impl Canvas {
    /// Sends by this producer, which says how patient it is.
    #[must_use]
    pub fn new(producer: Producer) -> Self {
        let routes = Routes::new(producer.names());
        Self { producer, routes }
    }

    /// Sends tasks whose signatures say nothing of it to this queue, as Celery's `task_default_queue` does. Default: to
    /// the service that the first part of their name says.
    #[must_use]
    pub fn default_queue(mut self, queue: QueueName) -> Self {
        self.routes.default_queue = Some(queue);
        self
    }

    /// Calls a signature. `Ok`: the broker has its first tasks, and a copy of each for the platform.
    ///
    /// # Errors
    /// [`CanvasError`].
    ///
    /// # Cancel safety
    /// Cancelled, some of the tasks may be sent.
    pub async fn send(&self, signature: &Signature) -> Result<Awaited, CanvasError> {
        let parent = Parent {
            task: None,
            queue: None,
            routes: &self.routes,
            now: Utc::now(),
            ids: Ids::New,
        };
        let (drafts, awaited) = drafts(parent, signature, Vec::new())?;
        let sending = stream::iter(drafts).map(|draft| self.producer.send_draft(draft));
        all_sent(sending).await?;
        Ok(awaited)
    }
}

/// Calls a signature in a handler: its tasks are children of the handler's. The worker has to have the extension
/// [`Celery`](crate::Celery).
///
/// As with [`Context::send`], an execution that is repeated calls it again, under other ids where its signatures have none.
///
/// ```
/// use counterfoil_celery::{Celery, Signature};
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_toolbox::config::BrokerSettings;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct HarvestAll { pages: i64 }
/// # impl counterfoil_toolbox::Task for HarvestAll { const NAME: &'static str = "harvest.all"; type Output = (); }
///
/// async fn harvest_all(task: HarvestAll, cx: Context) -> Result<(), TaskError> {
///     let pages = (1..=task.pages).map(|page| Signature::task("harvest.page").arg(page));
///     counterfoil_celery::send(&cx, &Signature::group(pages)).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let celery = Celery::new(&BrokerSettings::default().names()?);
/// let done = Perform::new(HarvestAll { pages: 2 });
/// let done = done.by(|worker| worker.handle(harvest_all).extension(celery)).await?;
/// assert_eq!(done.scheduled().to_string(), "what was:\n  harvest.page [1] {}\n  harvest.page [2] {}");
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`CanvasError`].
///
/// # Cancel safety
/// Cancelled, some of the tasks may be sent.
pub async fn send(cx: &Context, signature: &Signature) -> Result<Awaited, CanvasError> {
    send_with(cx, signature, Vec::new()).await
}

/// The same, with these arguments before those of each of its first tasks.
pub(crate) async fn send_with(
    cx: &Context,
    signature: &Signature,
    args: Vec<Box<RawValue>>,
) -> Result<Awaited, CanvasError> {
    let (message, routes) = (cx.message(), routes_of(cx).map_err(CanvasError::Invalid)?);
    let parent = Parent::of(&message, routes, Utc::now(), Ids::New);
    let (drafts, awaited) = drafts(parent, signature, args)?;
    let sending = stream::iter(drafts).map(|draft| cx.send_draft(draft));
    all_sent(sending).await?;
    Ok(awaited)
}

/// Those of the worker's extension.
pub(super) fn routes_of(cx: &Context) -> Result<&Routes, String> {
    let routes = cx.try_state();
    routes.ok_or_else(|| "the worker was not given the extension Celery".to_owned())
}

async fn all_sent(
    sending: impl stream::Stream<Item = impl Future<Output = Result<TaskId, SendError>>>,
) -> Result<(), SendError> {
    let sent = sending.buffered(UNDER_WAY);
    sent.try_for_each(async |_| Ok(())).await
}

/// The first tasks of a signature, and what they will be waited for by.
fn drafts(
    parent: Parent<'_>,
    signature: &Signature,
    args: Vec<Box<RawValue>>,
) -> Result<(Vec<Draft>, Awaited), CanvasError> {
    signature.is_flat_enough().map_err(CanvasError::Invalid)?;
    let tasks = &parent.routes.tasks;
    let mut calls = Calls::by(parent);
    let place = Place {
        args,
        ..Place::default()
    };
    let called = calls.call(signature, place, "");
    let awaited = called.map_err(CanvasError::Invalid)?;
    let drafts = calls.messages.into_iter();
    let drafts = drafts.map(|message| draft(message, tasks));
    let drafts: Result<_, _> = drafts.collect();
    Ok((drafts.map_err(CanvasError::Invalid)?, awaited))
}

fn draft(message: Message, tasks: &ExchangeName) -> Result<Draft, String> {
    let Message::Task { publication, due } = message else {
        return Err("it calls what is no task".to_owned());
    };
    if publication.exchange != *tasks {
        return Err(format!(
            "it names the exchange `{}`, and only steps that follow are sent to others than {tasks}",
            publication.exchange
        ));
    }
    let envelope = Envelope::from_headers(&publication.content)?;
    let Envelope { id, name, .. } = envelope.ok_or("it calls a task without a name")?;
    Ok(Draft {
        id,
        task: name,
        routing_key: publication.routing_key,
        content: publication.content,
        due,
    })
}
