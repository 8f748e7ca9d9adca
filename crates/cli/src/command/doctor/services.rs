//! Whether the services of the configuration have workers.

use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::doctor::{Check, broker_fault};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::{QueueDepth, Transport, TransportError};

/// Looks who consumes the queues of services. That they exist is a question of the topology.
pub(super) async fn look(transport: &dyn Transport, settings: &BrokerSettings) -> Vec<Check> {
    if settings.services.is_empty() {
        return vec![Check::warn(
            "services",
            "none are configured, so no queue of a service is looked at",
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
        match transport.depth(&queue).await? {
            Some(QueueDepth {
                ready,
                consumers: 0,
            }) => checks.push(nobody(&queue, ready)),
            Some(_) => consumed.push(service.as_str()),
            None => {}
        }
    }
    if !consumed.is_empty() {
        let services = consumed.join(", ");
        checks.insert(
            0,
            Check::ok("services", format!("workers consume {services}")),
        );
    }
    Ok(checks)
}

fn nobody(queue: &QueueName, ready: u32) -> Check {
    Check::warn(
        "services",
        format!("nobody consumes the queue {queue}, in which {ready} tasks wait"),
        "start a worker of that service",
    )
}
