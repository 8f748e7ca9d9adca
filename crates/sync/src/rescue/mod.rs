//! Tasks that their workers have taken over from the broker are sent again when those workers vanish.
//!
//! Workers name such tasks in every sign of life, which renews their leases, by the database's clock. A
//! lease that has ended means nothing while signs of life do not come through. So the daemon sends markers
//! the same ways, and sends a task again only when they have come through promptly for a whole lease. While
//! no worker has taken anything over, there are none.

mod ended;
mod flow;
mod sounding;

pub(crate) use ended::Ended;
pub(crate) use sounding::{SoundError, Sounding};

use crate::health::Health;
use crate::leader::Leading;
use counterfoil_store::record::LostTask;
use counterfoil_store::{Batch, Store, StoreError};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::message::{TaskMessage, encode_again};
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{
    Publication, PublishError, Publisher, PublisherOptions, Transport,
};
use ended::long_enough;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Tasks that are sent again in one go.
const AT_ONCE: u32 = 500;

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// Time between two looks while no worker has taken anything over: one look into an index that is empty.
const IDLE: Duration = Duration::from_secs(1);

/// Sends lost tasks again. Only the leader does it, so that each is sent once.
#[derive(Debug)]
pub(crate) struct Rescuer {
    names: Names,
    store: Arc<dyn Store>,
    health: Arc<Health>,
    publisher: Publisher,
    sounding: Sounding,
    ended: Ended,
    /// Tasks that were sent and not marked, since the database went away in between. They must not be sent
    /// twice.
    unmarked: Vec<LostTask>,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
enum RescueError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the broker does not take what the daemon sends")]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Sound(#[from] SoundError),
}

impl Rescuer {
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        health: Arc<Health>,
    ) -> Self {
        // What no queue takes must not be taken for sent.
        let publisher = transport.publisher(PublisherOptions::mandatory());
        Self {
            sounding: Sounding::new(names.clone(), Arc::clone(&store), publisher.clone()),
            names,
            store,
            health,
            publisher,
            ended: Ended::default(),
            unmarked: Vec::new(),
        }
    }

    /// Looks after leases until it is dropped.
    ///
    /// # Cancel safety
    /// Cancelled between sending a task and marking it, the task is sent once more by the next leader.
    pub(crate) async fn run(mut self, leading: &Leading) {
        let mut is_told = false;
        loop {
            let pause = match self.round(leading).await {
                Ok(Some(shortest)) => {
                    is_told = false;
                    (shortest / 5).min(LOOK)
                }
                Ok(None) => IDLE,
                Err(error) => {
                    self.sounding.broke_off();
                    if !is_told {
                        let error = ErrorChain(&error);
                        tracing::warn!(%error, "nobody can tell lost workers from ones that are not heard; no task is sent again until that changes");
                    }
                    is_told = true;
                    IDLE
                }
            };
            sleep(pause).await;
        }
    }

    /// One look; the shortest lease, if there is any.
    async fn round(&mut self, leading: &Leading) -> Result<Option<Duration>, RescueError> {
        self.mark().await?;
        let Some(shortest) = self.store.shortest_lease().await? else {
            self.sounding.broke_off();
            return Ok(None);
        };
        self.sounding.sound().await?;
        let (now, mut seen, mut after) = (Instant::now(), HashSet::new(), None);
        loop {
            let page = self.store.lost_tasks(after.as_ref(), AT_ONCE).await?;
            let is_last = page.len() < AT_ONCE as usize;
            after = page.last().map(|task| task.task_id.clone());
            seen.extend(page.iter().map(|task| task.task_id.clone()));
            let lost: Vec<_> = page
                .into_iter()
                .filter(|task| self.is_lost(task, now))
                .collect();
            if !lost.is_empty() {
                if !leading.still().await {
                    return Ok(Some(shortest));
                }
                self.rescue(lost).await?;
            }
            if is_last {
                break;
            }
        }
        self.ended.keep(|task_id| seen.contains(task_id));
        Ok(Some(shortest))
    }

    /// Whether a lease that has ended means that its worker is gone.
    fn is_lost(&mut self, task: &LostTask, now: Instant) -> bool {
        let ended_for = self.ended.see(&task.task_id, task.lineage, now);
        ended_for >= long_enough(task.lease) && self.sounding.is_steady_for(task.lease, now)
    }

    async fn rescue(&mut self, lost: Vec<LostTask>) -> Result<(), RescueError> {
        let mut hopeless = Batch::new();
        let mut failed = None;
        for task in lost {
            let Some(publication) = self.again(&task) else {
                tracing::error!(task_id = %task.task_id, task_name = task.name, "a worker vanished with a task, and its message is not known");
                give_up(&mut hopeless, &task);
                continue;
            };
            let reason = task.fault().message;
            let attempt = task.next();
            tracing::warn!(task_id = %task.task_id, task_name = task.name, reason, %attempt, "a worker vanished with a task; it is sent again");
            // What failed may be there all the same: the next round sends it as the same attempt, unless a
            // worker has begun it by then.
            match self.publisher.publish(publication).await {
                Ok(()) => self.unmarked.push(task),
                // Its queue is full; others are not.
                Err(PublishError::Nacked) => {
                    tracing::warn!(task_id = %task.task_id, "its queue takes nothing now; it is tried again");
                }
                // The broker does not want this one; the others are no worse for it.
                Err(error) if !error.is_transient() => {
                    let error = ErrorChain(&error);
                    tracing::error!(task_id = %task.task_id, task_name = task.name, %error, "a worker vanished with a task, and it cannot be sent again");
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        self.mark().await?;
        if !hopeless.is_empty() {
            self.store.apply(&hopeless).await?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The task as its next attempt, on the way that leaves no second tracking copy.
    fn again(&self, task: &LostTask) -> Option<Publication> {
        let message = task.message.as_ref()?;
        let key = RoutingKey::new(&message.routing_key).ok()?;
        let content = &message.content;
        let mut message = TaskMessage::decode(content).ok()?;
        message.envelope.lineage = task.next();
        message.envelope.restarts = task.restarts.saturating_add(1);
        Some(Publication {
            exchange: self.names.requeue.clone(),
            routing_key: without_delay(&key),
            content: encode_again(content, &message.envelope, &message.payload),
        })
    }

    /// Writes down what was sent. Nothing else is sent before that worked.
    async fn mark(&mut self) -> Result<(), StoreError> {
        if !self.unmarked.is_empty() {
            self.store.mark_rescued(&self.unmarked).await?;
            self.health.metrics().rescued(self.unmarked.len());
            self.unmarked.clear();
        }
        Ok(())
    }
}

/// Nobody can send it again.
fn give_up(batch: &mut Batch, task: &LostTask) {
    let Ok(name) = task.name.parse() else {
        return;
    };
    let kind = EventKind::State(TaskState::Failure);
    let now = chrono::Utc::now();
    let mut event = Event::new(task.task_id.clone(), name, task.lineage, kind, now);
    let mut fault = task.fault();
    fault.message += ", and the platform does not know its message";
    event.error = Some(fault);
    batch.event(&event);
}
