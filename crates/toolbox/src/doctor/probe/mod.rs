//! Messages sent through, to see where they arrive.
//!
//! AMQP cannot list bindings, so only a message tells whether they are there. But the queues of services have
//! consumers, some of them old or in Python, which would take a message of ours for a task that they do not know.
//! None reaches them: the broker serves consumers by priority, and while a probe is under way, one of ours stands
//! first in line. What else comes meanwhile goes back to the queue, and a queue that is in use is left alone.
//!
//! A probe calls itself [`CANARY`](crate::names::CANARY): should this process be killed in the middle, a worker drops
//! the message, and the daemon makes no row of the copies that it reads. Nothing else is left to remove.

mod stray;
mod tap;
mod told;

use super::{Check, canary};
use crate::config::BrokerSettings;
use crate::delay::delayed_key;
use crate::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use crate::priority::Priority;
use crate::topology::{Names, ServiceSettings, work_queues};
use crate::transport::amqp::AmqpTransport;
use crate::transport::{Publication, PublishError, PublisherOptions, Transport};
use futures::future::{join, join_all};
use std::time::Duration;
use stray::{Stray, Strays};
use tap::{Tap, Then};
use tokio::time::Instant;
use told::{fault, missing, not_counted, not_probed, not_sent, repeated, untracked};
use uuid::Uuid;

/// Name of its checks.
const NAME: &str = "probe";

/// Longest that a message may take from its confirm to its queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest until a message is confirmed.
const CONFIRM: Duration = Duration::from_secs(5);

/// Last word of the keys of probes.
const WORD: &str = "counterfoil-probe";

/// A queue, and what must arrive there.
struct Target {
    queue: QueueName,
    sendings: Vec<Sending>,
    /// What must not arrive there.
    strays: Option<Strays>,
}

/// One probe.
struct Sending {
    id: Uuid,
    exchange: ExchangeName,
    key: RoutingKey,
    /// Whether the tracking queue gets a copy.
    is_tracked: bool,
}

/// What came of one queue.
#[derive(Default)]
struct Probed {
    checks: Vec<Check>,
    /// Probes that arrived, and of which there must be a copy.
    tracked: Vec<Uuid>,
    /// Probes of which there must be none.
    untracked: Vec<Stray>,
}

/// Sends messages to every queue of `services`, by each exchange that leads there, and looks whether each
/// arrives exactly once, and whether the tracking queue gets its copy; and others that must not arrive, which tell
/// of bindings that are too wide.
///
/// Takes a quarter of a second where all is well, whatever the number of services, and a few seconds where
/// something does not arrive. Needs permission to consume these queues and to publish as tasks are published.
///
/// ```
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::doctor::{Outcome, probe};
/// use counterfoil_toolbox::transport::amqp::AmqpTransport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let settings = BrokerSettings { urls: vec!["amqp://127.0.0.1:1".into()], ..BrokerSettings::default() };
/// let transport = AmqpTransport::new(&settings)?;
/// let checks = probe(&transport, &settings, &["export".parse()?]).await;
/// for check in checks.iter().filter(|check| check.outcome == Outcome::Fail) {
///     println!("{}", check.detail); // "a message to exchange … did not reach queue export: …"
/// }
/// # assert!(checks.iter().any(|check| check.outcome == Outcome::Fail)); // there is no broker at port 1
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Cancelled, a probe may be left in a queue: see the module's words on what becomes of it.
pub async fn probe(
    transport: &AmqpTransport,
    settings: &BrokerSettings,
    services: &[ServiceName],
) -> Vec<Check> {
    // Names that cannot be used have failed before.
    let Ok(names) = settings.names() else {
        return Vec::new();
    };
    let (tracking, unroutable) = join(
        Tap::open(transport, &names.tracking_queue),
        Tap::open(transport, &names.unroutable_queue),
    )
    .await;
    let of_service = |service| targets(&names, service, &settings.service(service));
    let targets = services.iter().flat_map(of_service);
    let probed = join_all(targets.map(|target| target.run(transport))).await;
    let (mut checks, mut all) = (Vec::new(), Probed::default());
    for of_one in probed {
        checks.extend(of_one.checks);
        all.tracked.extend(of_one.tracked);
        all.untracked.extend(of_one.untracked);
    }
    match tracking {
        Ok(Ok(tap)) => checks.extend(copies(tap, &names.tracking_queue, &all).await),
        Ok(Err(busy)) => checks.push(not_counted(&names.tracking_queue, busy)),
        Err(error) => checks.push(fault(&names.tracking_queue, &error)),
    }
    if let Ok(Ok(mut tap)) = unroutable {
        // What no queue took ends there.
        let _ = tap.wait_for(&[], Instant::now()).await;
        let then = tap.afterwards();
        tap.close(then).await;
    }
    checks
}

/// Each queue in which tasks of `service` wait, with a probe by each way that leads there.
fn targets(names: &Names, service: &ServiceName, settings: &ServiceSettings) -> Vec<Target> {
    let queues = work_queues(names, service, settings).into_iter();
    queues
        .map(|queue| {
            let class = names.class_of(&queue);
            let key = key(service, class);
            let delayed = delayed_key(Duration::ZERO, &key).expect("a service name and a word");
            let is_late = queue != names.class_queue(service, class);
            let is_plain = !is_late && class == Priority::Normal;
            let strays = is_plain.then(|| Strays::new(names, service, &queue));
            let has_late = settings.max_length.is_some();
            let mut sendings = Vec::new();
            if !is_late {
                sendings.push(Sending::new(&names.tasks, &key, true));
                sendings.push(Sending::new(&names.requeue, &key, false));
            }
            if is_late || !has_late {
                sendings.push(Sending::new(&names.delay_exit, &delayed, false));
            }
            Target {
                queue,
                sendings,
                strays,
            }
        })
        .collect()
}

fn key(service: &ServiceName, class: Priority) -> RoutingKey {
    let key = format!("{service}{}.{WORD}", class.suffix());
    RoutingKey::new(&key).expect("a service name is at most 100 bytes")
}

impl Sending {
    fn new(exchange: &ExchangeName, key: &RoutingKey, is_tracked: bool) -> Self {
        Self {
            id: Uuid::now_v7(),
            exchange: exchange.clone(),
            key: key.clone(),
            is_tracked,
        }
    }

    fn publication(&self) -> Publication {
        Publication {
            exchange: self.exchange.clone(),
            routing_key: self.key.clone(),
            content: canary::content(self.id),
        }
    }
}

impl Target {
    async fn run(self, transport: &AmqpTransport) -> Probed {
        let mut probed = Probed::default();
        let mut tap = match Tap::open(transport, &self.queue).await {
            Ok(Ok(tap)) => tap,
            Ok(Err(busy)) => {
                probed.checks.push(not_probed(&self.queue, busy));
                return probed;
            }
            Err(error) => {
                probed.checks.push(fault(&self.queue, &error));
                return probed;
            }
        };
        // A channel of its own, since a refusal closes it.
        let publisher = transport.publisher(PublisherOptions {
            confirm_timeout: Some(CONFIRM),
            ..PublisherOptions::default()
        });
        for sending in self.strays.iter().flat_map(Strays::sendings) {
            // First, so that they would be there when the others are. Not every user may send such.
            let _ = publisher.publish(sending.publication()).await;
        }
        let mut sent = Vec::new();
        for sending in &self.sendings {
            match publisher.publish(sending.publication()).await {
                Ok(()) => sent.push(sending),
                // Users of services may send tasks, and nothing else of this.
                Err(PublishError::Refused { reason, .. })
                    if !sending.is_tracked && reason.contains("ACCESS_REFUSED") => {}
                Err(error) => probed.checks.push(not_sent(sending, &error)),
            }
        }
        let ids: Vec<_> = sent.iter().map(|sending| sending.id).collect();
        match tap.wait_for(&ids, Instant::now() + PATIENCE).await {
            Ok(()) => self.judge(&tap, &sent, &mut probed),
            Err(error) => probed.checks.push(fault(&self.queue, &error)),
        }
        if let Some(strays) = self.strays {
            probed.checks.extend(stray::arrived(&tap, &strays.of_queue));
            probed.untracked = strays.of_tracking;
        }
        tap.close(Then::Remove).await;
        probed
    }

    fn judge(&self, tap: &Tap, sent: &[&Sending], probed: &mut Probed) {
        let mut arrived = Vec::new();
        for sending in sent {
            match tap.times(&sending.id) {
                0 => probed.checks.push(missing(&self.queue, sending)),
                1 => arrived.push(sending.exchange.as_str()),
                times => probed.checks.push(repeated(&self.queue, times)),
            }
        }
        if !arrived.is_empty() {
            let what = format!(
                "what is sent to {} reaches queue {}, once each",
                arrived.join(", "),
                self.queue
            );
            probed.checks.insert(0, Check::ok(NAME, what));
        }
        // Routed there or not: every task must be tracked.
        let tracked = sent.iter().filter(|sending| sending.is_tracked);
        probed.tracked.extend(tracked.map(|sending| sending.id));
    }
}

/// Whether the tracking queue got a copy of each that it must have, and of no other.
async fn copies(mut tap: Tap, queue: &QueueName, probed: &Probed) -> Vec<Check> {
    let mut checks = Vec::new();
    let probes = &probed.tracked[..];
    match tap.wait_for(probes, Instant::now() + PATIENCE).await {
        Err(error) => checks.push(fault(queue, &error)),
        Ok(()) => {
            let lost = probes.iter().filter(|probe| tap.times(probe) == 0).count();
            let most = probes.iter().map(|probe| tap.times(probe)).max();
            if lost > 0 {
                checks.push(untracked(queue, lost, probes.len()));
            } else if let Some(times) = most.filter(|times| *times > 1) {
                checks.push(repeated(queue, times));
            } else if !probes.is_empty() {
                let what = format!("queue {queue} got a copy of each, once");
                checks.push(Check::ok(NAME, what));
            }
            checks.extend(stray::arrived(&tap, &probed.untracked));
        }
    }
    let then = tap.afterwards();
    tap.close(then).await;
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(settings: &ServiceSettings) -> Vec<String> {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let service = ServiceName::new("demo").expect("valid");
        let targets = targets(&names, &service, settings).into_iter();
        let of_target = |target: Target| {
            let of = target.sendings.into_iter();
            let of = of.map(|sending| sending.exchange.as_str().to_owned());
            format!("{}: {}", target.queue, of.collect::<Vec<_>>().join(" "))
        };
        targets.map(of_target).collect()
    }

    #[test]
    fn every_queue_is_probed_by_every_exchange_that_leads_to_it() {
        let (direct, late) = (
            "task_exchange task_exchange.requeue",
            "celery_delayed_delivery",
        );
        let plain = ServiceSettings::default();
        assert_eq!(ways(&plain), [format!("demo: {direct} {late}")]);
        let short = ServiceSettings {
            max_length: Some(9),
            priorities: true,
            ..plain
        };
        assert_eq!(
            ways(&short),
            ["", "~high", "~low"]
                .map(|class| [
                    format!("demo{class}: {direct}"),
                    format!("demo{class}.late: {late}")
                ])
                .concat()
        );
    }
}
