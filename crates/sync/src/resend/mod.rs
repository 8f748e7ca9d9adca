//! Tasks that no service owned are sent again when their service appears: the one whose queue their
//! key leads to, whatever they are called. One that was sent with a class to a service that has none
//! runs all the same, as one of no class.

mod again;

use crate::asks::Asks;
use crate::missing::workers::Told as Workers;
use again::{again, class_of};
use counterfoil_store::record::UnroutableTask;
use counterfoil_store::{Store, StoreError, UnroutableFilter};
use counterfoil_toolbox::Priority;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Publisher, PublisherOptions, Transport, TransportError};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Tasks that are under way at the same time.
const AT_ONCE: u32 = 500;

/// How often so many are sent for one service in one round: the leader has other things to do, and
/// must know now and then that it still leads.
const PAGES: usize = 20;

/// How long a service that appears may take from its queue to its bindings.
const BINDING: Duration = Duration::from_secs(1);

/// Longest pause before tasks that came back are tried once more.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Sends tasks again whose service has a queue by now. Only the leader does it, so that each runs
/// once.
#[derive(Debug)]
pub(crate) struct Resender {
    transport: Arc<dyn Transport>,
    names: Names,
    store: Arc<dyn Store>,
    publisher: Publisher,
    interval: Duration,
    /// Services whose queues could not be looked at.
    broken: Asks,
    /// Services without a queue, and without a worker of which anything is known.
    missing: Asks,
    /// Services that had a queue at the last look.
    served: HashSet<String>,
    /// Services whose queue is there, but whose tasks came back all the same: a binding is missing.
    pauses: HashMap<String, Pause>,
    /// Tasks that were sent and not marked, since the database went away in between. They must not
    /// be sent twice.
    unmarked: Vec<UnroutableTask>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Resender {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        interval: Duration,
    ) -> Self {
        let publisher = transport.publisher(PublisherOptions::default());
        Self {
            transport,
            names,
            store,
            publisher,
            interval,
            broken: Asks::new(interval),
            missing: Asks::new(interval),
            served: HashSet::new(),
            pauses: HashMap::new(),
            unmarked: Vec::new(),
        }
    }

    /// Looks at every service that has such tasks, once.
    ///
    /// # Errors
    /// When broker or database do not answer; the next round does the rest.
    pub(crate) async fn round(&mut self) -> Result<(), ResendError> {
        self.mark().await?;
        let services = BTreeSet::from_iter(self.store.unroutable_services().await?);
        let now = Instant::now();
        // Between its sending and its coming back a task is nobody's here: that does not end a pause.
        self.pauses.retain(|service, pause| {
            services.contains(service) || now < pause.until + pause.length
        });
        let mut served = Vec::new();
        for service in self.turn(&services).await? {
            if self.has_queue(&service).await? {
                served.push(service);
            }
        }
        if served.iter().any(|service| !self.served.contains(service)) {
            // A queue is declared before it is bound.
            tokio::time::sleep(BINDING.min(self.interval)).await;
        }
        self.served = served.iter().cloned().collect();
        for service in served {
            match self.send_all_of(&service).await {
                Ok(()) => {}
                Err(ResendError::Transport(error)) => self.leave_alone(&service, &error).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whose queues are looked for now. Names can be invented, and much else waits for the end of a round.
    async fn turn(&mut self, services: &BTreeSet<String>) -> Result<Vec<String>, StoreError> {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let (rows, now) = (self.store.workers().await?, self.store.clock().await?);
        let ours = Workers::new(&self.names, &rows, now).services();
        let ours: BTreeSet<_> = ours.iter().map(ServiceName::as_str).collect();
        let is_known = |name: &str| ours.contains(name) || self.served.contains(name);
        Ok(self.missing.turn(services, is_known, Instant::now()))
    }

    async fn has_queue(&mut self, service: &str) -> Result<bool, TransportError> {
        // A key may begin with anything; no queue has such a name.
        let Ok(service) = ServiceName::new(service) else {
            self.missing.put_off(service, Instant::now());
            return Ok(false);
        };
        if self.broken.are_put_off(service.as_str(), Instant::now()) {
            return Ok(false);
        }
        let queue = self.names.service_queue(&service);
        match self.transport.depth(&queue).await {
            Ok(depth) => {
                self.broken.answered(service.as_str());
                let has_queue = depth.is_some();
                if has_queue {
                    self.missing.answered(service.as_str());
                } else {
                    self.missing.put_off(service.as_str(), Instant::now());
                }
                Ok(has_queue)
            }
            Err(error) => {
                self.leave_alone(service.as_str(), &error).await?;
                Ok(false)
            }
        }
    }

    /// Tries this service again later; the others do not wait for it.
    async fn leave_alone(
        &mut self,
        service: &str,
        error: &TransportError,
    ) -> Result<(), TransportError> {
        let transport = &*self.transport;
        if self
            .broken
            .not_answered(service, transport, &self.names)
            .await?
        {
            let error = ErrorChain(error);
            tracing::warn!(service, %error, "the queue of a service cannot be looked at; its tasks are sent again when it can");
        }
        Ok(())
    }

    /// The classes of these tasks for which their service has no queue. Whoever has to, is told.
    async fn missing_classes(
        &self,
        service: &str,
        tasks: &[UnroutableTask],
    ) -> Result<Vec<Priority>, TransportError> {
        let mut missing = Vec::new();
        for class in [Priority::High, Priority::Low] {
            let count = tasks.iter().filter(|task| class_of(task) == class).count();
            let Some(service) = ServiceName::new(service).ok().filter(|_| count > 0) else {
                continue;
            };
            let queue = self.names.class_queue(&service, class);
            if self.transport.depth(&queue).await?.is_none() {
                missing.push(class);
                let reason = format!(
                    "there is no queue {queue}: set broker.queues.{service}.priorities = true, \
                     then run `counterfoil topology apply`"
                );
                tracing::warn!(%service, count, reason, "tasks are sent again without their class");
            }
        }
        Ok(missing)
    }

    async fn send_all_of(&mut self, service: &str) -> Result<(), ResendError> {
        let now = Instant::now();
        // Sent again before, and back: not at every round, and not in the way of others.
        let pausing = self
            .pauses
            .get(service)
            .is_some_and(|pause| now < pause.until);
        let mut wanted = UnroutableFilter {
            service: service.to_owned(),
            first_time_only: pausing,
            after: None,
            limit: AT_ONCE,
        };
        let (mut sent, mut came_back) = (0, false);
        for _ in 0..PAGES {
            let page = self.store.unroutable(&wanted).await?;
            let is_last = page.len() < AT_ONCE as usize;
            came_back |= page.iter().any(|task| task.lineage.rescue > 0);
            wanted.after = page.last().map(|task| task.place.clone());
            let missing = self.missing_classes(service, &page).await?;
            let taken = self.send(page, &missing).await;
            self.mark().await?;
            sent += taken;
            if is_last || taken == 0 {
                break;
            }
        }
        if came_back {
            self.pause(service, now);
        }
        if sent > 0 {
            tracing::info!(
                service,
                sent,
                "a service appeared: its tasks were sent again"
            );
        }
        Ok(())
    }

    /// Publishes the tasks and returns how many were confirmed.
    async fn send(&mut self, tasks: Vec<UnroutableTask>, missing: &[Priority]) -> usize {
        let mut under_way = Vec::with_capacity(tasks.len());
        let mut failed = None;
        for task in tasks {
            let publication = match again(&self.names, &task, missing) {
                Ok(publication) => publication,
                Err(reason) => {
                    tracing::warn!(task_id = %task.task_id, reason, "task cannot be sent again");
                    continue;
                }
            };
            match self.publisher.enqueue(publication).await {
                Ok(confirm) => under_way.push((task, confirm)),
                Err(error) => {
                    failed = Some(ErrorChain(&error).to_string());
                    break;
                }
            }
        }
        let before = self.unmarked.len();
        for (task, confirm) in under_way {
            match confirm.await {
                Ok(()) => self.unmarked.push(task),
                Err(error) => failed = Some(ErrorChain(&error).to_string()),
            }
        }
        if let Some(error) = failed {
            tracing::warn!(error, "tasks were not sent again");
        }
        self.unmarked.len() - before
    }

    /// Writes down what was sent, all at once. Nothing else is sent before that worked; a crash before
    /// it sends them once more, as the same attempt.
    async fn mark(&mut self) -> Result<(), StoreError> {
        if !self.unmarked.is_empty() {
            self.store.mark_resent(&self.unmarked).await?;
            self.unmarked.clear();
        }
        Ok(())
    }

    fn pause(&mut self, service: &str, now: Instant) {
        let length = self.pauses.get(service).map_or(self.interval, |pause| {
            pause.length.saturating_mul(2).min(LONGEST_PAUSE)
        });
        let until = now + length;
        self.pauses
            .insert(service.to_owned(), Pause { until, length });
    }
}
