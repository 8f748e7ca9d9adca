//! Tasks that no service owned are sent again when their service appears.

use counterfoil_store::record::UnroutableTask;
use counterfoil_store::{Store, StoreError, StoredMessage};
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::message::names::{REASON, REASON_TEXT, RESCUE, RUN};
use counterfoil_toolbox::message::{Content, TaskMessage, encode_again};
use counterfoil_toolbox::names::{RoutingKey, ServiceName};
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{
    Publication, Publisher, PublisherOptions, Transport, TransportError,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Tasks of one service that are sent in one round.
const AT_ONCE: u32 = 500;

/// How long a service that appears may take from its queue to its bindings.
const BINDING: Duration = Duration::from_secs(1);

/// Longest pause before tasks that came back are tried once more.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Sends tasks again whose service has a queue by now. Only the leader does it, so that each runs
/// once.
#[derive(Debug)]
pub(crate) struct Resender {
    transport: Arc<dyn Transport>,
    names: Names,
    store: Arc<dyn Store>,
    publisher: Publisher,
    interval: Duration,
    /// Services that had a queue at the last look.
    served: HashSet<String>,
    /// Services whose queue is there, but whose tasks came back all the same: a binding is missing.
    pauses: HashMap<String, Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Resender {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        names: Names,
        store: Arc<dyn Store>,
        interval: Duration,
    ) -> Self {
        let publisher = transport.publisher(PublisherOptions::default());
        Self {
            transport,
            names,
            store,
            publisher,
            interval,
            served: HashSet::new(),
            pauses: HashMap::new(),
        }
    }

    /// Looks at every service that has such tasks, once.
    ///
    /// # Errors
    /// When broker or database do not answer; the next round does the rest.
    pub(crate) async fn round(&mut self) -> Result<(), ResendError> {
        let services = self.store.unroutable_services().await?;
        self.pauses.retain(|service, _| services.contains(service));
        let mut served = Vec::new();
        for service in services {
            if self.has_queue(&service).await? {
                served.push(service);
            }
        }
        if served.iter().any(|service| !self.served.contains(service)) {
            // A queue is declared before it is bound.
            tokio::time::sleep(BINDING.min(self.interval)).await;
        }
        self.served = served.iter().cloned().collect();
        for service in served {
            self.send_all_of(&service).await?;
        }
        Ok(())
    }

    async fn has_queue(&self, service: &str) -> Result<bool, TransportError> {
        // A task's name may begin with anything; no queue has such a name.
        let Ok(service) = ServiceName::new(service) else {
            return Ok(false);
        };
        let queue = self.names.service_queue(&service);
        Ok(self.transport.depth(&queue).await?.is_some())
    }

    async fn send_all_of(&mut self, service: &str) -> Result<(), ResendError> {
        let mut tasks = self.store.unroutable(service, AT_ONCE).await?;
        let now = Instant::now();
        let pausing = self
            .pauses
            .get(service)
            .is_some_and(|pause| now < pause.until);
        // Sent again before, and back: not at every round.
        let came_back = tasks.iter().any(|task| task.lineage.rescue > 0);
        if came_back && pausing {
            tasks.retain(|task| task.lineage.rescue == 0);
        } else if came_back {
            self.pause(service, now);
        }
        let mut under_way = Vec::with_capacity(tasks.len());
        for task in tasks {
            let publication = match again(&self.names, &task) {
                Ok(publication) => publication,
                Err(reason) => {
                    tracing::warn!(task_id = %task.task_id, reason, "task cannot be sent again");
                    continue;
                }
            };
            match self.publisher.enqueue(publication).await {
                Ok(confirm) => under_way.push((task, confirm)),
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "task not sent again");
                    break;
                }
            }
        }
        let mut sent = 0_usize;
        for (task, confirm) in under_way {
            match confirm.await {
                // A crash before the mark sends it once more, as the same attempt.
                Ok(()) => {
                    self.store.mark_resent(&task.task_id, task.lineage).await?;
                    sent += 1;
                }
                Err(error) => {
                    tracing::warn!(task_id = %task.task_id, error = %ErrorChain(&error), "task not sent again");
                }
            }
        }
        if sent > 0 {
            tracing::info!(
                service,
                sent,
                "a service appeared: its tasks were sent again"
            );
        }
        Ok(())
    }

    fn pause(&mut self, service: &str, now: Instant) {
        let length = self.pauses.get(service).map_or(self.interval, |pause| {
            pause.length.saturating_mul(2).min(LONGEST_PAUSE)
        });
        let until = now + length;
        self.pauses
            .insert(service.to_owned(), Pause { until, length });
    }
}

/// The task as its next attempt, on the way that leaves no second tracking copy.
fn again(names: &Names, task: &UnroutableTask) -> Result<Publication, String> {
    let key = RoutingKey::new(&task.message.routing_key).map_err(|error| error.to_string())?;
    let lineage = Lineage {
        rescue: task.lineage.rescue + 1,
        deliveries: 0,
        ..task.lineage
    };
    Ok(Publication {
        exchange: names.requeue.clone(),
        routing_key: without_delay(&key),
        content: content(&task.message, lineage),
    })
}

fn content(message: &StoredMessage, lineage: Lineage) -> Content {
    if let Ok(mut task) = TaskMessage::decode(&message.content) {
        task.envelope.lineage = lineage;
        return encode_again(&task.envelope, &task.payload);
    }
    // Its body is no task's: the service's worker says so, and keeps it where dead ones are kept.
    let mut content = message.content.clone().without_broker_headers();
    content
        .headers
        .retain(|name| name != REASON && name != REASON_TEXT);
    content.headers.set(RESCUE, lineage.rescue);
    content.headers.set(RUN, lineage.run);
    content.properties.persistent = true;
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::TaskId;
    use counterfoil_toolbox::message::HeaderValue;

    fn task(routing_key: &str, body: &'static str) -> UnroutableTask {
        let mut content = Content::json(body);
        content.headers.push("task", "nobody.add");
        content.headers.push("id", "t1");
        content.headers.push("retries", 1);
        content.headers.push("x-death", HeaderValue::List(vec![]));
        content
            .headers
            .push("x-first-death-queue", "celery_delayed_1");
        content.headers.push("stamp", "kept");
        content.properties.expiration = Some("1000".into());
        UnroutableTask {
            task_id: TaskId::new("t1").expect("valid"),
            name: "nobody.add".to_owned(),
            service: "nobody".to_owned(),
            lineage: Lineage {
                rescue: 2,
                executions: 1,
                ..Lineage::default()
            },
            message: StoredMessage {
                exchange: "celery_delayed_delivery".into(),
                routing_key: routing_key.into(),
                content,
            },
        }
    }

    fn names() -> Names {
        Names::new("", "task_exchange", "platform.fifo").expect("valid")
    }

    #[test]
    fn a_task_is_sent_again_as_its_next_rescue_without_delay_and_traces_of_the_broker() {
        let delayed = format!("{}nobody.add", "0.".repeat(28));
        let sent = again(&names(), &task(&delayed, "[[1, 2], {}, {}]")).expect("sent");
        assert_eq!(sent.exchange, "task_exchange.requeue");
        assert_eq!(sent.routing_key, "nobody.add");
        let read = TaskMessage::decode(&sent.content).expect("a task");
        assert_eq!(
            (
                read.envelope.lineage.rescue,
                read.envelope.lineage.executions
            ),
            (3, 1)
        );
        assert_eq!(read.payload.args(), "[1, 2]");
        assert_eq!(sent.content.headers.text("stamp"), Some("kept"));
        assert!(
            sent.content
                .headers
                .iter()
                .all(|(name, _)| !name.starts_with("x-"))
        );
        assert_eq!(sent.content.properties.expiration, None);
    }

    #[test]
    fn a_body_that_is_no_tasks_is_sent_as_it_is() {
        let sent = again(&names(), &task("nobody.add", "{ not JSON")).expect("sent");
        assert_eq!(&sent.content.body[..], b"{ not JSON");
        assert_eq!(sent.content.headers.int(RESCUE), Some(3));
        assert_eq!(sent.content.properties.expiration, None);
    }
}
