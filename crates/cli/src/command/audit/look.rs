//! One look at database and broker.

use super::balance::{Dead, Facts, Open, Place, Queue};
use super::reports::Canaries;
use super::tally::Tally;
use crate::failure::Failure;
use chrono::{DateTime, Utc};
use counterfoil_operations::workers::is_alive;
use counterfoil_store::record::{TaskRow, WorkerRow};
use counterfoil_store::{Cursor, DeadFilter, Store, TaskFilter};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use std::collections::{BTreeSet, HashSet};

/// Rows, or ids, that are read at a time.
const PAGE: u32 = 5000;

/// A worker has one consumer at each of its queues, and a second one beside it while all goes well.
const CONSUMERS: u32 = 2;

/// States in which a task is not over.
const OPEN: [TaskState; 6] = [
    TaskState::Pending,
    TaskState::Unroutable,
    TaskState::Received,
    TaskState::Started,
    TaskState::Progress,
    TaskState::Retry,
];

/// Where one looks.
pub(super) struct Look<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) transport: &'a dyn Transport,
    pub(super) names: &'a Names,
    pub(super) broker: &'a BrokerSettings,
}

impl Look<'_> {
    /// Queues first, then the rows that were there before: what a worker takes in between is a message too
    /// many then, and none too few.
    pub(super) async fn take(&self, sent: &Canaries) -> Result<(Facts, Tally), Failure> {
        let now = self.store.clock().await?;
        let workers = self.store.workers().await?.into_iter();
        let living: Vec<_> = workers.filter(|worker| is_alive(worker, now)).collect();
        let mut facts = Facts::default();
        for service in self.services().await? {
            let queue = self.queue(&service, &living).await?;
            facts.queues.insert(service.to_string(), queue);
            let dead = self
                .transport
                .depth(&self.names.dead_queue(&service))
                .await?;
            let ready = dead.map_or(0, |depth| depth.ready);
            facts
                .dead
                .insert(service.to_string(), (self.dead(&service).await?, ready));
        }
        facts.in_levels = self.in_levels().await?;
        let living_ids: HashSet<String> = living.iter().map(|worker| worker.id.clone()).collect();
        self.open(&mut facts, &living_ids, now).await?;
        self.other_queues(&mut facts, &living).await?;
        self.strays(&mut facts).await?;
        // Last of all: what waits by now may explain what was found before.
        facts.unread = self.unread(sent, now).await?;
        let tally = Tally::new(self.store, &facts).await?;
        Ok((facts, tally))
    }

    /// Services that anybody knows.
    async fn services(&self) -> Result<BTreeSet<ServiceName>, Failure> {
        let configured = self.broker.services.iter().chain(self.broker.queues.keys());
        let mut services: BTreeSet<ServiceName> = configured.cloned().collect();
        let known = self.store.services().await?.into_iter();
        let unroutable = self.store.unroutable_services().await?.into_iter();
        // Anybody may send a task of any name; not every one is that of a queue.
        services.extend(
            known
                .chain(unroutable)
                .filter_map(|name| ServiceName::new(&name).ok()),
        );
        Ok(services)
    }

    async fn queue(&self, service: &ServiceName, living: &[WorkerRow]) -> Result<Queue, Failure> {
        let mut sum = Queue::default();
        for queue in self.names.possible_queues(service) {
            let Some(depth) = self.transport.depth(&queue).await? else {
                continue;
            };
            sum.ready += depth.ready;
            sum.consumers += depth.consumers;
            sum.untold = sum.untold.saturating_add(untold(living, &queue));
            let readers = living.iter().filter(|worker| reads(worker, &queue));
            let readers = u32::try_from(readers.count()).unwrap_or(u32::MAX);
            sum.told = sum.told.saturating_add(readers.saturating_mul(CONSUMERS));
        }
        Ok(sum)
    }

    /// Those of services that only keys of tasks know.
    async fn other_queues(&self, facts: &mut Facts, living: &[WorkerRow]) -> Result<(), Failure> {
        let services = facts.open.iter().map(|open| &open.service);
        let services: BTreeSet<String> = services
            .filter(|service| !facts.queues.contains_key(*service))
            .cloned()
            .collect();
        for name in services {
            if let Ok(service) = ServiceName::new(&name) {
                let queue = self.queue(&service, living).await?;
                facts.queues.insert(name, queue);
            }
        }
        Ok(())
    }

    async fn dead(&self, service: &ServiceName) -> Result<Vec<Dead>, Failure> {
        let filter = DeadFilter {
            service: Some(service.to_string()),
            ..DeadFilter::default()
        };
        let records = self.store.dead_records(&filter).await?.into_iter();
        Ok(records
            .map(|record| Dead {
                record: record.id,
                task_id: record.task_id,
            })
            .collect())
    }

    async fn in_levels(&self) -> Result<u32, Failure> {
        let mut sum = 0;
        // In the order in which a message moves: it may be counted twice while it does, and is not overlooked.
        for queue in self.names.delay_queues() {
            let depth = self.transport.depth(&queue).await?;
            sum += depth.map_or(0, |depth| depth.ready);
        }
        Ok(sum)
    }

    async fn open(
        &self,
        facts: &mut Facts,
        living: &HashSet<String>,
        before: DateTime<Utc>,
    ) -> Result<(), Failure> {
        for state in OPEN {
            let mut filter = TaskFilter {
                state: Some(state),
                limit: PAGE,
                ..TaskFilter::default()
            };
            loop {
                let page: Vec<TaskRow> = self.store.tasks(&filter).await?;
                let is_last = page.len() < PAGE as usize;
                filter.after = page.last().map(Cursor::after);
                let ids: Vec<_> = page.iter().map(|row| row.task_id.clone()).collect();
                let unsent = self.store.unsent_tasks(&ids).await?;
                let old = page.iter().filter(|row| row.last_updated < before);
                facts.open.extend(old.map(|row| {
                    let mut open = Open::of(row, living, before);
                    if unsent.contains(&row.task_id) {
                        open.place = Place::Anywhere;
                    }
                    open
                }));
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn strays(&self, facts: &mut Facts) -> Result<(), Failure> {
        for stray in self.store.strays().await? {
            facts
                .strays
                .entry(stray.task_id)
                .or_default()
                .insert(stray.place);
        }
        let mut after: Option<String> = None;
        loop {
            let part = self.store.ids_without_row(after.as_deref(), PAGE).await?;
            for id in part.without_row {
                let places = facts.strays.entry(id.to_string()).or_default();
                places.insert("history, results or logs".to_owned());
            }
            match part.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// Messages of `queue` that these workers have and have said nothing of.
fn untold(workers: &[WorkerRow], queue: &QueueName) -> u32 {
    let hands = workers.iter().map(WorkerRow::in_hand);
    let untold = hands.filter_map(|hands| Some(hands.get(queue)?.untold));
    untold.fold(0, u32::saturating_add)
}

fn reads(worker: &WorkerRow, queue: &QueueName) -> bool {
    let queues: Vec<String> = serde_json::from_value(worker.queues.to_value()).unwrap_or_default();
    queues.iter().any(|name| name == queue.as_str())
}
