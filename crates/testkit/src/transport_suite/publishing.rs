//! Confirms, returns and refusals.

use super::awaiting::next;
use super::stage::Stage;
use super::values::{exchange, message, refusing_above};
use anyhow::{Context as _, ensure};
use counterfoil_toolbox::message::{Content, HeaderValue, Headers, Properties};
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::topology::{ExchangeKind, Item, QueueKind};
use counterfoil_toolbox::transport::{Publication, PublishError, Publisher, PublisherOptions};
use std::time::Duration;

pub async fn a_thousand_pipelined_messages_are_confirmed_and_keep_their_order(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let publisher = stage.publisher();
    let mut confirms = Vec::with_capacity(1000);
    for n in 0..1000 {
        let message = to_queue(&queue, &n.to_string());
        confirms.push(publisher.enqueue(message).await?);
    }
    for confirm in confirms {
        confirm.await?;
    }
    stage.wait_ready(&queue, 1000).await?;
    // One at a time: a wider consumer is two at the broker, and they overtake each other.
    let mut subscription = stage.subscribe(&queue, 1);
    for n in 0..1000 {
        let delivery = next(&mut subscription).await?;
        ensure!(delivery.content.body == n.to_string(), "{n}: {delivery:?}");
        let _ = delivery.ack();
    }
    subscription.close().await;
    stage.wait_ready(&queue, 0).await
}

pub async fn a_mandatory_message_without_a_queue_comes_back_and_the_next_is_fine(
    stage: Stage,
) -> anyhow::Result<()> {
    let source = stage.exchange("x", ExchangeKind::Topic).await?;
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    stage.bind_queue(&source, &queue, "known").await?;
    let publisher = stage.transport.publisher(PublisherOptions::mandatory());
    for _ in 0..3 {
        let lost = publisher.publish(message(&source, "unknown", "lost")).await;
        let told = matches!(&lost, Err(PublishError::Unroutable { exchange, key }) if exchange == "x" && key == "unknown");
        ensure!(told, "{lost:?}");
        publisher.publish(message(&source, "known", "kept")).await?;
    }
    stage.wait_ready(&queue, 3).await
}

pub async fn without_mandatory_a_message_without_a_queue_is_confirmed_and_gone(
    stage: Stage,
) -> anyhow::Result<()> {
    let source = stage.exchange("x", ExchangeKind::Topic).await?;
    stage.publish(&source, "unknown", &["gone"]).await
}

pub async fn a_missing_exchange_is_refused_and_the_publisher_is_usable_afterwards(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let publisher = stage.publisher();
    let nowhere = ExchangeName::new("nowhere")?;
    let reason = refusal(&publisher, message(&nowhere, "k", "x")).await?;
    ensure!(
        reason.contains("NOT_FOUND") && reason.contains("exchange 'nowhere'"),
        "{reason}"
    );
    publisher.publish(to_queue(&queue, "1")).await?;
    // Declared later, it is found.
    stage.exchange("nowhere", ExchangeKind::Topic).await?;
    publisher.publish(message(&nowhere, "k", "x")).await?;
    stage.wait_ready(&queue, 1).await
}

pub async fn an_internal_exchange_refuses_publishers(stage: Stage) -> anyhow::Result<()> {
    let mut internal = exchange("x", ExchangeKind::Topic);
    internal.internal = true;
    let name = internal.name.clone();
    stage.apply(vec![Item::Exchange(internal)]).await?;
    let reason = refusal(&stage.publisher(), message(&name, "k", "x")).await?;
    ensure!(
        reason.contains("cannot publish to internal exchange 'x'"),
        "{reason}"
    );
    Ok(())
}

const ROUNDS: usize = 400;

/// A publisher takes another channel after a second of refusals. Nobody else's messages may suffer.
pub async fn a_queue_that_stays_full_costs_those_of_others_nothing(
    stage: Stage,
) -> anyhow::Result<()> {
    let arguments = refusing_above(1);
    let full = stage.queue("full", QueueKind::Quorum, &arguments).await?;
    let free = stage.queue("free", QueueKind::Quorum, &[]).await?;
    stage.fill(&full, &["1", "2"]).await?;
    let publisher = stage.publisher();
    let mut refused = 0;
    // Pauses, so that these last for two seconds: the channel is changed meanwhile.
    for _ in 0..ROUNDS {
        let both = futures::future::join(
            publisher.publish(to_queue(&full, "too many")),
            publisher.publish(to_queue(&free, "fine")),
        );
        let (of_full, of_free) = both.await;
        of_free?;
        refused += usize::from(of_full == Err(PublishError::Nacked));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ensure!(refused > ROUNDS / 2, "{refused} of {ROUNDS}");
    stage.drain(&free, ROUNDS).await?;
    ensure!(stage.ready(&free).await? == 0, "one came twice");
    Ok(())
}

async fn refusal(publisher: &Publisher, message: Publication) -> anyhow::Result<String> {
    let wanted = message.exchange.to_string();
    match publisher.publish(message).await {
        Err(PublishError::Refused { exchange, reason }) if exchange == wanted => Ok(reason),
        other => anyhow::bail!("{other:?}"),
    }
}

pub async fn a_full_quorum_queue_refuses_until_it_has_room_again(
    stage: Stage,
) -> anyhow::Result<()> {
    let arguments = refusing_above(5);
    let queue = stage.queue("q", QueueKind::Quorum, &arguments).await?;
    let publisher = stage.publisher();
    // The limit is soft: the queue notices when it is over it.
    for n in 0..6 {
        publisher.publish(to_queue(&queue, &n.to_string())).await?;
    }
    for _ in 0..3 {
        let refused = publisher.publish(to_queue(&queue, "too many")).await;
        ensure!(refused == Err(PublishError::Nacked), "{refused:?}");
    }
    let received = stage.drain(&queue, 6).await?;
    ensure!(received[5].body() == "5");
    // Room is announced, not asked for: the first try may still be refused.
    let accepted =
        crate::eventually(
            "room in the queue",
            Duration::from_secs(10),
            async || match publisher.publish(to_queue(&queue, "again")).await {
                Ok(()) => Ok(Some(())),
                Err(PublishError::Nacked) => Ok(None),
                Err(error) => Err(error.into()),
            },
        );
    accepted.await?;
    ensure!(stage.drain(&queue, 1).await?[0].body() == "again");
    Ok(())
}

pub async fn a_full_classic_queue_refuses_although_the_other_queue_took_its_copy(
    stage: Stage,
) -> anyhow::Result<()> {
    let arguments = refusing_above(2);
    let full = stage.queue("full", QueueKind::Classic, &arguments).await?;
    let other = stage.queue("other", QueueKind::Quorum, &[]).await?;
    let source = stage.exchange("x", ExchangeKind::Fanout).await?;
    stage.bind_queue(&source, &full, "").await?;
    stage.bind_queue(&source, &other, "").await?;
    stage.publish(&source, "", &["1", "2"]).await?;
    let refused = stage.publisher().publish(message(&source, "", "3")).await;
    ensure!(refused == Err(PublishError::Nacked), "{refused:?}");
    stage.wait_ready(&full, 2).await?;
    stage.wait_ready(&other, 3).await
}

pub async fn headers_of_every_type_survive_a_round_trip(stage: Stage) -> anyhow::Result<()> {
    let mut inner = Headers::new();
    inner.push("text", "in a table");
    inner.push(
        "list",
        HeaderValue::List(vec![1_i64.into(), "two".into(), HeaderValue::Null]),
    );
    let mut headers = Headers::new();
    headers.push("null", HeaderValue::Null);
    headers.push("yes", true);
    headers.push("small", -7_i64);
    headers.push("large", i64::MAX);
    headers.push("float", HeaderValue::Float(-0.125));
    headers.push("text", "grüße 任务");
    headers.push("empty", "");
    headers.push("bytes", HeaderValue::Bytes(vec![0xff, 0x00, 0xfe].into()));
    headers.push("time", HeaderValue::Timestamp(1_790_000_000));
    headers.push(
        "list",
        HeaderValue::List(vec![HeaderValue::Table(inner.clone())]),
    );
    headers.push("table", HeaderValue::Table(inner));
    let content = Content {
        headers: headers.clone(),
        ..Content::json("{}")
    };
    let received = round_trip(&stage, content).await?;
    for (name, value) in headers.iter() {
        let found = received.headers.get(name);
        ensure!(same(found, value), "{name}: {value:?} became {found:?}");
    }
    ensure!(received.headers.len() == headers.len());
    Ok(())
}

/// Tables keep their entries, not the order of them.
fn same(found: Option<&HeaderValue>, wanted: &HeaderValue) -> bool {
    match (found, wanted) {
        (Some(HeaderValue::Table(found)), HeaderValue::Table(wanted)) => {
            found.len() == wanted.len()
                && wanted
                    .iter()
                    .all(|(name, value)| same(found.get(name), value))
        }
        (Some(HeaderValue::List(found)), HeaderValue::List(wanted)) => {
            let pairs = || found.iter().zip(wanted);
            found.len() == wanted.len() && pairs().all(|(found, wanted)| same(Some(found), wanted))
        }
        (found, wanted) => found == Some(wanted),
    }
}

pub async fn properties_survive_a_round_trip(stage: Stage) -> anyhow::Result<()> {
    let properties = Properties {
        correlation_id: Some("correlation".into()),
        reply_to: Some("reply".into()),
        message_id: Some("ü".repeat(127).into()),
        kind: Some("kind".into()),
        app_id: Some("app".into()),
        timestamp: Some(1_790_000_000),
        priority: Some(3),
        ..Properties::json()
    };
    for persistent in [true, false] {
        let content = Content {
            properties: Properties {
                persistent,
                ..properties.clone()
            },
            ..Content::default()
        };
        let mut received = round_trip(&stage, content.clone()).await?;
        // RabbitMQ's users have names, the broker in memory has no users.
        received.properties.user_id = None;
        ensure!(received == content, "{received:?}");
    }
    Ok(())
}

pub async fn a_body_of_a_mebibyte_survives_a_round_trip(stage: Stage) -> anyhow::Result<()> {
    let body: Vec<u8> = (0_u8..=250).cycle().take(1 << 20).collect();
    for body in [body, Vec::new()] {
        let received = round_trip(&stage, Content::json(body.clone())).await?;
        ensure!(received.body == body);
    }
    Ok(())
}

async fn round_trip(stage: &Stage, content: Content) -> anyhow::Result<Content> {
    let queue = stage.queue("round", QueueKind::Quorum, &[]).await?;
    let message = Publication {
        content,
        ..to_queue(&queue, "")
    };
    stage.publisher().publish(message).await?;
    let mut received = stage.drain(&queue, 1).await?;
    Ok(received.pop().context("there is one")?.content)
}

pub async fn what_does_not_fit_a_frame_is_refused_and_the_publisher_is_usable_afterwards(
    stage: Stage,
) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let publisher = stage.publisher();
    let mut long_headers = to_queue(&queue, "x");
    long_headers
        .content
        .headers
        .push("long", "x".repeat(200 * 1024));
    let mut long_name = to_queue(&queue, "x");
    long_name.content.headers.push("n".repeat(256), "x");
    let mut long_property = to_queue(&queue, "x");
    long_property.content.properties.message_id = Some("x".repeat(256).into());
    for message in [long_headers, long_name, long_property] {
        let refused = publisher.publish(message).await;
        ensure!(
            matches!(refused, Err(PublishError::Invalid { .. })),
            "{refused:?}"
        );
    }
    publisher.publish(to_queue(&queue, "fits")).await?;
    ensure!(stage.drain(&queue, 1).await?[0].body() == "fits");
    Ok(())
}

pub async fn a_closed_transport_says_so(stage: Stage) -> anyhow::Result<()> {
    let queue = stage.queue("q", QueueKind::Quorum, &[]).await?;
    let publisher = stage.publisher();
    publisher.publish(to_queue(&queue, "1")).await?;
    stage.transport.close().await;
    let late = publisher.publish(to_queue(&queue, "2")).await;
    ensure!(late == Err(PublishError::Closed), "{late:?}");
    let asked = stage.transport.depth(&queue).await;
    ensure!(asked.is_err(), "{asked:?}");
    Ok(())
}

fn to_queue(queue: &QueueName, body: &str) -> Publication {
    message(&ExchangeName::default_exchange(), queue.as_str(), body)
}
