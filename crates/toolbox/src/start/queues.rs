//! The queues of a worker, before it takes its first task.

use super::StartError;
use crate::backoff::Backoff;
use crate::config::{Config, Declaring, Profile};
use crate::error::ErrorChain;
use crate::names::{QueueName, ServiceName};
use crate::topology::{self, Finding, Item, ItemState, Names};
use crate::transport::{Transport, TransportError};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest pause between two tries to reach the broker.
const PAUSE_CAP: Duration = Duration::from_secs(5);

/// Makes sure that `queues` can be consumed.
///
/// In development it declares what the platform and the services of these queues need, so that a
/// first start just works. In production it only looks: a missing queue, or one that is not as it
/// is declared, is an error with its remedy. A broker that is away is waited for, and systemd is asked to wait
/// as long.
///
/// [`unless_asked_to_stop`](super::unless_asked_to_stop) lets a process end well that is told to meanwhile.
///
/// ```
/// use counterfoil_toolbox::config::{Config, LoadOptions, Role};
/// use counterfoil_toolbox::start::prepare_queues;
/// # use counterfoil_toolbox::transport::{Transport, memory::MemoryBroker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let transport = MemoryBroker::new();
/// let config = Config::load(LoadOptions::new(Role::Worker))?; // in development
/// let queues = ["image".parse()?]; // those of `Worker::queues`
/// prepare_queues(&transport, &config, &queues).await?;
/// assert!(transport.depth(&queues[0]).await?.is_some());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`StartError`] when waiting does not help.
///
/// # Cancel safety
/// Cancelled, part of the topology may be declared; call it again.
pub async fn prepare_queues(
    transport: &dyn Transport,
    config: &Config,
    queues: &[QueueName],
) -> Result<(), StartError> {
    let names = config.broker.names()?;
    #[cfg(unix)]
    let _patience = super::systemd::starting("waiting for the broker");
    for tries in 0.. {
        match try_once(transport, config, &names, queues).await {
            Ok(problems) if problems.is_empty() => break,
            Ok(problems) => return Err(StartError::Queues { problems }),
            Err(error) if error.is_transient() => {
                tracing::warn!(error = %ErrorChain(&error), "waiting for the broker");
                tokio::time::sleep(Backoff::reconnect(PAUSE_CAP).random_wait(tries)).await;
            }
            Err(error) => return Err(StartError::Broker(error)),
        }
    }
    Ok(())
}

/// What is wrong with the queues, one line each.
async fn try_once(
    transport: &dyn Transport,
    config: &Config,
    names: &Names,
    queues: &[QueueName],
) -> Result<Vec<String>, TransportError> {
    // First, so that a refusal below is about a queue, and not about the user.
    transport.server().await?;
    let mut problems = Vec::new();
    if config.profile == Profile::Development {
        let items = to_declare(config, names, queues);
        let findings = topology::apply(transport, items).await?;
        problems.extend(findings.iter().filter_map(problem));
    }
    for queue in queues {
        match look(transport, config, names, queue).await {
            Ok(found) => problems.extend(found.filter(|problem| !problems.contains(problem))),
            // Some brokers let a user consume a queue that it may not look at: consuming tells.
            Err(TransportError::Refused { reason, .. }) => {
                tracing::debug!(%queue, reason, "the queue cannot be looked at");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(problems)
}

/// What is wrong with one queue.
async fn look(
    transport: &dyn Transport,
    config: &Config,
    names: &Names,
    queue: &QueueName,
) -> Result<Option<String>, TransportError> {
    match declared(config, names, queue) {
        Some(item) => {
            let findings = topology::plan(transport, vec![item]).await?;
            Ok(findings.iter().find_map(problem))
        }
        None => {
            let depth = transport.depth(queue).await?;
            Ok(depth.is_none().then(|| {
                format!("queue {queue} does not exist: whoever owns it has to declare it")
            }))
        }
    }
}

/// The queue as it is declared. `None`: by somebody else, in a way of their own.
fn declared(config: &Config, names: &Names, queue: &QueueName) -> Option<Item> {
    let service = ServiceName::new(names.service_of(queue)).ok()?;
    if config.broker.declaring(&service) == Declaring::Off {
        return None;
    }
    let items = topology::service(names, &service, &config.broker.service(&service));
    items
        .into_iter()
        .find(|item| matches!(item, Item::Queue(found) if found.name == *queue))
}

/// Everything that a worker on these queues needs at a broker of its own.
fn to_declare(config: &Config, names: &Names, queues: &[QueueName]) -> Vec<Item> {
    let mut items = topology::platform(names, config.broker.queue_settings);
    let services = queues.iter().map(|queue| names.service_of(queue));
    // A service may have several of the queues.
    let services: BTreeSet<_> = services.collect();
    let services = services.into_iter();
    for service in services.filter_map(|name| ServiceName::new(name).ok()) {
        if config.broker.declaring(&service) == Declaring::Active {
            let settings = config.broker.service(&service);
            items.extend(topology::service(names, &service, &settings));
        }
    }
    items
}

fn problem(finding: &Finding) -> Option<String> {
    let what = match &finding.state {
        ItemState::Missing => "does not exist".to_owned(),
        ItemState::Differs { difference } => format!("differs from what is declared: {difference}"),
        ItemState::Present
        | ItemState::Applied
        | ItemState::Unknown
        | ItemState::Unchecked { .. } => return None,
    };
    let remedy = finding.remedy().unwrap_or_default();
    Some(format!("{} {what}: {remedy}", finding.item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, Role};
    use crate::topology::QueueKind;
    use crate::transport::Declare;
    use crate::transport::memory::MemoryBroker;

    fn config(env: &[(&str, &str)]) -> Config {
        let url = ("COUNTERFOIL_BROKER__URL", "amqp://broker.test/%2f");
        let env = env.iter().copied().chain([url]);
        Config::load(LoadOptions::new(Role::Worker).env(env)).expect("good")
    }

    fn queues() -> Vec<QueueName> {
        vec![QueueName::new("demo").expect("a name")]
    }

    const PRODUCTION: (&str, &str) = ("COUNTERFOIL_PROFILE", "production");

    #[tokio::test]
    async fn in_development_queues_are_made_and_in_production_a_missing_one_stops_the_start() {
        let broker = MemoryBroker::new();
        let refused = prepare_queues(&broker, &config(&[PRODUCTION]), &queues()).await;
        let refused = refused.expect_err("there is no queue");
        assert_eq!(refused.code(), 78);
        assert_eq!(
            refused.to_string(),
            "queue demo does not exist: run `counterfoil topology apply`"
        );
        for env in [&[][..], &[PRODUCTION]] {
            let ready = prepare_queues(&broker, &config(env), &queues()).await;
            ready.expect("the queue is there");
        }
    }

    #[tokio::test]
    async fn a_queue_of_another_kind_stops_the_start_everywhere_and_the_remedy_is_named() {
        for env in [&[][..], &[PRODUCTION]] {
            let broker = MemoryBroker::new();
            let item = Item::Queue(topology::Queue {
                name: queues().remove(0),
                kind: QueueKind::Classic,
                arguments: crate::message::Headers::new(),
            });
            let declared = broker.declare(&item, Declare::Active).await;
            declared.expect("there was none");
            let refused = prepare_queues(&broker, &config(env), &queues()).await;
            let refused = refused.expect_err("it differs").to_string();
            assert!(refused.starts_with("queue demo differs"), "{refused}");
            assert!(refused.contains("empty and delete the queue"), "{refused}");
            assert_eq!(refused.lines().count(), 1, "{refused}");
        }
    }

    #[tokio::test]
    async fn a_queue_that_somebody_else_declares_need_only_be_there() {
        let broker = MemoryBroker::new();
        let off = ("COUNTERFOIL_BROKER__QUEUES__DEMO__DECLARE", "off");
        let config = config(&[off]);
        let refused = prepare_queues(&broker, &config, &queues()).await;
        let refused = refused.expect_err("there is no queue").to_string();
        assert!(refused.contains("whoever owns it"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_is_away_is_waited_for() {
        let broker = MemoryBroker::new();
        let outage = Duration::from_secs(30);
        broker.faults().refuse_connections(outage);
        let started = tokio::time::Instant::now();
        let ready = prepare_queues(&broker, &config(&[]), &queues()).await;
        ready.expect("it came back");
        assert!(started.elapsed() >= outage);
    }
}
