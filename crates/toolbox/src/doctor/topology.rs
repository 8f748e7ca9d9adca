//! Whether exchanges and queues are as they are declared.

use super::{Check, broker_fault};
use crate::topology::{Item, ItemState, plan};
use crate::transport::Transport;

/// So many missing items are told one by one; more would fill screens.
const TOLD: usize = 5;

/// Compares `items` with the broker.
///
/// ```
/// # use counterfoil_toolbox::{config::BrokerSettings, transport::memory::MemoryBroker};
/// use counterfoil_toolbox::doctor;
/// use counterfoil_toolbox::topology::{self, ServiceSettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (transport, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// let items = topology::service(&names, &"export".parse()?, &ServiceSettings::default());
/// let checks = doctor::topology(&transport, items).await;
/// let missing = checks.iter().find(|check| check.name == "queue export").expect("it is named");
/// assert_eq!(missing.remedy.as_deref(), Some("run `counterfoil topology apply`"));
/// # Ok(()) }
/// ```
pub async fn topology(transport: &dyn Transport, items: Vec<Item>) -> Vec<Check> {
    let findings = match plan(transport, items).await {
        Ok(findings) => findings,
        Err(error) => return vec![broker_fault(&error)],
    };
    let (mut present, mut bindings) = (0, 0);
    let (mut missing, mut checks) = (Vec::new(), Vec::new());
    for finding in &findings {
        let remedy = finding.remedy().unwrap_or_default();
        let item = finding.item.to_string();
        match &finding.state {
            ItemState::Present | ItemState::Applied => present += 1,
            ItemState::Unknown => bindings += 1,
            ItemState::Missing => missing.push(Check::fail(item, "it is missing", &remedy)),
            ItemState::Differs { difference } => {
                checks.push(Check::fail(item, difference, &remedy))
            }
            ItemState::Unchecked { reason } => {
                checks.push(Check::warn(item, format!("it is there; {reason}"), &remedy));
            }
        }
    }
    let summary = format!("{present} exchanges and queues are as declared");
    let summary = if missing.len() > TOLD {
        let names: Vec<_> = missing[..TOLD].iter().map(|c| c.name.as_str()).collect();
        let (names, more) = (names.join(", "), missing.len() - TOLD);
        Check::fail(
            "topology",
            format!("{summary}; missing are {names}, and {more} more"),
            "run `counterfoil init`, or `counterfoil topology apply` if the database is ready; `counterfoil topology plan` names all of them",
        )
    } else {
        checks.splice(..0, missing);
        Check::ok("topology", summary)
    };
    checks.insert(0, summary);
    if bindings > 0 {
        checks.push(Check::ok(
            "bindings",
            format!("{bindings} cannot be read over AMQP; `counterfoil topology apply` sets them, as often as you like"),
        ));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use crate::names::ServiceName;
    use crate::topology::{Names, QueueSettings, ServiceSettings, apply, platform};
    use crate::transport::memory::MemoryBroker;

    #[tokio::test]
    async fn what_is_missing_is_named_one_by_one_unless_it_is_nearly_everything() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let ours = platform(&names, QueueSettings::Arguments);
        let service = ServiceName::new("demo").expect("valid");
        let broker = MemoryBroker::new();
        let failed = async |items| -> Vec<(String, String)> {
            let checks = topology(&broker, items).await;
            let failed = checks.into_iter().filter(|c| c.outcome == Outcome::Fail);
            failed.map(|check| (check.name, check.detail)).collect()
        };
        let told = failed(ours.clone()).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]
                .1
                .ends_with("exchange task_exchange.dead, and 17 more"),
            "{told:?}"
        );

        apply(&broker, ours.clone()).await.expect("in memory");
        let queues = crate::topology::service(&names, &service, &ServiceSettings::default());
        let told = failed([ours, queues].concat()).await;
        let told: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(told, ["queue demo", "queue demo.dead"]);
    }
}
