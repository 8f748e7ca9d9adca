//! Dead letters that find no place.

use super::*;
use std::time::Duration;

/// Of a queue that sends its dead to `dead`, and keeps those that nobody takes.
fn arguments(ttl_ms: i64) -> Vec<(&'static str, HeaderValue)> {
    vec![
        ("x-message-ttl", ttl_ms.into()),
        ("x-dead-letter-exchange", "dead".into()),
        ("x-dead-letter-strategy", "at-least-once".into()),
        ("x-overflow", "reject-publish".into()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_letter_without_a_place_waits_in_its_queue_and_is_sent_again_after_three_minutes() {
    let broker = MemoryBroker::new();
    let from = queue(&broker, "from", QueueKind::Quorum, &arguments(1000)).await;
    fill(&broker, &from, ["1".to_owned()]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let exchange = fanout(&broker, "dead").await;
    let dead = queue(&broker, "dead", QueueKind::Quorum, &[]).await;
    bind(&broker, &exchange, &dead).await;
    assert_eq!(ready(&broker, &from).await, 0, "not for consumers any more");
    tokio::time::sleep(Duration::from_secs(170)).await;
    assert_eq!(ready(&broker, &dead).await, 0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(ready(&broker, &dead).await, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_strategy_a_letter_without_a_place_is_gone() {
    let broker = MemoryBroker::new();
    let from = queue(&broker, "from", QueueKind::Quorum, &arguments(1000)[..2]).await;
    fill(&broker, &from, ["1".to_owned()]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let exchange = fanout(&broker, "dead").await;
    let dead = queue(&broker, "dead", QueueKind::Quorum, &[]).await;
    bind(&broker, &exchange, &dead).await;
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!(ready(&broker, &dead).await, 0);
}

#[tokio::test(start_paused = true)]
async fn thirty_two_letters_without_a_place_hold_up_all_behind_them() {
    let broker = MemoryBroker::new();
    let exchange = ExchangeName::default_exchange();
    let mut rules = arguments(1000);
    rules[1] = ("x-dead-letter-exchange", exchange.as_str().into());
    // Each letter goes on by its own key, so most find no queue.
    let from = queue(&broker, "from", QueueKind::Quorum, &rules).await;
    let into = fanout(&broker, "into").await;
    bind(&broker, &into, &from).await;
    let good = queue(&broker, "good", QueueKind::Quorum, &[]).await;
    let publisher = broker.publisher(PublisherOptions::default());
    for stuck in [31, 1] {
        for _ in 0..stuck {
            let nobody = publisher.publish(message(&into, "nobody", ""));
            nobody.await.expect("confirmed");
        }
        let known = publisher.publish(message(&into, "good", ""));
        known.await.expect("confirmed");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(ready(&broker, &good).await, 1, "the second waits behind 32");
    queue(&broker, "nobody", QueueKind::Quorum, &[]).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(ready(&broker, &good).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_one_of_two_queues_refused_reaches_the_other_only_once() {
    let broker = MemoryBroker::new();
    let exchange = fanout(&broker, "dead").await;
    let full = [
        ("x-max-length", 1_i64.into()),
        ("x-overflow", "reject-publish".into()),
    ];
    let small = queue(&broker, "small", QueueKind::Classic, &full).await;
    let large = queue(&broker, "large", QueueKind::Quorum, &[]).await;
    for place in [&small, &large] {
        bind(&broker, &exchange, place).await;
    }
    let from = queue(&broker, "from", QueueKind::Quorum, &arguments(1000)).await;
    fill(&broker, &from, ["1".to_owned(), "2".to_owned()]).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(
        (ready(&broker, &small).await, ready(&broker, &large).await),
        (1, 2)
    );
    let mut subscription = subscribe(&broker, &small, 1);
    for body in ["1", "2"] {
        let delivery = subscription.next().await.expect("a letter");
        assert_eq!(delivery.content.body, body);
        let _ = delivery.ack();
    }
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!(
        (ready(&broker, &small).await, ready(&broker, &large).await),
        (0, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn letters_that_nobody_took_count_towards_the_length_of_a_quorum_queue() {
    let broker = MemoryBroker::new();
    let mut rules = arguments(1000);
    rules.push(("x-max-length", 2_i64.into()));
    let from = queue(&broker, "from", QueueKind::Quorum, &rules).await;
    fill(&broker, &from, (0..3).map(|n| n.to_string())).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let publisher = broker.publisher(PublisherOptions::default());
    let refused = publisher.publish(to_queue(&from, "3")).await;
    assert_eq!(refused, Err(crate::transport::PublishError::Nacked));
}
