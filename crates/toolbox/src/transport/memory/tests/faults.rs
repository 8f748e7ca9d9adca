//! The broker misbehaves when it is told to, and only then.

use super::*;
use crate::transport::{PublishError, SubscriptionStatus, TransportError};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn it_nacks_as_many_messages_as_it_was_told_and_has_none_of_them() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let publisher = broker.publisher(PublisherOptions::default());
    broker.faults().nack_next(2);
    for _ in 0..2 {
        let nacked = publisher.publish(to_queue(&queue, "x")).await;
        assert_eq!(nacked, Err(PublishError::Nacked));
    }
    publisher
        .publish(to_queue(&queue, "x"))
        .await
        .expect("confirmed");
    assert_eq!(ready(&broker, &queue).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_confirm_times_out_although_the_message_is_there() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let publisher = broker.publisher(PublisherOptions::default());
    broker.faults().lose_confirms(1);
    let began = Instant::now();
    let lost = publisher
        .enqueue(to_queue(&queue, "1"))
        .await
        .expect("open");
    publisher
        .publish(to_queue(&queue, "2"))
        .await
        .expect("confirmed");
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing waits behind it");
    let after = Duration::from_secs(10);
    assert_eq!(lost.await, Err(PublishError::ConfirmTimeout { after }));
    assert!(began.elapsed() >= after);
    assert_eq!(ready(&broker, &queue).await, 2);
}

#[tokio::test(start_paused = true)]
async fn confirms_that_are_still_owed_fill_the_window() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let options = PublisherOptions {
        window: 1,
        ..PublisherOptions::default()
    };
    let publisher = broker.publisher(options);
    broker.faults().lose_confirms(1);
    let lost = publisher
        .enqueue(to_queue(&queue, "1"))
        .await
        .expect("open");
    let began = Instant::now();
    publisher
        .publish(to_queue(&queue, "2"))
        .await
        .expect("confirmed");
    assert!(began.elapsed() >= publisher.confirm_timeout());
    assert!(lost.await.is_err());
    // An answer is owed even when nobody can send any more.
    broker.faults().lose_confirms(1);
    let lost = publisher
        .enqueue(to_queue(&queue, "3"))
        .await
        .expect("open");
    drop(publisher);
    let timed_out = matches!(lost.await, Err(PublishError::ConfirmTimeout { .. }));
    assert!(timed_out);
}

#[tokio::test(start_paused = true)]
async fn while_it_refuses_connections_publishers_wait_and_everything_else_fails() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let subscription = subscribe(&broker, &queue, 1);
    let mut status = subscription.status();
    let consuming = |status: &SubscriptionStatus| *status == SubscriptionStatus::Consuming;
    status.wait_for(consuming).await.expect("it consumes");
    broker.faults().refuse_connections(Duration::from_secs(5));
    let asked = broker.depth(&queue).await;
    assert!(
        matches!(asked, Err(TransportError::Unreachable { .. })),
        "{asked:?}"
    );
    let down = |status: &SubscriptionStatus| {
        matches!(
            status,
            SubscriptionStatus::Down {
                transient: true,
                ..
            }
        )
    };
    status.wait_for(down).await.expect("it notices");
    let began = Instant::now();
    let publisher = broker.publisher(PublisherOptions::default());
    publisher
        .publish(to_queue(&queue, "1"))
        .await
        .expect("confirmed later");
    assert!(began.elapsed() >= Duration::from_secs(5));
    status
        .wait_for(consuming)
        .await
        .expect("it comes back alone");

    broker.faults().refuse_connections(Duration::from_secs(60));
    let began = Instant::now();
    let late = publisher.publish(to_queue(&queue, "2")).await;
    let after = publisher.confirm_timeout();
    assert_eq!(late, Err(PublishError::NotSent { after }));
    assert!(began.elapsed() < Duration::from_secs(11));
    broker.faults().refuse_connections(Duration::ZERO);
    publisher
        .publish(to_queue(&queue, "3"))
        .await
        .expect("confirmed");
}

#[tokio::test(start_paused = true)]
async fn a_closed_broker_ends_publishers_and_consumers() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let subscription = subscribe(&broker, &queue, 1);
    let publisher = broker.publisher(PublisherOptions::default());
    broker.faults().lose_confirms(1);
    let owed = publisher
        .enqueue(to_queue(&queue, "1"))
        .await
        .expect("open");
    tokio::task::yield_now().await;
    broker.close().await;
    assert_eq!(owed.await, Err(PublishError::Closed));
    let late = publisher.publish(to_queue(&queue, "2")).await;
    assert_eq!(late, Err(PublishError::Closed));
    let mut status = subscription.status();
    let closed = |status: &SubscriptionStatus| matches!(status, SubscriptionStatus::Down { reason, transient: false } if reason == "the transport is closed");
    status.wait_for(closed).await.expect("it notices");
    let later = broker.publisher(PublisherOptions::default());
    assert_eq!(
        later.publish(to_queue(&queue, "3")).await,
        Err(PublishError::Closed)
    );
}
