//! Whether the services of the configuration have workers.

use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::doctor::{Check, broker_fault};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::{QueueDepth, Transport, TransportError};

/// Looks who consumes the queues of services. That they exist is a question of the topology.
pub(super) async fn look(transport: &dyn Transport, settings: &BrokerSettings) -> Vec<Check> {
    if settings.services.is_empty() {
        return vec![Check::warn(
            "consumers",
            "no services are configured, so no queue of a service is looked at",
            "name them in broker.services, or in COUNTERFOIL_BROKER__SERVICES, separated by commas",
        )];
    }
    match looked_at(transport, settings).await {
        Ok(checks) => checks,
        Err(error) => vec![broker_fault(&error)],
    }
}

async fn looked_at(
    transport: &dyn Transport,
    settings: &BrokerSettings,
) -> Result<Vec<Check>, TransportError> {
    // Names that cannot be used have failed before.
    let Ok(names) = settings.names() else {
        return Ok(Vec::new());
    };
    let (mut checks, mut consumed) = (Vec::new(), Vec::new());
    for service in &settings.services {
        let queue = names.service_queue(service);
        // Where delayed tasks come out when the length of the queue is limited.
        let limited = settings.service(service).max_length.is_some();
        let late = limited.then(|| names.late_queue(service));
        let mut all_are = true;
        for queue in std::iter::once(queue).chain(late) {
            match transport.depth(&queue).await? {
                Some(QueueDepth {
                    ready,
                    consumers: 0,
                }) => checks.push(nobody(&queue, ready, "start a worker of that service")),
                Some(_) => continue,
                None => {}
            }
            all_are = false;
        }
        if all_are {
            consumed.push(service.as_str());
        }
    }
    for queue in [&names.tracking_queue, &names.events_queue] {
        if let Some(QueueDepth {
            ready,
            consumers: 0,
        }) = transport.depth(queue).await?
        {
            checks.push(nobody(queue, ready, "start counterfoil-sync"));
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

fn nobody(queue: &QueueName, ready: u32, remedy: &str) -> Check {
    let what = format!("nobody consumes the queue {queue}, in which {ready} messages wait");
    Check::warn("consumers", what, remedy)
}
