//! What `doctor` asks the broker.

use super::super::topology::wanted;
use super::services;
use crate::failure::{Code, Failure};
use crate::open;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::doctor::{
    Check, Duty, Outcome, broker, broker_fault, permissions, topology,
};
use counterfoil_toolbox::transport::TransportError;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use std::sync::Arc;

/// Looks at the broker, and returns the way to it when it answers.
pub(super) async fn look(
    config: &Config,
    told: &services::Told,
) -> (Vec<Check>, Option<Arc<AmqpTransport>>) {
    let transport = match AmqpTransport::new(&config.broker) {
        Ok(transport) => transport,
        Err(error) => {
            let failure = Failure::new(Code::Configuration, error);
            return (vec![failure.check("broker")], None);
        }
    };
    let deadline = config.broker.connect_timeout_of_all() * 2;
    let mut checks = match tokio::time::timeout(deadline, broker(&*transport)).await {
        Ok(checks) => checks,
        Err(_) => vec![broker_fault(&TransportError::Timeout {
            what: format!("a connection to {}", open::addresses(&config.broker)),
            after: deadline,
        })],
    };
    let answers = checks
        .iter()
        .all(|check| check.name != "broker" || check.outcome == Outcome::Ok);
    if !answers {
        checks.push(Check::warn(
            "topology",
            "skipped: the broker does not answer",
            "mend that first, then look again",
        ));
        return (checks, None);
    }
    match wanted(&config.broker) {
        Ok(wanted) => {
            let items = wanted.ours.into_iter().chain(wanted.of_others).collect();
            checks.extend(topology(&*transport, items).await);
            if let Ok(names) = config.broker.names() {
                checks.extend(permissions(&transport, &names, &Duty::Platform).await);
            }
            checks.extend(services::look(&*transport, &config.broker, told).await);
        }
        Err(failure) => checks.push(failure.check("topology")),
    }
    (checks, Some(transport))
}
