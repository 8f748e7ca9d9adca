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
mod target;
mod told;

use super::{Check, canary};
use crate::config::BrokerSettings;
use crate::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use crate::transport::Publication;
use crate::transport::amqp::AmqpTransport;
use futures::future::{join, join_all};
use std::time::Duration;
use stray::Stray;
use tap::Tap;
use target::targets;
use tokio::time::Instant;
use told::{fault, not_counted, repeated, untracked};
use uuid::Uuid;

/// Name of its checks.
const NAME: &str = "probe";

/// Longest that a message may take from its confirm to its queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest until a message is confirmed.
const CONFIRM: Duration = Duration::from_secs(5);

/// Last word of the keys of probes.
const WORD: &str = "counterfoil-probe";

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
