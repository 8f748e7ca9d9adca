//! What the broker's user may do, asked of the broker itself.

use super::{Check, broker_fault};
use crate::delay::delayed_key;
use crate::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use crate::topology::names::{dead_key, event_key, heartbeat_key};
use crate::topology::{Names, ServiceSettings, work_queues};
use crate::transport::TransportError;
use crate::transport::amqp::{AmqpTransport, Rehearsed};
use std::time::Duration;

/// Name of its checks.
const NAME: &str = "permissions";

/// Whose work the user must be able to do. [`permissions`] has an example.
#[derive(Debug, Clone)]
pub enum Duty<'a> {
    /// That of `counterfoil-sync`, and of the command line.
    Platform,
    /// That of a worker of one service. It declares nothing: that is for who applies the topology.
    Worker {
        /// The service.
        service: &'a ServiceName,
        /// How its queues are declared.
        settings: ServiceSettings,
    },
}

/// What a duty asks of the broker.
struct Needs {
    read: Vec<QueueName>,
    write: Vec<(ExchangeName, RoutingKey)>,
    declare: Vec<QueueName>,
}

/// Asks the broker whether its user may do all of that, without doing any of it. What is missing at the broker is
/// left to [`topology`](super::topology()).
///
/// ```
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::doctor::{Duty, permissions};
/// use counterfoil_toolbox::transport::amqp::AmqpTransport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let settings = BrokerSettings { urls: vec!["amqp://127.0.0.1:1".into()], ..BrokerSettings::default() };
/// let (transport, names) = (AmqpTransport::new(&settings)?, settings.names()?);
/// let export = "export".parse()?;
/// let duty = Duty::Worker { service: &export, settings: settings.service(&export) };
/// for check in permissions(&transport, &names, &duty).await {
///     println!("{}: {}", check.name, check.detail); // "permissions: the user export may do what …"
/// #   assert_eq!(check.name, "broker"); // there is none at port 1
/// }
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Cancelled, nothing has happened.
pub async fn permissions(transport: &AmqpTransport, names: &Names, duty: &Duty<'_>) -> Vec<Check> {
    match refusals(transport, &needs(names, duty)).await {
        Err(error) => vec![broker_fault(&error)],
        Ok(refused) if refused.is_empty() => vec![Check::ok(
            NAME,
            format!("the user {} may do what {duty} does", transport.user()),
        )],
        Ok(refused) => vec![Check::fail(
            NAME,
            format!(
                "the user {} may not {}",
                transport.user(),
                refused.join(", nor ")
            ),
            &remedy(transport, names, duty),
        )],
    }
}

impl std::fmt::Display for Duty<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Platform => f.write_str("counterfoil-sync"),
            Self::Worker { service, .. } => write!(f, "a worker of {service}"),
        }
    }
}

fn needs(names: &Names, duty: &Duty<'_>) -> Needs {
    let key = |text: &str| RoutingKey::new(text).expect("a service name and a word");
    match duty {
        Duty::Platform => {
            let queues = [
                &names.tracking_queue,
                &names.events_queue,
                &names.deaths_queue,
                &names.unroutable_queue,
                &names.expired_queue,
                &names.heartbeats_queue,
            ];
            let canary = key(crate::names::CANARY);
            let exchanges = [&names.tasks, &names.requeue, &names.control];
            let own_events = [
                (names.events.clone(), event_key("platform")),
                (names.heartbeats.clone(), heartbeat_key("platform")),
            ];
            let tokens = format!("{}platform.tokens.{}", names.prefix(), uuid::Uuid::now_v7());
            Needs {
                read: queues.into_iter().cloned().collect(),
                write: exchanges
                    .into_iter()
                    .map(|exchange| (exchange.clone(), canary.clone()))
                    .chain(own_events)
                    .collect(),
                declare: vec![QueueName::new(&tokens).expect("a prefix is at most 100 bytes")],
            }
        }
        Duty::Worker { service, settings } => {
            let mut read = work_queues(names, service, settings);
            read.push(names.control_queue.clone());
            let own = key(&format!("{service}.counterfoil"));
            let later = delayed_key(Duration::from_secs(1), &own).expect("a short key");
            Needs {
                read,
                write: vec![
                    (names.tasks.clone(), own),
                    (names.delay_entry.clone(), later),
                    (names.events.clone(), event_key(service.as_str())),
                    (names.heartbeats.clone(), heartbeat_key(service.as_str())),
                    (names.dead.clone(), dead_key(service.as_str())),
                ],
                declare: Vec::new(),
            }
        }
    }
}

/// What is not allowed, each as it stands after "may not".
async fn refusals(transport: &AmqpTransport, needs: &Needs) -> Result<Vec<String>, TransportError> {
    let mut refused = Vec::new();
    for queue in &needs.read {
        if let Rehearsed::Refused { .. } = transport.may_consume(queue).await? {
            refused.push(format!("read queue {queue}"));
        }
    }
    for (exchange, key) in &needs.write {
        if let Rehearsed::Refused { .. } = transport.may_publish(exchange, key).await? {
            let key = crate::delay::without_delay(key);
            refused.push(format!(
                "publish to {exchange} with the key {:?}",
                key.as_str()
            ));
        }
    }
    for queue in &needs.declare {
        if let Rehearsed::Refused { .. } = transport.may_declare(queue).await? {
            refused.push("declare queues platform.tokens.*".to_owned());
        }
    }
    Ok(refused)
}

fn remedy(transport: &AmqpTransport, names: &Names, duty: &Duty<'_>) -> String {
    let (vhost, user) = (transport.vhost(), transport.user());
    match duty {
        Duty::Platform => format!(
            "`rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'`, and `rabbitmqctl clear_topic_permissions \
             -p {vhost} {user}` if its keys are limited; or name the platform's user in broker.url"
        ),
        Duty::Worker { service, .. } => {
            let exchanges = [
                &names.tasks,
                &names.events,
                &names.heartbeats,
                &names.dead,
                &names.delay_entry,
            ];
            let escaped = |name: &str| name.replace('.', "\\.");
            let exchanges = exchanges.map(|exchange| escaped(exchange.as_str()));
            let tokens = format!(
                "{}platform\\.tokens\\.{service}\\..+",
                escaped(names.prefix())
            );
            let (own, control) = (
                escaped(names.class_queue(service, crate::Priority::Normal).as_str()),
                escaped(names.control_queue.as_str()),
            );
            format!(
                "`rabbitmqctl set_permissions -p {vhost} {user} '^$' '^({})$' '^({own}(~(high|low))?(\\.late)?|{control}|{tokens})$'`, \
                 and the topic permissions: `deploy/rabbitmq/permissions --vhost {vhost} --user {user} worker {service} CALLED…` sets \
                 all of them; name every service that it sends tasks to",
                exchanges.join("|")
            )
        }
    }
}
