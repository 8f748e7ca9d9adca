//! Who gets which message when, and what settling does.

use super::awaiting::{body, next, nothing, nothing_for, take};
use super::stage::{LONG, Stage};
use crate::eventually;
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::message::HeaderValue;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::QueueKind;
use counterfoil_toolbox::transport::{Delivery, Requeue, Subscription};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// As service queues have it: a returned message goes before all others.
const LIMITED: [(&str, HeaderValue); 1] = [("x-delivery-limit", HeaderValue::Int(20))];

/// After so long without a message, none is on its way.
const SOON: Duration = Duration::from_millis(500);

pub async fn a_consumer_begins_with_one_message_and_widens_to_its_prefetch(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = filled(&stage, 30).await?;
    let began = Instant::now();
    let mut subscription = stage.subscribe(&queue, 5);
    let first = next(&mut subscription).await?;
    // On a machine so slow that the second is almost over, there is nothing to see.
    if let Some(rest) = Duration::from_millis(900).checked_sub(began.elapsed()) {
        nothing_for(&mut subscription, rest).await?;
    }
    // After a quiet second four more come, though the first is still in hand.
    let mut held = vec![first];
    held.extend(next_n(&mut subscription, 4).await?);
    nothing(&mut subscription).await?;
    // Each that is settled makes room for one.
    for _ in 0..3 {
        let _ = held.remove(2).ack();
        held.push(next(&mut subscription).await?);
        nothing(&mut subscription).await?;
    }
    Ok(())
}

pub async fn the_prefetch_can_be_changed_while_it_consumes(stage: Stage) -> anyhow::Result<()> {
    let queue = filled(&stage, 60).await?;
    let mut subscription = stage.subscribe(&queue, 3);
    let mut held = next_n(&mut subscription, 3).await?;
    for prefetch in [8, 2, 5] {
        subscription.set_prefetch(prefetch);
        // What was in hand when it changed comes on top until it is settled.
        held.extend(drained(&mut subscription).await);
        for delivery in std::mem::take(&mut held) {
            let _ = delivery.ack();
        }
        held = drained(&mut subscription).await;
        ensure!(
            held.len() == usize::from(prefetch),
            "{} in hand",
            held.len()
        );
    }
    Ok(())
}

pub async fn one_slow_message_at_the_head_does_not_stall_thousands_behind_it(
    stage: Stage,
) -> anyhow::Result<()> {
    const MANY: usize = 3000;
    let queue = filled(&stage, MANY).await?;
    let mut subscription = stage.subscribe(&queue, 20);
    let slow = next(&mut subscription).await?;
    let rest = take(&mut subscription, MANY - 1).await?;
    ensure!(rest.last().map(String::as_str) == Some("2999"));
    ensure!(slow.is_live() && body(&slow) == "0");
    let _ = slow.ack();
    subscription.close().await;
    stage.wait_ready(&queue, 0).await
}

pub async fn acknowledging_everything_leaves_the_queue_empty(stage: Stage) -> anyhow::Result<()> {
    let queue = filled(&stage, 500).await?;
    let mut subscription = stage.subscribe(&queue, 50);
    let mut held = Vec::new();
    let mut taken = 0;
    // Settled in an order of its own, as handlers do that run side by side.
    while taken < 500 {
        held.push(next(&mut subscription).await?);
        taken += 1;
        if taken > 400 || held.len() == 30 {
            let _ = held.swap_remove(held.len() / 2).ack();
        }
    }
    for delivery in held {
        let _ = delivery.ack();
    }
    subscription.close().await;
    stage.wait_ready(&queue, 0).await?;
    eventually("the consumers to be gone", LONG, async || {
        let depth = stage.transport.depth(&queue).await?;
        Ok(depth.filter(|depth| depth.consumers == 0).map(drop))
    })
    .await
}

pub async fn two_consumers_share_a_queue(stage: Stage) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &LIMITED).await?;
    let mut one = stage.subscribe(&queue, 1);
    let mut two = stage.subscribe(&queue, 1);
    let bodies: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    stage
        .fill(
            &queue,
            &bodies.iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .await?;
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        // Each holds one, so neither can take the other's share.
        let (a, b) = (next(&mut one).await?, next(&mut two).await?);
        seen.extend([body(&a), body(&b)]);
        let _ = (a.ack(), b.ack());
    }
    ensure!(seen.len() == 20, "{seen:?}");
    Ok(())
}

pub async fn a_returned_message_comes_back_counted_and_before_all_others(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = filled(&stage, 3).await?;
    let mut subscription = stage.subscribe(&queue, 1);
    for returned in 0..4 {
        let delivery = next(&mut subscription).await?;
        ensure!(
            body(&delivery) == "0" && delivery.delivery_count() == returned,
            "{delivery:?}"
        );
        ensure!(delivery.redelivered == (returned > 0));
        let header = delivery.content.headers.get("x-delivery-count");
        ensure!(
            header.is_some() == (returned > 0),
            "absent on the first delivery"
        );
        let _ = delivery.nack(Requeue::Yes);
    }
    let order = take(&mut subscription, 3).await?;
    ensure!(order == ["0", "1", "2"], "{order:?}");
    Ok(())
}

pub async fn a_queue_without_a_limit_puts_a_returned_message_at_its_end(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.fill(&queue, &["0", "1", "2"]).await?;
    let mut subscription = stage.subscribe(&queue, 1);
    let _ = next(&mut subscription).await?.nack(Requeue::Yes);
    let order = take(&mut subscription, 3).await?;
    ensure!(order == ["1", "2", "0"], "{order:?}");
    Ok(())
}

pub async fn a_classic_queue_puts_a_returned_message_where_it_was_and_does_not_count(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Classic, &[]).await?;
    stage.fill(&queue, &["0", "1", "2", "3"]).await?;
    let mut subscription = stage.subscribe(&queue, 3);
    let held = next_n(&mut subscription, 3).await?;
    for delivery in held.into_iter().rev() {
        let _ = delivery.nack(Requeue::Yes);
    }
    subscription.close().await;
    let mut subscription = stage.subscribe(&queue, 1);
    for n in 0..4 {
        let delivery = next(&mut subscription).await?;
        ensure!(
            body(&delivery) == n.to_string() && delivery.delivery_count() == 0,
            "{delivery:?}"
        );
        ensure!(delivery.redelivered == (n < 3), "{delivery:?}");
        let _ = delivery.ack();
    }
    Ok(())
}

pub async fn a_returned_message_narrows_its_consumer_to_one(stage: Stage) -> anyhow::Result<()> {
    let queue = filled(&stage, 30).await?;
    let mut subscription = stage.subscribe(&queue, 4);
    let mut held = next_n(&mut subscription, 4).await?;
    let _ = held.remove(0).nack(Requeue::Yes);
    // It is back at once, and until it is settled nothing else comes.
    let suspect = next(&mut subscription).await?;
    ensure!(
        body(&suspect) == "0" && suspect.delivery_count() == 1,
        "{suspect:?}"
    );
    for delivery in held {
        let _ = delivery.ack();
    }
    let in_hand = drained(&mut subscription).await;
    ensure!(in_hand.len() <= 1, "{} beside the suspect", in_hand.len());
    for delivery in in_hand {
        let _ = delivery.ack();
    }
    let _ = suspect.ack();
    // A quiet second later it is as wide as before.
    let held = next_n(&mut subscription, 4).await?;
    nothing(&mut subscription).await?;
    ensure!(held.iter().all(|delivery| delivery.delivery_count() == 0));
    Ok(())
}

pub async fn it_widens_again_although_an_innocent_of_before_is_still_in_hand(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = filled(&stage, 30).await?;
    let mut subscription = stage.subscribe(&queue, 4);
    let mut held = next_n(&mut subscription, 4).await?;
    let slow = held.pop().context("four came")?;
    let _ = held.remove(0).nack(Requeue::Yes);
    let suspect = next(&mut subscription).await?;
    ensure!(suspect.delivery_count() == 1, "{suspect:?}");
    for delivery in held.into_iter().chain(drained(&mut subscription).await) {
        let _ = delivery.ack();
    }
    let _ = suspect.ack();
    // The slow one was the second consumer's. A quiet second later, with nothing else in hand,
    // there is a second consumer again.
    let next_one = next(&mut subscription).await?;
    nothing_for(&mut subscription, Duration::from_millis(1200)).await?;
    let _ = next_one.ack();
    let held = next_n(&mut subscription, 4).await?;
    ensure!(slow.is_live() && held.iter().all(|delivery| delivery.delivery_count() == 0));
    nothing(&mut subscription).await
}

pub async fn a_long_task_that_was_given_back_holds_up_the_others_for_seconds_only(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = filled(&stage, 30).await?;
    let mut subscription = stage.subscribe(&queue, 4);
    let _ = next(&mut subscription).await?.nack(Requeue::Yes);
    let long = next(&mut subscription).await?;
    ensure!(body(&long) == "0" && long.delivery_count() == 1, "{long:?}");
    let beside = next_n(&mut subscription, 3).await?;
    ensure!(long.is_live() && beside.iter().all(|delivery| delivery.delivery_count() == 0));
    Ok(())
}

/// Everything that comes before it falls quiet.
async fn drained(subscription: &mut Subscription) -> Vec<Delivery> {
    let mut all = Vec::new();
    while let Ok(Some(delivery)) = tokio::time::timeout(SOON, subscription.next()).await {
        all.push(delivery);
    }
    all
}

/// The next `n` messages, all in hand.
async fn next_n(subscription: &mut Subscription, n: usize) -> anyhow::Result<Vec<Delivery>> {
    let mut held = Vec::with_capacity(n);
    for _ in 0..n {
        held.push(next(subscription).await?);
    }
    Ok(held)
}

/// A queue with the messages 0, 1, 2 and so on.
async fn filled(stage: &Stage, n: usize) -> anyhow::Result<QueueName> {
    let queue = stage.queue("q", QueueKind::Quorum, &LIMITED).await?;
    stage.fill_with(&queue, n).await?;
    Ok(queue)
}
