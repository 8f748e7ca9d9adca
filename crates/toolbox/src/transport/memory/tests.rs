//! What only this broker promises; what both transports promise is in `counterfoil_testkit`.

use super::*;
use crate::message::Content;
use crate::names::{RoutingKey, ServiceName};
use crate::topology::{self, Names, QueueSettings, ServiceSettings};
use crate::transport::{Publication, SubscribeOptions, Subscription};

fn names() -> Names {
    Names::new("", "task_exchange", "platform.fifo").expect("the defaults are valid")
}

fn export() -> ServiceName {
    ServiceName::new("export").expect("valid")
}

async fn platform(broker: &MemoryBroker) -> Names {
    let names = names();
    let mut items = topology::platform(&names, QueueSettings::Arguments);
    items.extend(topology::delay_levels(&names));
    items.extend(topology::service(
        &names,
        &export(),
        &ServiceSettings::default(),
    ));
    for finding in topology::apply(broker, items)
        .await
        .expect("the broker is here")
    {
        assert_eq!(
            finding.state,
            topology::ItemState::Applied,
            "{}",
            finding.item
        );
    }
    names
}

fn message(exchange: &ExchangeName, key: &str, body: &str) -> Publication {
    Publication {
        exchange: exchange.clone(),
        routing_key: RoutingKey::new(key).expect("short"),
        content: Content::json(body.to_owned()),
    }
}

async fn ready(broker: &MemoryBroker, queue: &QueueName) -> u32 {
    let depth = broker.depth(queue).await.expect("reachable");
    depth.expect("declared").ready
}

#[tokio::test(start_paused = true)]
async fn one_publish_reaches_the_service_and_the_tracking_queue() {
    let broker = MemoryBroker::new();
    let names = platform(&broker).await;
    let publisher = broker.publisher(PublisherOptions::default());
    let task = message(&names.tasks, "export.project", "{}");
    publisher.publish(task).await.expect("confirmed");
    assert_eq!(ready(&broker, &names.tracking_queue).await, 1);
    assert_eq!(ready(&broker, &names.unroutable_queue).await, 0);
    let queue = names.service_queue(&export());
    let mut subscription = Subscription::open(
        std::sync::Arc::new(broker.clone()),
        SubscribeOptions::new(queue, 8),
    );
    let delivery = subscription.next().await.expect("the task");
    assert_eq!(delivery.delivery_count(), 0);
    let _ = delivery.nack(crate::transport::Requeue::Yes);
    let delivery = subscription.next().await.expect("the task again");
    assert_eq!(delivery.delivery_count(), 1);
    let _ = delivery.ack();
    subscription.close().await;
    assert_eq!(ready(&broker, &names.service_queue(&export())).await, 0);
}
