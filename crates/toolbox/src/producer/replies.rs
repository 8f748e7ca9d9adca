//! The listening side of a producer.
//!
//! It has a queue of its own on the events exchange, bound for the services that it sends to, and
//! remembers the tasks whose handles are alive.

use super::error::SendError;
use crate::backoff::Backoff;
use crate::error::ErrorChain;
use crate::event::{Event, EventKind, FaultKind, TaskFault};
use crate::ids::TaskId;
use crate::message::Headers;
use crate::names::QueueName;
use crate::state::TaskState;
use crate::text::InvalidText;
use crate::topology::names::event_key;
use crate::topology::{Binding, Destination, Item, Names, Queue, QueueKind};
use crate::transport::{
    Declare, DeclareError, SubscribeOptions, Subscription, SubscriptionStatus, Transport,
    spawn_beside,
};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// Milliseconds after which the broker removes the queue of a producer that went away.
const QUEUE_EXPIRES_MS: i64 = 300_000;

/// Batches of events that are held while they are looked through.
const PREFETCH: u16 = 100;

/// How often a queue that is gone is declared again, until it is there.
const MENDING: Duration = Duration::from_secs(5);

/// Longest pause between two tries to declare it the first time.
const LATE_START: Duration = Duration::from_secs(2);

/// How a task ended.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Success(Arc<RawValue>),
    Other(TaskState, TaskFault),
}

/// One task that somebody may ask about; forgotten when the last who asks is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    id: TaskId,
    pub(super) ended: watch::Receiver<Option<Ended>>,
    inner: Arc<Inner>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.inner.waiting();
        if let Some(awaited) = waiting.get_mut(&self.id) {
            awaited.handles -= 1;
            if awaited.handles == 0 {
                waiting.remove(&self.id);
            }
        }
    }
}

/// A producer's own queue, and who waits for what comes by it.
#[derive(Debug)]
pub(super) struct Replies {
    inner: Arc<Inner>,
    reader: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    names: Names,
    queue: QueueName,
    setup: tokio::sync::Mutex<Setup>,
    waiting: Mutex<HashMap<TaskId, Awaited>>,
}

/// What the broker has been told.
#[derive(Debug, Default)]
struct Setup {
    declared: bool,
    /// Services that the queue is bound for.
    bound: HashSet<Box<str>>,
}

/// A task that handles wait for: more than one when it was sent again under the same id.
#[derive(Debug)]
struct Awaited {
    ended: watch::Sender<Option<Ended>>,
    handles: usize,
}

impl Replies {
    /// Declares the queue and starts to read it; without a broker, that is made up for. `owner` is the
    /// service (or program) that asks: broker permissions allow each its own `<owner>.reply.*`.
    pub(super) async fn listen(
        transport: Arc<dyn Transport>,
        names: Names,
        owner: &str,
    ) -> Result<Self, DeclareError> {
        let queue = reply_queue(&names, owner).map_err(|error| DeclareError::Invalid {
            item: format!("reply queue of {owner}"),
            reason: error.to_string(),
        })?;
        let inner = Arc::new(Inner {
            transport,
            names,
            queue,
            setup: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
        });
        match inner.ensure_declared().await {
            Err(DeclareError::Transport(error)) if error.is_transient() => {
                tracing::warn!(queue = %inner.queue, error = %ErrorChain(&error), "the queue for results will be declared once there is a broker");
            }
            declared => declared?,
        }
        let reader = spawn_beside(&*inner.transport, read(inner.clone()));
        Ok(Self { inner, reader })
    }

    /// Remembers a task that is about to be sent, so that an answer cannot come too early.
    pub(super) async fn expect(&self, id: &TaskId, service: &str) -> Result<Waiting, SendError> {
        let bound = self.inner.ensure_bound(service).await;
        bound.map_err(SendError::Results)?;
        let mut waiting = self.inner.waiting();
        let awaited = waiting.entry(id.clone()).or_insert_with(|| Awaited {
            ended: watch::channel(None).0,
            handles: 0,
        });
        awaited.handles += 1;
        Ok(Waiting {
            id: id.clone(),
            ended: awaited.ended.subscribe(),
            inner: self.inner.clone(),
        })
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // The queue removes itself once nobody consumes it.
        self.reader.abort();
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, HashMap<TaskId, Awaited>> {
        self.waiting
            .lock()
            .expect("no code panics while it holds the lock")
    }

    fn tell(&self, event: Event) {
        let ended = match event.kind {
            EventKind::State(TaskState::Success) => {
                let null = || serde_json::value::to_raw_value(&()).expect("null is JSON");
                Ended::Success(event.result.unwrap_or_else(null).into())
            }
            EventKind::State(
                state @ (TaskState::Failure | TaskState::Revoked | TaskState::Rejected),
            ) => {
                let unknown = || TaskFault::new(FaultKind::Exception, "no reason was given");
                Ended::Other(state, event.error.unwrap_or_else(unknown))
            }
            EventKind::State(_) | EventKind::Log => return,
        };
        if let Some(awaited) = self.waiting().get(&event.task_id) {
            awaited.ended.send_replace(Some(ended));
        }
    }

    async fn declare_queue(&self) -> Result<(), DeclareError> {
        let mut arguments = Headers::new();
        arguments.push("x-expires", QUEUE_EXPIRES_MS);
        let item = Item::Queue(Queue {
            name: self.queue.clone(),
            kind: QueueKind::Classic,
            arguments,
        });
        self.transport.declare(&item, Declare::Active).await
    }

    async fn ensure_declared(&self) -> Result<(), DeclareError> {
        self.declare_into(&mut *self.setup.lock().await).await
    }

    async fn declare_into(&self, setup: &mut Setup) -> Result<(), DeclareError> {
        if !setup.declared {
            self.declare_queue().await?;
            setup.declared = true;
        }
        Ok(())
    }

    async fn ensure_bound(&self, service: &str) -> Result<(), DeclareError> {
        let mut setup = self.setup.lock().await;
        if !setup.bound.contains(service) {
            self.declare_into(&mut setup).await?;
            self.bind(service).await?;
            setup.bound.insert(service.into());
        }
        Ok(())
    }

    async fn bind(&self, service: &str) -> Result<(), DeclareError> {
        let binding = Binding {
            source: self.names.events.clone(),
            destination: Destination::Queue(self.queue.clone()),
            key: event_key(service),
            arguments: Headers::new(),
        };
        let item = Item::Binding(binding);
        self.transport.declare(&item, Declare::Active).await
    }

    /// The broker removed the queue, because the producer was cut off for too long.
    async fn mend(&self) -> Result<(), DeclareError> {
        let setup = self.setup.lock().await;
        self.declare_queue().await?;
        for service in &setup.bound {
            self.bind(service).await?;
        }
        Ok(())
    }
}

fn reply_queue(names: &Names, owner: &str) -> Result<QueueName, InvalidText> {
    QueueName::new(&format!(
        "{}{owner}.reply.{}",
        names.prefix(),
        TaskId::random()
    ))
}

/// A subscription to a queue that is not there would look for it less often.
async fn until_declared(inner: &Inner) {
    let backoff = Backoff::reconnect(LATE_START);
    let mut tries = 0;
    while let Err(error) = inner.ensure_declared().await {
        tracing::debug!(queue = %inner.queue, error = %ErrorChain(&error), "the queue for results could not be declared yet");
        tokio::time::sleep(backoff.random_wait(tries)).await;
        tries = tries.saturating_add(1);
    }
}

async fn read(inner: Arc<Inner>) {
    until_declared(&inner).await;
    let options = SubscribeOptions::new(inner.queue.clone(), PREFETCH);
    let mut subscription = Subscription::open(inner.transport.clone(), options);
    let mut status = subscription.status();
    let mut mending = tokio::time::interval(MENDING);
    loop {
        tokio::select! {
            biased;
            delivery = subscription.next() => {
                let Some(delivery) = delivery else { return };
                // A batch that cannot be read is the daemon's to report; here it answers nobody.
                if let Ok(events) = serde_json::from_slice::<Vec<Event>>(&delivery.content.body) {
                    events.into_iter().for_each(|event| inner.tell(event));
                }
                // Lost with the connection, the batch comes again.
                let _ = delivery.ack();
            }
            _ = mending.tick() => {
                let gone = |status: &SubscriptionStatus| matches!(status, SubscriptionStatus::Down { transient: false, .. });
                if gone(&status.borrow_and_update())
                    && let Err(error) = inner.mend().await
                {
                    tracing::warn!(queue = %inner.queue, error = %ErrorChain(&error), "the queue for results could not be declared again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Content;
    use crate::names::TaskName;
    use crate::state::Lineage;
    use crate::topology::{self, QueueSettings};
    use crate::transport::memory::MemoryBroker;
    use crate::transport::{Publication, PublisherOptions};

    fn ended(id: &TaskId) -> Event {
        Event::new(
            id.clone(),
            TaskName::new("demo.add").expect("valid"),
            Lineage::default(),
            EventKind::State(TaskState::Success),
            chrono::Utc::now(),
        )
    }

    async fn listening() -> (MemoryBroker, Replies) {
        let broker = MemoryBroker::new();
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let items = topology::platform(&names, QueueSettings::Arguments);
        topology::apply(&broker, items).await.expect("declared");
        let replies = Replies::listen(Arc::new(broker.clone()), names, "test").await;
        (broker, replies.expect("listening"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_was_removed_is_declared_and_bound_again() {
        let (broker, replies) = listening().await;
        let id = TaskId::random();
        let mut waiting = replies.expect(&id, "demo").await.expect("bound");
        let queue = &replies.inner.queue;
        broker.delete_queue(queue).await.expect("deleted");
        while broker.depth(queue).await.expect("reachable").is_none() {
            tokio::time::sleep(MENDING).await;
        }
        let publisher = broker.publisher(PublisherOptions::default());
        let told = Publication {
            exchange: replies.inner.names.events.clone(),
            routing_key: event_key("demo"),
            content: Content::json(serde_json::to_vec(&[ended(&id)]).expect("JSON")),
        };
        publisher.publish(told).await.expect("confirmed");
        let answer = waiting.ended.wait_for(Option::is_some).await;
        assert!(matches!(answer.as_deref(), Ok(Some(Ended::Success(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_broker_the_queue_is_declared_and_read_as_soon_as_there_is_one() {
        let broker = MemoryBroker::new();
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let faults = broker.faults();
        faults.refuse_connections(Duration::from_secs(60));
        let replies = Replies::listen(Arc::new(broker.clone()), names, "test").await;
        let queue = replies.as_ref().expect("it starts").inner.queue.clone();
        tokio::time::sleep(Duration::from_secs(60) + LATE_START).await;
        let depth = broker.depth(&queue).await.expect("reachable");
        assert!(depth.expect("declared").consumers > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn two_who_wait_for_one_task_are_both_told_and_then_it_is_forgotten() {
        let (_broker, replies) = listening().await;
        let id = TaskId::random();
        let first = replies.expect(&id, "demo").await.expect("bound");
        let second = replies.expect(&id, "demo").await.expect("bound");
        drop(first);
        replies.inner.tell(ended(&id));
        assert!(second.ended.borrow().is_some());
        drop(second);
        assert!(replies.inner.waiting().is_empty());
    }
}
