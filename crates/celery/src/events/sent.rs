//! That a task was sent: `task-sent`, which Celery's `task_send_sent_event` switches on.

use super::event::{Event, Kind, Origin};
use super::outbox::Outbox;
use super::sending::STALE;
use super::task::{iso, printed};
use crate::node::Node;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::TaskMessage;
use counterfoil_toolbox::producer::{Observer, origin};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What is told of a task that was sent.
#[derive(Debug, Serialize)]
struct Sent<'a> {
    uuid: &'a TaskId,
    root_id: &'a TaskId,
    parent_id: Option<&'a TaskId>,
    name: &'a str,
    args: Box<str>,
    kwargs: Box<str>,
    retries: i32,
    eta: Option<String>,
    expires: Option<String>,
    /// What binds to the key, nobody here knows.
    queue: Option<&'a str>,
    exchange: &'a str,
    routing_key: &'a str,
}

/// The event of a task that was sent as this. `None`: it is no task.
pub(super) fn told(task: &Publication, by: Origin<'_>, now: DateTime<Utc>) -> Option<Event> {
    let TaskMessage { envelope, payload } = TaskMessage::decode(&task.content).ok()?;
    let headers = &task.content.headers;
    let (args, kwargs) = printed(|name| headers.text(name).map(Into::into), Some(&payload));
    let sent = Sent {
        uuid: &envelope.id,
        root_id: &envelope.root_id,
        parent_id: envelope.parent_id.as_ref(),
        name: envelope.name.as_str(),
        args,
        kwargs,
        retries: envelope.retries,
        eta: envelope.eta.map(iso),
        expires: envelope.expires.map(iso),
        queue: None,
        exchange: task.exchange.as_str(),
        routing_key: task.routing_key.as_str(),
    };
    Some(Event::new(Kind::TaskSent, by, now, &sent))
}

/// Tells Celery's monitors of the tasks that a program sends, as Python programs with `task_send_sent_event` do: give it to
/// [`ProducerBuilder::observer`](counterfoil_toolbox::producer::ProducerBuilder::observer). For the tasks that a worker sends
/// see [`Celery::sent_events`](crate::Celery::sent_events).
///
/// Events are for whoever looks right now: sent without waiting for the broker, and dropped rather than that a task waits
/// for them.
///
/// ```
/// use counterfoil_celery::SentEvents;
/// # use counterfoil_testkit::MemoryPlatform;
/// use counterfoil_toolbox::Producer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// # let (transport, names) = (platform.transport(), platform.names().clone());
/// let events = SentEvents::start(&*transport, &names);
/// let producer = Producer::builder(transport, names).observer(events).build();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SentEvents {
    outbox: Arc<Outbox>,
    node: Node,
    /// Dropped with it, it ends the sending.
    _until: oneshot::Sender<()>,
}

impl SentEvents {
    /// Sends events until it is dropped, and what waits then for five seconds more, under the name that messages of this
    /// process have as their `origin`.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn start(transport: &dyn Transport, names: &Names) -> Arc<Self> {
        let options = PublisherOptions {
            confirm_timeout: Some(STALE),
            ..PublisherOptions::default()
        };
        let publisher = transport.publisher(options);
        let (outbox, exchange) = (Arc::new(Outbox::default()), names.celeryev.clone());
        let waiting = Arc::clone(&outbox);
        let (until, mut over) = oneshot::channel();
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let event = tokio::select! {
                    biased;
                    event = waiting.next() => event.to(exchange.clone(), origin()),
                    _ = &mut over => break,
                };
                // Confirms are not waited for: whoever looks sees an event, or nobody does.
                last = publisher.enqueue(event).await.ok();
            }
            if let Some(last) = last {
                let _ = last.await;
            }
        });
        Arc::new(Self {
            outbox,
            node: Node::default(),
            _until: until,
        })
    }
}

impl Observer for SentEvents {
    fn sent(&self, task: &Publication) {
        let by = Origin {
            hostname: origin(),
            node: &self.node,
        };
        if let Some(event) = told(task, by, Utc::now()) {
            self.outbox.push(event);
        }
    }
}
