//! Several clients of one broker, each of which is lost alone.

use super::*;
use crate::transport::{Delivery, PublishError, SubscriptionStatus, TransportError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

async fn next(subscription: &mut Subscription) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
    next.expect("in time").expect("the broker is open")
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}

async fn two_queues(broker: &MemoryBroker) -> (QueueName, QueueName) {
    let one = queue(broker, "one", QueueKind::Quorum, &[]).await;
    let two = queue(broker, "two", QueueKind::Quorum, &[]).await;
    for queue in [&one, &two] {
        fill(broker, queue, ["a".to_owned()]).await;
    }
    (one, two)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_loses_what_it_had_and_is_not_heard_any_more() {
    let broker = MemoryBroker::new();
    let (one, two) = two_queues(&broker).await;
    let (dying, living) = (broker.connect(), broker.connect());
    let mut lost = subscribe(&dying, &one, 1);
    let mut kept = subscribe(&living, &two, 1);
    let (in_lost_hands, in_kept_hands) = (next(&mut lost).await, next(&mut kept).await);
    let publisher = dying.publisher(PublisherOptions::default());
    publisher.publish(to_queue(&one, "b")).await.expect("heard");
    // Handed over, and not taken yet.
    let late = publisher.enqueue(to_queue(&one, "c")).await.expect("open");
    dying.hang_up();
    assert_eq!(late.await, Err(PublishError::Closed));
    let _ = in_lost_hands.ack();
    let refused = dying.depth(&one).await;
    assert!(
        matches!(refused, Err(TransportError::Closed)),
        "{refused:?}"
    );
    assert!(dying.link(&one).await.is_err());

    let mut heir = subscribe(&living, &one, 1);
    let again = next(&mut heir).await;
    assert_eq!((body(&again).as_str(), again.delivery_count()), ("a", 1));
    let _ = again.ack();
    let b = next(&mut heir).await;
    assert_eq!(body(&b), "b");
    let _ = (b.ack(), in_kept_hands.ack());
    heir.close().await;
    kept.close().await;
    assert_eq!(
        (ready(&broker, &one).await, ready(&broker, &two).await),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_came_from_a_client_that_hangs_up_goes_with_it_and_closing_the_broker_ends_all() {
    let broker = MemoryBroker::new();
    let client = broker.connect();
    let (of_client, other) = (client.connect(), broker.connect());
    client.hang_up();
    assert!(of_client.server().await.is_err());
    assert!(other.server().await.is_ok());
    broker.close().await;
    assert!(other.server().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn faults_of_a_client_leave_others_alone() {
    let broker = MemoryBroker::new();
    let (one, two) = two_queues(&broker).await;
    let (hit, spared) = (broker.connect(), broker.connect());
    let mut of_hit = subscribe(&hit, &one, 1);
    let mut of_spared = subscribe(&spared, &two, 1);
    let (first, kept) = (next(&mut of_hit).await, next(&mut of_spared).await);
    hit.faults().close_consumers();
    let again = next(&mut of_hit).await;
    assert_eq!(again.delivery_count(), 1);
    assert!(kept.is_live() && !first.is_live());
    let closed = hit.faults().close_consumer(7);
    assert_eq!(closed.as_ref(), Some(&one));
    assert_eq!(next(&mut of_hit).await.delivery_count(), 2);
    assert!(kept.is_live() && !again.is_live());
    assert_eq!(broker.connect().faults().close_consumer(0), None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_brings_the_message_again_once() {
    let broker = MemoryBroker::new();
    let (one, two) = two_queues(&broker).await;
    let (hit, spared) = (broker.connect(), broker.connect());
    hit.faults().lose_next_acks();
    let mut of_spared = subscribe(&spared, &two, 1);
    let _ = next(&mut of_spared).await.ack();
    let mut of_hit = subscribe(&hit, &one, 1);
    let mut status = of_hit.status();
    let _ = next(&mut of_hit).await.ack();
    let down = |status: &SubscriptionStatus| matches!(status, SubscriptionStatus::Down { .. });
    status.wait_for(down).await.expect("its channel ends");
    let again = next(&mut of_hit).await;
    assert_eq!((body(&again).as_str(), again.delivery_count()), ("a", 1));
    let _ = again.ack();
    of_hit.close().await;
    of_spared.close().await;
    assert_eq!(
        (ready(&broker, &one).await, ready(&broker, &two).await),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn faults_that_are_taken_back_do_not_happen() {
    let broker = MemoryBroker::new();
    let (one, _) = two_queues(&broker).await;
    let faults = broker.faults();
    faults.lose_next_acks();
    faults.nack_next(3);
    faults.lose_confirms(3);
    faults.block_publishers(Duration::from_secs(60));
    faults.clear();
    fill(&broker, &one, ["b".to_owned()]).await;
    let mut subscription = subscribe(&broker, &one, 1);
    for _ in 0..2 {
        let _ = next(&mut subscription).await.ack();
    }
    let more = tokio::time::timeout(PATIENCE, subscription.next()).await;
    assert!(more.is_err(), "something came again: {more:?}");
    faults.refuse_connections(Duration::from_secs(60));
    faults.clear();
    assert!(broker.server().await.is_ok());
}
