//! Messages that leave a queue unacknowledged, and the story that they carry.

use super::awaiting::{Received, next, take};
use super::stage::Stage;
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::message::{HeaderValue, Headers};
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::{ExchangeKind, QueueKind};
use counterfoil_toolbox::transport::Requeue;
use std::time::Duration;

pub async fn a_message_that_comes_back_too_often_is_dead_and_the_platform_learns_of_it(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let export = stage.service("export").await?;
    stage
        .publish(
            &stage.names.tasks,
            "export.project",
            &["poison", "innocent"],
        )
        .await?;
    let mut subscription = stage.subscribe(&export, 1);
    // Its limit is 20: delivered 21 times, it is dead with its 21st return.
    for returned in 0..=20 {
        let delivery = next(&mut subscription).await?;
        ensure!(
            delivery.delivery_count() == returned,
            "{returned}: {delivery:?}"
        );
        let _ = delivery.nack(Requeue::Yes);
    }
    ensure!(take(&mut subscription, 1).await? == ["innocent"]);
    let dead = QueueName::new("export.dead")?;
    for queue in [&dead, &stage.names.deaths_queue] {
        let received = stage.drain(queue, 1).await?.pop().context("one")?;
        ensure!(received.body() == "poison" && received.routing_key == "export");
        ensure!(received.exchange == stage.names.dead);
        ensure!(
            received.content.headers.get("x-delivery-count").is_none(),
            "a count of its own"
        );
        ensure!(
            deaths(&received)?
                == ["1 delivery_limit in export from task_exchange.work by export.project"]
                || deaths(&received)?
                    == ["1 delivery_limit in export from task_exchange by export.project"],
            "{:?}",
            deaths(&received)?
        );
        ensure!(received.header("x-first-death-reason") == Some("delivery_limit"));
        ensure!(received.header("x-first-death-queue") == Some("export"));
        ensure!(received.header("x-first-death-exchange") == Some("task_exchange"));
    }
    Ok(())
}

pub async fn a_rejected_message_goes_where_its_queue_sends_the_dead(
    stage: Stage,
) -> anyhow::Result<()> {
    let (queue, dead) = with_dead(&stage, &[]).await?;
    let plain = stage.queue("plain", QueueKind::Classic, &[]).await?;
    for from in [&queue, &plain] {
        stage.fill(from, &["1", "2"]).await?;
        let mut subscription = stage.subscribe(from, 1);
        let _ = next(&mut subscription).await?.nack(Requeue::No);
        ensure!(take(&mut subscription, 1).await? == ["2"]);
        subscription.close().await;
        stage.wait_ready(from, 0).await?;
    }
    let received = stage.drain(&dead, 1).await?.pop().context("one")?;
    ensure!(
        received.body() == "1" && received.routing_key == "q",
        "its own key"
    );
    ensure!(
        deaths(&received)? == ["1 rejected in q from  by q"],
        "{:?}",
        deaths(&received)?
    );
    // A queue that sends its dead nowhere drops them.
    stage.wait_ready(&dead, 0).await
}

pub async fn deaths_are_told_newest_first_and_counted_by_queue_and_reason(
    stage: Stage,
) -> anyhow::Result<()> {
    let to = |queue: &str| {
        [
            ("x-dead-letter-exchange", HeaderValue::from("")),
            ("x-dead-letter-routing-key", queue.into()),
        ]
    };
    let a = stage.queue("a", QueueKind::Quorum, &to("b")).await?;
    let b = stage.queue("b", QueueKind::Classic, &to("a")).await?;
    stage.fill(&a, &["1"]).await?;
    for queue in [&a, &b, &a, &b] {
        let mut subscription = stage.subscribe(queue, 1);
        let _ = next(&mut subscription).await?.nack(Requeue::No);
        subscription.close().await;
    }
    let received = stage.drain(&a, 1).await?.pop().context("one")?;
    let told = deaths(&received)?;
    ensure!(
        told == ["2 rejected in b from  by b", "2 rejected in a from  by a"],
        "{told:?}"
    );
    ensure!(received.header("x-first-death-queue") == Some("a"));
    Ok(())
}

pub async fn a_message_expires_after_the_time_of_its_queue(stage: Stage) -> anyhow::Result<()> {
    let ttl = [
        ("x-message-ttl", 800_i64.into()),
        ("x-dead-letter-routing-key", "late".into()),
    ];
    let (queue, dead) = with_dead(&stage, &ttl).await?;
    let began = tokio::time::Instant::now();
    stage.fill(&queue, &["1"]).await?;
    let received = stage.drain(&dead, 1).await?.pop().context("one")?;
    let waited = began.elapsed();
    ensure!(waited >= Duration::from_millis(790), "{waited:?}");
    ensure!(
        received.routing_key == "late",
        "the key of the queue instead of its own"
    );
    ensure!(
        deaths(&received)? == ["1 expired in q from  by q"],
        "{:?}",
        deaths(&received)?
    );
    Ok(())
}

pub async fn only_the_head_of_a_queue_expires(stage: Stage) -> anyhow::Result<()> {
    let quorum = stage.queue("quorum", QueueKind::Quorum, &[]).await?;
    let classic = stage.queue("classic", QueueKind::Classic, &[]).await?;
    let direct = ExchangeName::default_exchange();
    for (body, ms) in [("long", 6000), ("short", 100)] {
        for queue in [&quorum, &classic] {
            let after = Duration::from_millis(ms);
            stage
                .publish_expiring(&direct, queue.as_str(), body, after)
                .await?;
        }
    }
    // The short ones are over long since, and nothing tells of what does not happen.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for queue in [&quorum, &classic] {
        ensure!(
            stage.ready(queue).await? == 2,
            "the reason for levels of delay"
        );
    }
    for queue in [&quorum, &classic] {
        stage.wait_ready(queue, 0).await?;
    }
    Ok(())
}

pub async fn an_expired_tracking_copy_reaches_the_queue_of_the_expired(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    let export = stage.service("export").await?;
    let tasks = stage.names.tasks.clone();
    let soon = Duration::from_millis(500);
    stage
        .publish_expiring(&tasks, "export.project", "1", soon)
        .await?;
    let received = stage
        .drain(&stage.names.expired_queue, 1)
        .await?
        .pop()
        .context("one")?;
    ensure!(received.body() == "1" && received.routing_key == "export.project");
    ensure!(
        received.content.properties.expiration.is_none(),
        "or it would expire again"
    );
    ensure!(received.header("x-first-death-reason") == Some("expired"));
    ensure!(received.header("x-first-death-queue") == Some("platform.fifo"));
    // The service's copy is dead for the same reason.
    let dead = stage
        .drain(&stage.names.deaths_queue, 1)
        .await?
        .pop()
        .context("one")?;
    ensure!(
        deaths(&dead)? == ["1 expired in export from task_exchange by export.project"],
        "{:?}",
        deaths(&dead)?
    );
    stage.wait_ready(&export, 0).await?;
    stage.wait_ready(&stage.names.platform_dead_queue, 0).await
}

pub async fn what_died_otherwise_in_the_tracking_queue_goes_to_the_last_resort(
    stage: Stage,
) -> anyhow::Result<()> {
    stage.platform().await?;
    stage
        .publish(&stage.names.tasks, "nobody.home", &["1"])
        .await?;
    let mut subscription = stage.subscribe(&stage.names.tracking_queue, 1);
    let _ = next(&mut subscription).await?.nack(Requeue::No);
    let received = stage.drain(&stage.names.platform_dead_queue, 1).await?;
    ensure!(received[0].body() == "1");
    ensure!(received[0].header("x-first-death-reason") == Some("rejected"));
    // And what kills the reader of the expired does not go round to it again.
    let soon = Duration::from_millis(300);
    subscription.close().await;
    stage
        .publish_expiring(&stage.names.tasks, "nobody.home", "2", soon)
        .await?;
    let mut subscription = stage.subscribe(&stage.names.expired_queue, 1);
    let _ = next(&mut subscription).await?.nack(Requeue::No);
    let received = stage.drain(&stage.names.platform_dead_queue, 1).await?;
    ensure!(received[0].body() == "2");
    stage.wait_ready(&stage.names.expired_queue, 0).await
}

pub async fn a_full_queue_that_drops_its_head_sends_it_to_the_dead(
    stage: Stage,
) -> anyhow::Result<()> {
    for (at, kind) in [QueueKind::Quorum, QueueKind::Classic]
        .into_iter()
        .enumerate()
    {
        let dead = stage
            .queue(&format!("dead{at}"), QueueKind::Quorum, &[])
            .await?;
        let arguments = [
            ("x-max-length", 3_i64.into()),
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", dead.as_str().into()),
        ];
        let queue = stage.queue(&format!("q{at}"), kind, &arguments).await?;
        stage.fill(&queue, &["0", "1", "2", "3", "4"]).await?;
        let received = stage.drain(&dead, 2).await?;
        ensure!(
            received[0].body() == "0" && received[1].body() == "1",
            "{received:?}"
        );
        ensure!(received[0].header("x-first-death-reason") == Some("maxlen"));
        stage.wait_ready(&queue, 3).await?;
    }
    Ok(())
}

pub async fn a_message_does_not_go_round_in_circles_by_itself(stage: Stage) -> anyhow::Result<()> {
    let mut queues = Vec::new();
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        let name = |queue: &str| format!("{}-{queue}", kind.as_str());
        for (from, to) in [("a", "b"), ("b", "a")] {
            let arguments = [
                ("x-message-ttl", 200_i64.into()),
                ("x-dead-letter-exchange", "".into()),
                ("x-dead-letter-routing-key", name(to).into()),
            ];
            queues.push(stage.queue(&name(from), kind, &arguments).await?);
        }
        stage.fill(&QueueName::new(&name("a"))?, &["1"]).await?;
    }
    // From `b` it would come back to `a`, where it died before, and nobody had a hand in it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..5 {
        for queue in &queues {
            ensure!(stage.ready(queue).await? == 0, "still in {queue}");
        }
        // Out of step with the 200 ms that it would stay in each of them.
        tokio::time::sleep(Duration::from_millis(90)).await;
    }
    Ok(())
}

pub async fn a_message_that_somebody_rejected_may_come_round_again(
    stage: Stage,
) -> anyhow::Result<()> {
    let wait = [
        ("x-message-ttl", 200_i64.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", "work".into()),
    ];
    let to_wait = [
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", "wait".into()),
    ];
    let work = stage.queue("work", QueueKind::Quorum, &to_wait).await?;
    stage.queue("wait", QueueKind::Quorum, &wait).await?;
    stage.fill(&work, &["1"]).await?;
    let mut subscription = stage.subscribe(&work, 1);
    for round in 0..3_usize {
        let delivery = next(&mut subscription).await?;
        let seen = match delivery.content.headers.get("x-death") {
            Some(HeaderValue::List(deaths)) => deaths.len(),
            _ => 0,
        };
        ensure!(seen == if round == 0 { 0 } else { 2 }, "{delivery:?}");
        let _ = delivery.nack(Requeue::No);
    }
    Ok(())
}

/// A queue `q` that sends its dead to the queue that is returned second.
async fn with_dead(
    stage: &Stage,
    more: &[(&'static str, HeaderValue)],
) -> anyhow::Result<(QueueName, QueueName)> {
    let exchange = stage.exchange("dead", ExchangeKind::Fanout).await?;
    let dead = stage.queue("dead", QueueKind::Quorum, &[]).await?;
    stage.bind_queue(&exchange, &dead, "").await?;
    let mut arguments = vec![
        ("x-dead-letter-exchange", exchange.as_str().into()),
        ("x-dead-letter-strategy", "at-least-once".into()),
        ("x-overflow", "reject-publish".into()),
    ];
    arguments.extend_from_slice(more);
    let queue = stage.queue("q", QueueKind::Quorum, &arguments).await?;
    Ok((queue, dead))
}

/// Each entry of `x-death` on one line. Its time must be there.
fn deaths(received: &Received) -> anyhow::Result<Vec<String>> {
    let Some(HeaderValue::List(entries)) = received.content.headers.get("x-death") else {
        anyhow::bail!("no x-death in {received:?}");
    };
    entries.iter().map(told).collect()
}

fn told(entry: &HeaderValue) -> anyhow::Result<String> {
    let HeaderValue::Table(entry) = entry else {
        anyhow::bail!("{entry:?} is no table");
    };
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(HeaderValue::as_str)
            .context(name.to_owned())
    };
    let count = entry.int("count").context("count")?;
    let keys = keys(entry)?;
    let time = matches!(
        entry.get("time"),
        Some(HeaderValue::Timestamp(1_600_000_000..))
    );
    ensure!(time, "{entry:?}");
    Ok(format!(
        "{count} {} in {} from {} by {keys}",
        text("reason")?,
        text("queue")?,
        text("exchange")?
    ))
}

fn keys(entry: &Headers) -> anyhow::Result<String> {
    match entry.get("routing-keys") {
        Some(HeaderValue::List(keys)) => {
            let keys: Option<Vec<_>> = keys.iter().map(HeaderValue::as_str).collect();
            Ok(keys.context("a key is no text")?.join(" "))
        }
        other => anyhow::bail!("routing-keys: {other:?}"),
    }
}
