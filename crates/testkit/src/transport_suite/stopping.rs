//! The two steps of stopping, and what goes back.

use super::awaiting::{body, next, nothing, status};
use super::stage::{LONG, Stage};
use crate::eventually;
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::topology::QueueKind;
use counterfoil_toolbox::transport::{
    Requeue, Settled, SubscribeOptions, Subscription, SubscriptionStatus,
};
use std::time::Duration;

pub async fn after_cancel_nothing_new_comes_and_what_is_in_hand_can_be_settled(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["0", "1"]).await?;
    let mut subscription = stage.subscribe(&queue, 1);
    let held = next(&mut subscription).await?;
    subscription.cancel().await;
    ensure!(*subscription.status().borrow() == SubscriptionStatus::Cancelled);
    ensure!(held.is_live() && held.ack() == Settled::Sent);
    nothing(&mut subscription).await?;
    subscription.close().await;
    let left = stage.drain(&queue, 1).await?;
    ensure!(left[0].body() == "1" && left[0].content.headers.get("x-delivery-count").is_none());
    stage.wait_ready(&queue, 0).await
}

pub async fn after_cancel_the_channel_is_closed_once_everything_in_hand_is_settled(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["0", "1"]).await?;
    let mut subscription = stage.subscribe(&queue, 2);
    let held = [
        next(&mut subscription).await?,
        next(&mut subscription).await?,
    ];
    subscription.cancel().await;
    let [first, second] = held;
    for last in [first, second] {
        let soon = tokio::time::timeout(Duration::from_millis(500), subscription.settled());
        ensure!(soon.await.is_err(), "something is in hand");
        ensure!(last.is_live() && last.ack() == Settled::Sent);
    }
    let settled = tokio::time::timeout(LONG, subscription.settled());
    settled.await.context("it is not closed")?;
    subscription.close().await;
    ensure!(stage.drain(&queue, 0).await?.is_empty());
    stage.wait_ready(&queue, 0).await
}

pub async fn a_paused_subscription_takes_nothing_and_goes_on_when_it_is_resumed(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let mut subscription = stage.subscribe(&queue, 10);
    stage.fill(&queue, &["0"]).await?;
    let held = next(&mut subscription).await?;
    for round in 1..=3 {
        subscription.pause().await;
        ensure!(*subscription.status().borrow() == SubscriptionStatus::Paused);
        let text = round.to_string();
        stage.fill(&queue, &[&text]).await?;
        nothing(&mut subscription).await?;
        subscription.resume();
        let next = next(&mut subscription).await?;
        ensure!(body(&next) == text);
        ensure!(next.delivery_count() == 0 && next.ack() == Settled::Sent);
    }
    // It went on on the same channel all the time.
    ensure!(held.is_live() && held.ack() == Settled::Sent);
    subscription.close().await;
    stage.wait_ready(&queue, 0).await
}

pub async fn what_came_before_a_pause_can_be_given_back_at_once(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let mut subscription = stage.subscribe(&queue, 5);
    stage.fill_with(&queue, 5).await?;
    let mut held = vec![next(&mut subscription).await?];
    status(&subscription, "consuming", |status| {
        *status == SubscriptionStatus::Consuming
    })
    .await?;
    subscription.pause().await;
    held.extend(std::iter::from_fn(|| subscription.try_next()));
    for delivery in held {
        let _ = delivery.nack(Requeue::Yes);
    }
    stage.wait_ready(&queue, 5).await?;
    nothing(&mut subscription).await
}

pub async fn a_subscription_that_is_paused_stays_so_when_its_connection_breaks(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["0"]).await?;
    let options = SubscribeOptions::new(queue.clone(), 10);
    let mut subscription = Subscription::open_paused(stage.transport.clone(), options);
    nothing(&mut subscription).await?;
    subscription.resume();
    let first = next(&mut subscription).await?;
    ensure!(body(&first) == "0");
    subscription.pause().await;
    stage.break_connections().await?;
    stage.wait_ready(&queue, 1).await?;
    nothing(&mut subscription).await?;
    subscription.resume();
    ensure!(body(&next(&mut subscription).await?) == "0");
    subscription.pause().await;
    subscription.cancel().await;
    ensure!(*subscription.status().borrow() == SubscriptionStatus::Cancelled);
    Ok(())
}

pub async fn close_returns_what_was_not_settled(stage: Stage) -> anyhow::Result<()> {
    let limit = [("x-delivery-limit", 20_i64.into())];
    let queue = stage.queue("q", QueueKind::Quorum, &limit).await?;
    stage.fill_with(&queue, 300).await?;
    let mut subscription = stage.subscribe(&queue, 250);
    let first = next(&mut subscription).await?;
    let second = next(&mut subscription).await?;
    subscription.cancel().await;
    // All that came and was not taken is here at once.
    let untaken: Vec<_> = std::iter::from_fn(|| subscription.try_next()).collect();
    let bodies: Vec<_> = untaken.iter().map(body).collect();
    ensure!(bodies == numbers(2..2 + untaken.len()), "{bodies:?}");
    let _ = second.ack();
    subscription.close().await;
    ensure!(!first.is_live() && first.ack() == Settled::Stale);
    stage.wait_ready(&queue, 299).await?;
    let received = stage.drain(&queue, 299).await?;
    let order: Vec<_> = received.iter().map(|one| one.body()).collect();
    let mut expected = numbers(0..300);
    expected.remove(1);
    ensure!(order == expected, "{order:?}");
    // Each return counts. A broker may have sent some more that came too late.
    for (at, one) in received.iter().enumerate() {
        let count = one.content.headers.int("x-delivery-count");
        let came = at <= untaken.len();
        ensure!(
            count == Some(1) || (!came && count.is_none()),
            "{at}: {count:?}"
        );
    }
    let never_sent = received[250..]
        .iter()
        .map(|one| one.content.headers.int("x-delivery-count"));
    ensure!(never_sent.flatten().next().is_none(), "beyond the prefetch");
    Ok(())
}

/// A quorum queue's channel holds settlements back while many are under way, and forgets what it
/// holds when it is closed.
pub async fn all_that_was_settled_right_before_the_close_is_settled(
    stage: Stage,
) -> anyhow::Result<()> {
    const MANY: usize = 900;
    for round in 0..5 {
        let queue = stage
            .queue(&format!("q{round}"), QueueKind::Quorum, &[])
            .await?;
        stage.fill_with(&queue, MANY).await?;
        let mut subscription = stage.subscribe(&queue, 1000);
        let mut held = Vec::with_capacity(MANY);
        while held.len() < MANY {
            held.push(next(&mut subscription).await?);
        }
        subscription.cancel().await;
        // With every other one in hand, none can be settled together with another.
        let mut kept = Vec::with_capacity(MANY / 2);
        for (at, delivery) in held.into_iter().enumerate() {
            if at % 2 == 0 {
                kept.push(delivery);
            } else {
                let _ = delivery.ack();
            }
        }
        subscription.close().await;
        drop(kept);
        stage.wait_ready(&queue, 450).await?;
    }
    Ok(())
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

pub async fn a_dropped_subscription_returns_everything(stage: Stage) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["0"]).await?;
    let mut subscription = stage.subscribe(&queue, 1);
    let held = next(&mut subscription).await?;
    stage.wait_ready(&queue, 0).await?;
    drop(held);
    // Forgetting a delivery returns nothing by itself.
    nothing(&mut subscription).await?;
    ensure!(stage.ready(&queue).await? == 0);
    drop(subscription);
    stage.wait_ready(&queue, 1).await
}

pub async fn a_subscription_tells_its_consumers_and_what_nothing_was_said_of(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill_with(&queue, 4).await?;
    let mut subscription = stage.subscribe(&queue, 10);
    let hand = subscription.in_hand();
    let is_so = async |consumers, untold, ready| {
        let what = format!("{consumers} consumers, {untold} untold, {ready} ready");
        eventually(&what, LONG, async || {
            let depth = stage.transport.depth(&queue).await?.context("the queue")?;
            let now = (hand.consumers(), hand.untold(), depth.ready);
            // RabbitMQ goes on counting one that has ended and holds messages of a quorum queue.
            let agrees = hand.consumers() == depth.consumers || hand.consumers() == 0;
            Ok((now == (consumers, untold, ready) && agrees).then_some(()))
        })
        .await
    };
    // Also while nobody has taken them from the subscription.
    is_so(2, 4, 0).await?;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut subscription).await?);
    }
    is_so(2, 4, 0).await?;
    held[0].told();
    is_so(2, 3, 0).await?;
    for delivery in held.drain(..2) {
        let _ = delivery.ack();
    }
    is_so(2, 2, 0).await?;
    subscription.pause().await;
    is_so(0, 2, 0).await?;
    let _ = held.remove(0).nack(Requeue::Yes);
    is_so(0, 1, 1).await?;
    subscription.close().await;
    drop(held);
    is_so(0, 0, 2).await
}
