//! Queues and connections that go away.

use super::awaiting::{body, next, status, take};
use super::stage::{LONG, Stage};
use super::values::message;
use crate::eventually;
use anyhow::ensure;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::QueueKind;
use counterfoil_toolbox::transport::{Delivery, Settled, Subscription, SubscriptionStatus};

pub async fn a_subscription_survives_its_queue_being_deleted_and_created_again(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["1"]).await?;
    let mut subscription = stage.subscribe(&queue, 2);
    let held = next(&mut subscription).await?;
    stage.transport.delete_queue(&queue).await?;
    missing(&subscription).await?;
    ensure!(
        held.ack() == Settled::Stale,
        "the channel went with the queue"
    );
    stage.queue("q", QueueKind::Quorum, &[]).await?;
    consuming(&subscription).await?;
    stage.fill(&queue, &["2"]).await?;
    ensure!(take(&mut subscription, 1).await? == ["2"]);
    Ok(())
}

pub async fn a_subscription_waits_for_a_queue_that_is_not_there_yet(
    stage: Stage,
) -> anyhow::Result<()> {
    let mut subscription = stage.subscribe(&QueueName::new("q")?, 2);
    missing(&subscription).await?;
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["1"]).await?;
    ensure!(take(&mut subscription, 1).await? == ["1"]);
    Ok(())
}

/// It says that the queue is not there, and that waiting alone does not help.
async fn missing(subscription: &Subscription) -> anyhow::Result<()> {
    let down = |status: &SubscriptionStatus| matches!(status, SubscriptionStatus::Down { reason, transient: false } if reason.contains("queue q does not exist"));
    status(subscription, "said that the queue is missing", down).await?;
    Ok(())
}

async fn consuming(subscription: &Subscription) -> anyhow::Result<()> {
    let consuming = |status: &SubscriptionStatus| *status == SubscriptionStatus::Consuming;
    status(subscription, "consumed", consuming).await?;
    Ok(())
}

/// Breaks the connections and waits until the deliveries in hand are known to be stale. The status
/// shows it too, but perhaps for a moment only.
async fn interrupt(stage: &Stage, held: &Delivery) -> anyhow::Result<()> {
    stage.break_connections().await?;
    eventually("the lost connection to be noticed", LONG, async || {
        Ok((!held.is_live()).then_some(()))
    })
    .await
}

pub async fn a_lost_connection_returns_what_was_in_hand_and_the_consumer_comes_back_alone(
    stage: Stage,
) -> anyhow::Result<()> {
    let limit = [("x-delivery-limit", 20_i64.into())];
    let queue = stage.queue("q", QueueKind::Quorum, &limit).await?;
    stage.fill(&queue, &["0", "1", "2"]).await?;
    let mut subscription = stage.subscribe(&queue, 2);
    let held = [
        next(&mut subscription).await?,
        next(&mut subscription).await?,
    ];
    interrupt(&stage, &held[1]).await?;
    for (n, held) in held.iter().enumerate() {
        ensure!(body(held) == n.to_string() && !held.is_live());
        let again = next(&mut subscription).await?;
        ensure!(
            body(&again) == n.to_string() && again.delivery_count() == 1,
            "{again:?}"
        );
        let _ = again.ack();
    }
    ensure!(take(&mut subscription, 1).await? == ["2"]);
    subscription.close().await;
    stage.wait_ready(&queue, 0).await
}

pub async fn a_publisher_survives_a_lost_connection(stage: Stage) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let publisher = stage.publisher();
    let to_queue = |body| message(&ExchangeName::default_exchange(), queue.as_str(), body);
    publisher.publish(to_queue("1")).await?;
    stage.break_connections().await?;
    // The first may be lost with the connection; sending it again is what callers do.
    if let Err(error) = publisher.publish(to_queue("2")).await {
        ensure!(error.is_transient(), "{error:?}");
        publisher.publish(to_queue("2")).await?;
    }
    ensure!(stage.drain(&queue, 2).await?[1].body() == "2");
    Ok(())
}

pub async fn settling_after_a_lost_connection_is_told_to_be_stale(
    stage: Stage,
) -> anyhow::Result<()> {
    let limit = [("x-delivery-limit", 20_i64.into())];
    let queue = stage.queue("q", QueueKind::Quorum, &limit).await?;
    stage.fill(&queue, &["0"]).await?;
    let mut subscription = stage.subscribe(&queue, 1);
    let held = next(&mut subscription).await?;
    interrupt(&stage, &held).await?;
    ensure!(held.ack() == Settled::Stale);
    let again = next(&mut subscription).await?;
    ensure!(body(&again) == "0" && again.ack() == Settled::Sent);
    subscription.close().await;
    stage.wait_ready(&queue, 0).await
}

pub async fn only_the_poison_dies_of_it_and_no_innocent_that_was_in_hand_beside_it(
    stage: Stage,
) -> anyhow::Result<()> {
    let arguments = [
        ("x-delivery-limit", 5_i64.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", "dead".into()),
    ];
    let queue = stage.queue("q", QueueKind::Quorum, &arguments).await?;
    let dead = stage.queue("dead", QueueKind::Quorum, &[]).await?;
    stage.fill_with(&queue, 11).await?;
    let (poison, mut done, mut worst) = ("4", Vec::new(), 0);
    // The first worker is wide when it meets the poison, and takes all that it holds down with it.
    let mut worker = stage.subscribe(&queue, 11);
    let mut held = Vec::new();
    while held.len() < 11 {
        held.push(next(&mut worker).await?);
    }
    for _ in 0..5 {
        drop(worker);
        worker = stage.subscribe(&queue, 11);
        loop {
            let delivery = next(&mut worker).await?;
            if body(&delivery) == poison {
                break;
            }
            worst = worst.max(delivery.delivery_count());
            done.push(body(&delivery));
            let _ = delivery.ack();
        }
    }
    // The sixth return is one too many.
    drop(worker);
    ensure!(stage.drain(&dead, 1).await?[0].body() == poison);
    stage.wait_ready(&queue, 0).await?;
    ensure!(done.len() == 10 && worst <= 2, "{done:?}, worst {worst}");
    Ok(())
}
