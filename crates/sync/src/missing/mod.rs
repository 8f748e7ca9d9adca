//! Tasks whose messages are gone, because somebody purged or deleted a queue, are sent again.
//!
//! Nothing tells of a purge, so it is inferred, and never guessed. A task that waits, or that a worker had
//! which is gone, is missing when for
//! `sync.lost_after` all of this was so in every look:
//! - nothing was heard of it, and no copy of it can be in the delay levels: those that pass by there are
//!   seen, and tell until when, and which levels keep them: those are empty, whatever is in the others;
//! - all queues of its service are empty, whatever the class, the delayed ones too;
//! - the broker counts as many consumers as the service's workers tell of: nobody else takes messages;
//! - no worker has a delivery of which it has not told (what it told of is not waiting), and none fell silent
//!   so lately that the broker may not have noticed;
//! - the service is not paused, the task is not held;
//! - markers came through promptly (`rescue/sounding.rs`): what was said before each look is in the
//!   database.
//!
//! That later tasks of a queue were received proves less than it seems: a message that was given back
//! stands in front again, and waits for as long as no worker has a place. So it is not asked for.

mod watch;
pub(crate) mod workers;

use crate::asks::Asks;
use crate::leader::Leading;
use crate::rescue::{Ended, SoundError, Sounding};
use counterfoil_store::{ControlFilter, MissingTask, Store, StoreError};
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::{TaskMessage, encode_again};
use counterfoil_toolbox::names::{RoutingKey, ServiceName};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::topology::names::DELAY_LEVELS;
use counterfoil_toolbox::transport::{
    Publication, PublishError, Publisher, PublisherOptions, QueueDepth, Transport, TransportError,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use watch::{Facts, Watch};
use workers::Told;

/// Tasks that are sent again in one go, and how often so many are in one look.
const AT_ONCE: u32 = 500;
const PAGES: usize = 40;

/// Shortest and longest time between two looks.
const LOOKS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(60)];

/// How full all queues are together that the service may have. One that is not there is empty: what is sent
/// again waits, unroutable, for a queue.
pub(crate) async fn depth_of(
    transport: &dyn Transport,
    names: &Names,
    service: &ServiceName,
) -> Result<QueueDepth, TransportError> {
    let (mut ready, mut consumers) = (0_u32, 0_u32);
    for queue in names.possible_queues(service) {
        if let Some(depth) = transport.depth(&queue).await? {
            ready = ready.saturating_add(depth.ready);
            consumers = consumers.saturating_add(depth.consumers);
        }
    }
    Ok(QueueDepth { ready, consumers })
}

/// Finds missing tasks. Only the leader does it, so that each is sent once.
#[derive(Debug)]
pub(crate) struct Searcher {
    transport: Arc<dyn Transport>,
    names: Names,
    store: Arc<dyn Store>,
    publisher: Publisher,
    /// How long all of it has to be so.
    bound: Duration,
    sounding: Sounding,
    /// How long until the next look.
    pause: Duration,
    watch: Watch,
    /// Services whose queues could not be looked at, or did not take what was sent.
    broken: Asks,
    /// Since when each task was seen missing.
    missing: Ended,
    /// Tasks that were sent and not marked, since the database went away in between. They must not be sent
    /// twice.
    unmarked: Vec<(MissingTask, Lineage)>,
}

/// What stopped a look.
#[derive(Debug, thiserror::Error)]
enum SearchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the broker does not take what the daemon sends")]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Sound(#[from] SoundError),
}

/// The delay levels in which messages wait: level `n` is bit `n`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Levels(i32);

impl Levels {
    /// Whether a message of the task may be in one of them. A level that its delays do not name lets it pass, so
    /// what others wait there for, and for how long, says nothing.
    const fn may_hold(self, task: &MissingTask) -> bool {
        self.0 & task.delay_bits != 0
    }
}

impl Searcher {
    pub(crate) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        bound: Duration,
    ) -> Self {
        // What no queue takes must not be taken for sent.
        let publisher = transport.publisher(PublisherOptions::mandatory());
        let [shortest, longest] = LOOKS;
        let pause = (bound / 6).clamp(shortest, longest);
        Self {
            transport: Arc::clone(transport),
            sounding: Sounding::new(names.clone(), Arc::clone(&store), publisher.clone()),
            names,
            store,
            publisher,
            bound,
            pause,
            watch: Watch::default(),
            broken: Asks::new(pause),
            missing: Ended::default(),
            unmarked: Vec::new(),
        }
    }

    /// Looks again and again until it is dropped.
    ///
    /// # Cancel safety
    /// Cancelled between sending a task and marking it, the task is sent once more by the next leader.
    pub(crate) async fn run(mut self, leading: &Leading) {
        let mut is_told = false;
        loop {
            match self.look(leading).await {
                Ok(()) => is_told = false,
                Err(error) => {
                    self.sounding.broke_off();
                    self.watch.broke_off();
                    if !is_told {
                        let error = ErrorChain(&error);
                        tracing::warn!(%error, "nobody can tell whether messages of tasks are gone; none is sent again until that changes");
                    }
                    is_told = true;
                }
            }
            sleep(self.pause).await;
        }
    }

    /// One look at every service. The order matters: what the broker and the workers say first, then the
    /// marker, then the rows, which know by then all that was said before.
    async fn look(&mut self, leading: &Leading) -> Result<(), SearchError> {
        self.mark().await?;
        let names = self.names.clone();
        let workers = self.store.workers().await?;
        let told = Told::new(&names, &workers, self.store.clock().await?);
        let paused = self.paused().await?;
        let mut empty = Vec::new();
        for service in told.services() {
            let Some(at_the_broker) = self.depth(&service).await? else {
                continue;
            };
            let facts = Facts {
                is_paused: paused.contains(service.as_str()),
                ready: at_the_broker.ready,
                consumers: at_the_broker.consumers,
                ..Facts::default()
            };
            let empty_for =
                self.watch
                    .note(service.as_str(), told.of(&service, facts), Instant::now());
            if empty_for.is_some_and(|empty_for| empty_for >= self.bound) {
                empty.push(service);
            }
        }
        // Levels follow each other, and a broker that was away makes each of them late.
        let levels = match empty.is_empty() {
            true => Levels::default(),
            false => self.levels().await?,
        };
        self.sounding.sound().await?;
        let (now, mut seen) = (Instant::now(), HashSet::new());
        if !self.sounding.is_steady_for(self.bound, now) {
            return Ok(());
        }
        for service in empty {
            let done = self.search(&service, told.round(), levels, &mut seen, leading);
            match done.await {
                Err(error) if self.is_of_one(&error) => self.leave_alone(&service, &error).await?,
                done => done?,
            }
        }
        self.missing.keep(|task_id| seen.contains(task_id));
        Ok(())
    }

    /// How full the queues of a service are. `None`: nobody can say of this one.
    async fn depth(&mut self, service: &ServiceName) -> Result<Option<QueueDepth>, TransportError> {
        if self.broken.are_put_off(service.as_str(), Instant::now()) {
            return Ok(None);
        }
        match depth_of(&*self.transport, &self.names, service).await {
            Ok(depth) => {
                self.broken.answered(service.as_str());
                Ok(Some(depth))
            }
            Err(error) => {
                self.leave_alone(service, &error).await?;
                Ok(None)
            }
        }
    }

    /// Looks at this service again later, as if for the first time; the others do not wait for it.
    async fn leave_alone(
        &mut self,
        service: &ServiceName,
        error: &(dyn std::error::Error + Sync),
    ) -> Result<(), TransportError> {
        let (name, transport) = (service.as_str(), &*self.transport);
        let is_news = self
            .broken
            .not_answered(name, transport, &self.names)
            .await?;
        self.watch.lost_sight_of(name);
        if is_news {
            let error = ErrorChain(error);
            tracing::warn!(%service, %error, "nobody can tell whether messages of tasks of a service are gone; none of it is sent again until that changes");
        }
        Ok(())
    }

    /// Whether what stopped the search for tasks of one service need not stop that for others: its queue has no node
    /// that takes anything, or it has too many rows. Where it cannot be written what was sent, nothing else is.
    fn is_of_one(&self, error: &SearchError) -> bool {
        match error {
            SearchError::Publish(PublishError::ConfirmTimeout { .. }) => true,
            SearchError::Store(error) => error.is_slow() && self.unmarked.is_empty(),
            SearchError::Publish(_) | SearchError::Transport(_) | SearchError::Sound(_) => false,
        }
    }

    /// Services that are paused.
    async fn paused(&self) -> Result<HashSet<String>, StoreError> {
        let filter = ControlFilter {
            kind: Some("pause_service".to_owned()),
            limit: 0,
            ..ControlFilter::default()
        };
        let rows = self.store.controls(&filter).await?;
        Ok(rows.into_iter().map(|row| row.subject).collect())
    }

    /// In which delay levels anything is.
    async fn levels(&self) -> Result<Levels, TransportError> {
        let mut in_use = 0;
        // In the order in which messages move: none is overlooked while it does.
        for (queue, level) in self.names.delay_queues().zip((0..DELAY_LEVELS).rev()) {
            let depth = self.transport.depth(&queue).await?;
            if depth.is_some_and(|depth| depth.ready > 0) {
                in_use |= 1 << level;
            }
        }
        Ok(Levels(in_use))
    }

    /// Sends the missing tasks of a service again whose queues are empty.
    async fn search(
        &mut self,
        service: &ServiceName,
        long_enough: Duration,
        levels: Levels,
        seen: &mut HashSet<TaskId>,
        leading: &Leading,
    ) -> Result<(), SearchError> {
        let (now, mut after) = (Instant::now(), None);
        for _ in 0..PAGES {
            let page = self
                .store
                .missing_tasks(service.as_str(), self.bound, after.as_ref(), AT_ONCE)
                .await?;
            let is_last = page.len() < AT_ONCE as usize;
            after = page.last().map(|task| task.task_id.clone());
            let mut gone = Vec::new();
            for task in page.into_iter().filter(|task| !levels.may_hold(task)) {
                // Whatever the database's clock does, and until every worker has spoken once more.
                let missing_for = self.missing.see(&task.task_id, task.lineage, now);
                seen.insert(task.task_id.clone());
                if missing_for > long_enough {
                    gone.push(task);
                }
            }
            if !gone.is_empty() {
                if !leading.still().await {
                    return Ok(());
                }
                self.send_again(gone).await?;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn send_again(&mut self, gone: Vec<MissingTask>) -> Result<(), SearchError> {
        let mut failed = None;
        for task in gone {
            let Some((publication, attempt)) = self.again(&task) else {
                tracing::error!(task_id = %task.task_id, task_name = task.name, "the message of a task is gone, and cannot be made again from its tracking copy");
                continue;
            };
            tracing::warn!(task_id = %task.task_id, task_name = task.name, %attempt, "the message of a task is gone; it is sent again");
            match self.publisher.publish(publication).await {
                Ok(()) => self.unmarked.push((task, attempt)),
                // Its queue is full by now; others are not.
                Err(PublishError::Nacked) => {
                    tracing::warn!(task_id = %task.task_id, "its queue takes nothing now; it is tried again");
                }
                // The broker does not want this one; the others are no worse for it.
                Err(error) if !error.is_transient() => {
                    let error = ErrorChain(&error);
                    tracing::error!(task_id = %task.task_id, task_name = task.name, %error, "the message of a task is gone, and cannot be sent again");
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        self.mark().await?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The task as its next attempt, on the way that leaves no second tracking copy.
    fn again(&self, task: &MissingTask) -> Option<(Publication, Lineage)> {
        let key = RoutingKey::new(&task.message.routing_key).ok()?;
        let content = &task.message.content;
        let mut message = TaskMessage::decode(content).ok()?;
        let attempt = task.next(message.envelope.lineage);
        message.envelope.lineage = attempt;
        let publication = Publication {
            exchange: self.names.requeue.clone(),
            routing_key: without_delay(&key),
            content: encode_again(content, &message.envelope, &message.payload),
        };
        Some((publication, attempt))
    }

    /// Writes down what was sent. Nothing else is sent before that worked.
    async fn mark(&mut self) -> Result<(), StoreError> {
        if !self.unmarked.is_empty() {
            self.store.mark_found(&self.unmarked).await?;
            self.unmarked.clear();
        }
        Ok(())
    }
}
