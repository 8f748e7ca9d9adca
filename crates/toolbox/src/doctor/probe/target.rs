//! One queue: what is sent towards it, and what arrives.

use super::stray::{self, Strays};
use super::tap::{Tap, Then};
use super::told::{fault, missing, not_probed, not_sent, repeated};
use super::{CONFIRM, Check, NAME, PATIENCE, Probed, Sending, WORD};
use crate::delay::delayed_key;
use crate::names::{QueueName, RoutingKey, ServiceName};
use crate::priority::Priority;
use crate::topology::{Names, ServiceSettings, work_queues};
use crate::transport::amqp::AmqpTransport;
use crate::transport::{PublishError, PublisherOptions, Transport as _};
use std::time::Duration;
use tokio::time::Instant;

/// A queue, and what must arrive there.
pub(super) struct Target {
    queue: QueueName,
    sendings: Vec<Sending>,
    /// What must not arrive there.
    strays: Option<Strays>,
}

/// Each queue in which tasks of `service` wait, with a probe by each way that leads there.
pub(super) fn targets(
    names: &Names,
    service: &ServiceName,
    settings: &ServiceSettings,
) -> Vec<Target> {
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

impl Target {
    pub(super) async fn run(self, transport: &AmqpTransport) -> Probed {
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
        // First, so that they would be there when the others are.
        send_strays(transport, self.strays.as_ref()).await;
        // A channel of its own, since a refusal closes it.
        let publisher = transport.publisher(PublisherOptions {
            confirm_timeout: Some(CONFIRM),
            ..PublisherOptions::default()
        });
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

/// Not every user may send such, and whose sending fails has said so with the others.
async fn send_strays(transport: &AmqpTransport, strays: Option<&Strays>) {
    let publisher = transport.publisher(PublisherOptions {
        confirm_timeout: Some(CONFIRM),
        ..PublisherOptions::default()
    });
    for sending in strays.into_iter().flat_map(Strays::sendings) {
        if publisher.publish(sending.publication()).await.is_err() {
            return;
        }
    }
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
