//! Waiting at the broker, over the levels that Celery uses too.

use super::awaiting::{body, next, nothing};
use super::stage::Stage;
use crate::patience;
use anyhow::ensure;
use counterfoil_toolbox::delay::{delayed_key, without_delay};
use counterfoil_toolbox::names::RoutingKey;
use std::time::Duration;
use tokio::time::Instant;

pub async fn a_delayed_task_is_tracked_at_once_and_comes_out_when_it_is_due(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = delays(&stage).await?;
    let mut service = stage.subscribe(&queue, 10);
    let began = Instant::now();
    send(&stage, "export.project", 3, "1").await?;
    let mut tracking = stage.subscribe(&stage.names.tracking_queue, 10);
    let tracked = next(&mut tracking).await?;
    let tracked_after = began.elapsed();
    ensure!(
        body(&tracked) == "1" && tracked_after < Duration::from_secs(3),
        "{tracked_after:?}"
    );
    let delivery = next(&mut service).await?;
    let waited = began.elapsed();
    let in_time =
        waited >= Duration::from_millis(2990) && waited < patience(Duration::from_secs(6));
    ensure!(in_time, "{waited:?}");
    ensure!(
        without_delay(&delivery.routing_key) == "export.project",
        "{delivery:?}"
    );
    // Not a second time when it is due.
    nothing(&mut tracking).await
}

pub async fn a_longer_delay_does_not_hold_up_a_shorter_one(stage: Stage) -> anyhow::Result<()> {
    let queue = delays(&stage).await?;
    let began = Instant::now();
    for seconds in [4, 3, 1, 2, 0] {
        send(&stage, "export.project", seconds, &seconds.to_string()).await?;
    }
    let mut service = stage.subscribe(&queue, 10);
    for seconds in 0..5 {
        let delivery = next(&mut service).await?;
        ensure!(
            body(&delivery) == seconds.to_string(),
            "{seconds}: {delivery:?}"
        );
        let waited = began.elapsed();
        ensure!(
            waited >= Duration::from_millis(seconds * 1000 - seconds.min(1) * 10),
            "{seconds}: {waited:?}"
        );
        let _ = delivery.ack();
    }
    Ok(())
}

pub async fn delayed_tasks_of_a_missing_service_do_not_hold_up_others(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = delays(&stage).await?;
    // More than the 32 dead letters without a place after which a queue would send no more.
    for n in 0..40 {
        send(&stage, "nobody.home", 1, &n.to_string()).await?;
    }
    send(&stage, "export.project", 1, "1").await?;
    ensure!(stage.drain(&queue, 1).await?[0].body() == "1");
    let aside = stage.drain(&stage.names.unroutable_queue, 40).await?;
    ensure!(
        aside
            .iter()
            .all(|one| without_delay(&one.routing_key) == "nobody.home")
    );
    Ok(())
}

pub async fn a_delay_that_the_message_limits_itself_comes_early_and_lasts_no_longer(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = delays(&stage).await?;
    let key = delayed_key(Duration::from_secs(8), &RoutingKey::new("export.project")?)?;
    let entry = stage.names.delay_entry.clone();
    stage
        .publish_expiring(&entry, key.as_str(), "1", Duration::from_millis(300))
        .await?;
    let began = Instant::now();
    let received = stage.drain(&queue, 1).await?;
    ensure!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    ensure!(received[0].content.properties.expiration.is_none());
    Ok(())
}

async fn delays(stage: &Stage) -> anyhow::Result<counterfoil_toolbox::names::QueueName> {
    stage.platform().await?;
    stage.delay_levels().await?;
    stage.service("export").await
}

async fn send(stage: &Stage, key: &str, seconds: u64, body: &str) -> anyhow::Result<()> {
    let key = delayed_key(Duration::from_secs(seconds), &RoutingKey::new(key)?)?;
    stage
        .publish(&stage.names.delay_entry, key.as_str(), &[body])
        .await
}
