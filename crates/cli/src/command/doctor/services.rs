//! Whether services have workers: those of the configuration, and those that the database has heard of.

use crate::text::waiting;
use crate::when::shown;
use counterfoil_operations::services::paused as paused_services;
use counterfoil_store::Store;
use counterfoil_store::record::ControlRow;
use counterfoil_toolbox::Priority;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::doctor::{Check, broker_fault};
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::topology::{Names, ServiceSettings, work_queues};
use counterfoil_toolbox::transport::{QueueDepth, Transport, TransportError};
use std::collections::BTreeSet;

/// What the database tells of services.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Those that somebody paused: their queues have no consumers on purpose.
    pub(super) paused: Vec<ControlRow>,
    /// Services of which a task was mirrored or a worker heard, whatever the configuration names.
    known: BTreeSet<ServiceName>,
}

impl Told {
    /// Where the schema is missing, it tells nothing.
    pub(super) async fn by(store: &dyn Store) -> Self {
        let mut known = store.services().await.unwrap_or_default();
        let workers = store.workers().await.unwrap_or_default().into_iter();
        known.extend(workers.map(|worker| worker.service));
        Self {
            paused: paused_services(store).await.unwrap_or_default(),
            // Anybody may send a task of any name.
            known: known
                .iter()
                .filter_map(|name| ServiceName::new(name).ok())
                .collect(),
        }
    }
}

/// Looks who consumes the queues of services. That those of the configuration exist is a question of the topology;
/// of others, those are looked at that do.
pub(super) async fn look(
    transport: &dyn Transport,
    settings: &BrokerSettings,
    told: &Told,
) -> Vec<Check> {
    if settings.services.is_empty() && told.known.is_empty() {
        return vec![Check::warn(
            "consumers",
            "no services are configured, so no queue of a service is looked at",
            "name them in broker.services, or in COUNTERFOIL_BROKER__SERVICES, separated by commas",
        )];
    }
    match looked_at(transport, settings, told).await {
        Ok(checks) => checks,
        Err(error) => vec![broker_fault(&error)],
    }
}

async fn looked_at(
    transport: &dyn Transport,
    settings: &BrokerSettings,
    told: &Told,
) -> Result<Vec<Check>, TransportError> {
    // Names that cannot be used have failed before.
    let Ok(names) = settings.names() else {
        return Ok(Vec::new());
    };
    let (mut checks, mut consumed) = (Vec::new(), Vec::new());
    let others = told.known.iter();
    let others = others.filter(|service| !settings.services.contains(service));
    for service in settings.services.iter().chain(others) {
        let mut all_are = true;
        let is_paused = told
            .paused
            .iter()
            .any(|row| row.subject == service.as_str());
        for queue in work_queues(&names, service, &settings.service(service)) {
            match transport.depth(&queue).await? {
                Some(QueueDepth {
                    ready,
                    consumers: 0,
                }) if !is_paused => {
                    let remedy = match names.class_of(&queue) {
                        Priority::Normal => "start a worker of that service".to_owned(),
                        Priority::High | Priority::Low => format!(
                            "restart its workers with broker.queues.{service}.priorities = true: they look at the start"
                        ),
                    };
                    checks.push(Check::warn("consumers", nobody(&queue, ready), &remedy));
                }
                Some(QueueDepth { consumers: 1.., .. }) => continue,
                Some(_) | None => {}
            }
            all_are = false;
        }
        if all_are {
            consumed.push(service.as_str());
        }
        checks.extend(left_over(transport, &names, settings, service).await?);
    }
    for queue in [&names.tracking_queue, &names.events_queue] {
        if let Some(QueueDepth {
            ready,
            consumers: 0,
        }) = transport.depth(queue).await?
        {
            let (what, remedy) = (
                nobody(queue, ready),
                "start counterfoil-sync; where it runs, see its log",
            );
            checks.push(match ready {
                0 => Check::warn("consumers", what, remedy),
                _ => {
                    let what = what + ": the database does not know what happens now";
                    Check::fail("consumers", what, remedy)
                }
            });
        }
    }
    if !consumed.is_empty() {
        let services = consumed.join(", ");
        checks.insert(
            0,
            Check::ok("consumers", format!("workers consume {services}")),
        );
    }
    Ok(checks)
}

/// A service of which nothing starts, because somebody wanted that.
pub(super) fn paused(row: &ControlRow) -> Check {
    let by = row.created_by.as_deref().unwrap_or("somebody");
    let (service, since) = (&row.subject, shown(row.created_date));
    Check::warn(
        "paused",
        format!("service {service} was paused by {by} at {since}: nothing of it starts"),
        &format!("`counterfoil resume {service}`, when it may go on"),
    )
}

/// Queues of classes of a service that has none by its configuration: whoever sends with a class sends
/// into them, and no worker looks there.
async fn left_over(
    transport: &dyn Transport,
    names: &Names,
    settings: &BrokerSettings,
    service: &ServiceName,
) -> Result<Vec<Check>, TransportError> {
    let mut checks = Vec::new();
    let settings = settings.service(service);
    if settings.priorities {
        return Ok(checks);
    }
    // Those of delayed tasks too, whatever the configuration says of lengths by now.
    let as_it_was = ServiceSettings {
        priorities: true,
        max_length: Some(1),
        ..settings
    };
    let queues = work_queues(names, service, &as_it_was).into_iter();
    for queue in queues.filter(|queue| names.class_of(queue) != Priority::Normal) {
        if let Some(QueueDepth { ready, .. }) = transport.depth(&queue).await? {
            let what = format!(
                "the queue {queue} is there, in which {}, and {service} has no priorities here",
                waiting(u64::from(ready))
            );
            let remedy = format!(
                "set broker.queues.{service}.priorities = true, for its workers too, or empty and delete the queue"
            );
            checks.push(Check::warn("priorities", what, &remedy));
        }
    }
    Ok(checks)
}

fn nobody(queue: &QueueName, ready: u32) -> String {
    format!(
        "nobody consumes the queue {queue}, in which {}",
        waiting(u64::from(ready))
    )
}
