//! Time is tokio's, and stands still with it.

use super::*;
use crate::delay::{MAX_DELAY, delayed_key};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn the_longest_delay_takes_eight_years_and_no_second_less() {
    let (broker, names) = platform().await;
    let key = RoutingKey::new("export.project").expect("short");
    let delayed = delayed_key(MAX_DELAY, &key).expect("short");
    let publisher = broker.publisher(PublisherOptions::default());
    let task = message(&names.delay_entry, delayed.as_str(), "1");
    let began = Instant::now();
    publisher.publish(task).await.expect("confirmed");
    let export = QueueName::new("export").expect("valid");
    let mut subscription = subscribe(&broker, &export, 1);
    let delivery = subscription.next().await.expect("the task");
    let late = began.elapsed() - MAX_DELAY;
    assert!(late < Duration::from_secs(1), "{late:?} late");
    let deaths = delivery.content.headers.get("x-death");
    let Some(HeaderValue::List(deaths)) = deaths else {
        panic!("{deaths:?}");
    };
    assert_eq!(deaths.len(), 28, "one for each level");
    let times: Vec<u64> = deaths.iter().rev().map(time).collect();
    assert!(times.is_sorted());
    assert_eq!(
        times[27] - times[0],
        MAX_DELAY.as_secs() - (1 << 27),
        "by the broker's clock"
    );
}

fn time(death: &HeaderValue) -> u64 {
    let HeaderValue::Table(entry) = death else {
        panic!("{death:?}");
    };
    let Some(HeaderValue::Timestamp(seconds)) = entry.get("time") else {
        panic!("{death:?}");
    };
    *seconds
}

#[tokio::test(start_paused = true)]
async fn a_message_lives_for_its_own_time_or_that_of_its_queue_whichever_is_shorter() {
    let broker = MemoryBroker::new();
    let queue = queue(
        &broker,
        "q",
        QueueKind::Quorum,
        &[("x-message-ttl", 2000_i64.into())],
    )
    .await;
    let publisher = broker.publisher(PublisherOptions::default());
    for (own, lives) in [("1000", 1000), ("5000", 2000), ("0", 0)] {
        let mut message = to_queue(&queue, "x");
        message.content.properties.expiration = Some(own.into());
        publisher.publish(message).await.expect("confirmed");
        tokio::time::sleep(Duration::from_millis(u64::max(lives, 1) - 1)).await;
        assert_eq!(ready(&broker, &queue).await, u32::from(lives > 0), "{own}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(ready(&broker, &queue).await, 0, "{own}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_any_time_is_taken_by_somebody_who_waits() {
    let broker = MemoryBroker::new();
    let queue = queue(
        &broker,
        "q",
        QueueKind::Quorum,
        &[("x-message-ttl", 0_i64.into())],
    )
    .await;
    fill(&broker, &queue, ["missed".to_owned()]).await;
    let mut subscription = subscribe(&broker, &queue, 1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    fill(&broker, &queue, ["caught".to_owned()]).await;
    let delivery = subscription.next().await.expect("a message");
    assert_eq!(delivery.content.body, "caught");
}

#[tokio::test(start_paused = true)]
async fn a_returned_message_has_only_the_time_that_it_had_left() {
    let broker = MemoryBroker::new();
    let queue = queue(
        &broker,
        "q",
        QueueKind::Quorum,
        &[("x-message-ttl", 1000_i64.into())],
    )
    .await;
    fill(&broker, &queue, ["x".to_owned()]).await;
    let mut subscription = subscribe(&broker, &queue, 1);
    let held = subscription.next().await.expect("a message");
    tokio::time::sleep(Duration::from_millis(5000)).await;
    assert_eq!(held.content.body, "x", "in hand, it does not expire");
    subscription.close().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(ready(&broker, &queue).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_expiration_that_is_no_number_is_refused() {
    let broker = MemoryBroker::new();
    let queue = queue(&broker, "q", QueueKind::Quorum, &[]).await;
    let mut message = to_queue(&queue, "x");
    message.content.properties.expiration = Some("soon".into());
    let publisher = broker.publisher(PublisherOptions::default());
    let refused = publisher.publish(message).await.expect_err("refused");
    assert!(
        refused.to_string().contains("invalid expiration 'soon'"),
        "{refused}"
    );
}
