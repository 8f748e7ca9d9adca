//! How full queues are, who consumes them, and what comes in.

use crate::error::OperationError;
use crate::services::paused;
use chrono::TimeDelta;
use counterfoil_store::Store;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::{Names, work_queues};
use counterfoil_toolbox::transport::{QueueDepth, Transport};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// One queue. Numbers are absent for a queue that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueLine {
    /// The queue.
    pub queue: QueueName,
    /// Whose it is; absent for the platform's own queues.
    pub service: Option<ServiceName>,
    /// Messages that wait.
    pub ready: Option<u32>,
    /// Consumers.
    pub consumers: Option<u32>,
    /// Messages in the service's dead queue, told with the first of its queues.
    pub dead: Option<u32>,
    /// Tasks of the service that were sent within the last minute, as far as they are mirrored, told with the first
    /// of its queues. Absent when the database was not asked.
    pub sent_per_minute: Option<i64>,
    /// Whether somebody paused the service. Absent when the database was not asked.
    pub paused: Option<bool>,
}

/// What the database tells of services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Services of which a task was mirrored, a worker heard or a pause asked, and how many tasks of each were sent
    /// within the last minute.
    sent_per_minute: BTreeMap<ServiceName, i64>,
    /// Those that somebody paused.
    paused: HashSet<String>,
}

/// What the database tells of a service.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    sent_per_minute: Option<i64>,
    paused: Option<bool>,
}

/// Asks the database which services there are, and what is known of them.
///
/// # Errors
/// [`OperationError::Store`].
///
/// # Cancel safety
/// It only looks.
pub async fn known(store: &dyn Store) -> Result<Known, OperationError> {
    let since = store.clock().await? - TimeDelta::minutes(1);
    let workers = store.workers().await?.into_iter();
    let ever = store.services().await?.into_iter();
    let lately = store.counts_by_service(Some(since)).await?;
    let paused = paused(store).await?.into_iter();
    let paused: HashSet<String> = paused.map(|row| row.subject).collect();
    let names = workers.map(|worker| worker.service).chain(ever);
    let mut sent_per_minute = BTreeMap::new();
    for name in names.chain(paused.iter().cloned()) {
        let sent = lately.iter().filter(|count| count.service == name);
        let sent = sent.map(|count| count.tasks).sum();
        match ServiceName::new(&name) {
            Ok(service) => drop(sent_per_minute.insert(service, sent)),
            // Anybody may send a task of any name.
            Err(error) => tracing::debug!(error = %ErrorChain(&error), "no queue has this name"),
        }
    }
    Ok(Known {
        sent_per_minute,
        paused,
    })
}

/// Looks at every queue of the services that the settings name or the database knows, and at the platform's own.
/// `known` is absent where the database was not asked.
///
/// # Errors
/// [`OperationError::Transport`].
///
/// # Cancel safety
/// It only looks.
pub async fn look(
    transport: &dyn Transport,
    names: &Names,
    settings: &BrokerSettings,
    known: Option<&Known>,
) -> Result<Vec<QueueLine>, OperationError> {
    let mut lines = Vec::new();
    for (service, told) in services(settings, known) {
        let mut own = of_service(transport, settings, names, service).await?;
        if is_ghost(&own, &told, settings) {
            continue;
        }
        own[0].sent_per_minute = told.sent_per_minute;
        own.iter_mut().for_each(|line| line.paused = told.paused);
        lines.extend(own);
    }
    for queue in of_platform(names) {
        let depth = transport.depth(queue).await?;
        lines.push(line(queue.clone(), None, depth));
    }
    Ok(lines)
}

/// Services of the settings, and those that the database knows, each with what that tells.
fn services(settings: &BrokerSettings, known: Option<&Known>) -> BTreeMap<ServiceName, Told> {
    let configured = settings.services.iter().chain(settings.queues.keys());
    let Some(known) = known else {
        let untold = configured.map(|service| (service.clone(), Told::default()));
        return untold.collect();
    };
    let all = configured.chain(known.sent_per_minute.keys());
    let told = all.map(|service| {
        let sent = known.sent_per_minute.get(service);
        let told = Told {
            sent_per_minute: Some(sent.copied().unwrap_or(0)),
            paused: Some(known.paused.contains(service.as_str())),
        };
        (service.clone(), told)
    });
    told.collect()
}

/// Whether there is nothing of a service but a name in old tasks, as mistyped ones leave it.
fn is_ghost(queues: &[QueueLine], told: &Told, settings: &BrokerSettings) -> bool {
    let is_configured = |service: &ServiceName| {
        settings.services.contains(service) || settings.queues.contains_key(service)
    };
    let is_missing = |line: &QueueLine| line.ready.is_none() && line.dead.is_none();
    queues.iter().all(is_missing)
        && !queues
            .iter()
            .filter_map(|line| line.service.as_ref())
            .any(is_configured)
        && told.sent_per_minute == Some(0)
        && told.paused == Some(false)
}

async fn of_service(
    transport: &dyn Transport,
    settings: &BrokerSettings,
    names: &Names,
    service: ServiceName,
) -> Result<Vec<QueueLine>, OperationError> {
    let dead = transport.depth(&names.dead_queue(&service)).await?;
    let dead = dead.map(|depth| depth.ready);
    let mut lines = Vec::new();
    for queue in work_queues(names, &service, &settings.service(&service)) {
        let depth = transport.depth(&queue).await?;
        lines.push(line(queue, Some(service.clone()), depth));
    }
    // It has one dead queue, told of beside its own.
    lines[0].dead = dead;
    Ok(lines)
}

fn line(queue: QueueName, service: Option<ServiceName>, depth: Option<QueueDepth>) -> QueueLine {
    QueueLine {
        queue,
        service,
        ready: depth.map(|depth| depth.ready),
        consumers: depth.map(|depth| depth.consumers),
        dead: None,
        sent_per_minute: None,
        paused: None,
    }
}

/// Those in which messages may wait. The control stream never empties, and signs of life expire.
fn of_platform(names: &Names) -> [&QueueName; 7] {
    [
        &names.tracking_queue,
        &names.events_queue,
        &names.deaths_queue,
        &names.expired_queue,
        &names.unroutable_queue,
        &names.celeryev_queue,
        &names.platform_dead_queue,
    ]
}
