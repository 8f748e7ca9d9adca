//! Brokers that are killed, blocked or slow: each test has one of its own.

use super::*;
use counterfoil_testkit::RabbitNode;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::topology::{Item, token_queue};

/// Declares a queue and puts one message into it, again and again until the broker is gone; returns
/// those in which it was confirmed.
async fn fill_new_queues(transport: &dyn Transport) -> anyhow::Result<Vec<QueueName>> {
    let publisher = transport.publisher(PublisherOptions::mandatory());
    let mut filled = Vec::new();
    loop {
        let limit = TaskName::new(&format!("young.{}", filled.len()))?;
        let queue = token_queue(&names(), &limit, QueueSettings::Arguments)?;
        let name = queue.name.clone();
        let message = Publication {
            exchange: ExchangeName::default_exchange(),
            routing_key: RoutingKey::new(name.as_str())?,
            content: Content::json("1"),
        };
        let declared = topology::apply(transport, vec![Item::Queue(queue)]).await;
        if declared.is_err() || publisher.publish(message).await.is_err() {
            return Ok(filled);
        }
        filled.push(name);
        // The next declaration would make the broker write this one.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_queue_that_is_filled_while_its_broker_is_killed_keeps_what_was_confirmed()
-> anyhow::Result<()> {
    let mut node = RabbitNode::start().await?;
    let transport = transport(&node.amqp_url("/"))?;
    let (filled, killed) = tokio::join!(fill_new_queues(&*transport), node.kill9());
    killed?;
    node.restart().await?;
    let filled = filled?;
    anyhow::ensure!(!filled.is_empty(), "none was there in time");
    for queue in filled {
        let ready = transport.depth(&queue).await?.map(|depth| depth.ready);
        anyhow::ensure!(ready == Some(1), "{queue}: {ready:?}");
    }
    Ok(())
}

#[tokio::test]
async fn confirmed_messages_outlive_a_killed_broker_and_everyone_comes_back_alone()
-> anyhow::Result<()> {
    let mut node = RabbitNode::start().await?;
    let transport = transport(&node.amqp_url("/"))?;
    let queue = apply_all(&*transport, "export").await?;
    let publisher = transport.publisher(PublisherOptions {
        confirm_timeout: Some(Duration::from_secs(30)),
        ..PublisherOptions::default()
    });
    let mut subscription = Subscription::open(transport.clone(), SubscribeOptions::new(queue, 50));
    publisher.publish(task("export.a", "0")).await?;
    let first = subscription.next().await.context("a delivery")?;
    assert_eq!(&first.content.body[..], b"0");

    node.kill9().await?;
    let mut status = subscription.status();
    status
        .wait_for(|status| {
            matches!(
                status,
                SubscriptionStatus::Down {
                    transient: true,
                    ..
                }
            )
        })
        .await?;
    assert!(!first.is_live());
    let confirm = publisher.enqueue(task("export.b", "1")).await?;
    node.restart().await?;

    // What was under way is answered, one way or the other; sending it again is safe.
    if confirm.await.is_err() {
        publisher.publish(task("export.b", "1")).await?;
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        let delivery = tokio::time::timeout(Duration::from_secs(20), subscription.next())
            .await?
            .context("a delivery")?;
        seen.insert(delivery.content.body.to_vec());
        let _ = delivery.ack();
    }
    subscription.close().await;
    Ok(())
}

#[tokio::test]
async fn blocked_publishers_are_told_so_in_time_and_outlive_the_alarm_while_consumers_go_on()
-> anyhow::Result<()> {
    let mut node = RabbitNode::start().await?;
    let timeout = Duration::from_secs(2);
    let transport = AmqpTransport::new(&BrokerSettings {
        urls: vec![node.amqp_url("/").into()],
        confirm_timeout: timeout,
        ..BrokerSettings::default()
    })?;
    let queue = apply_all(&*transport, "export").await?;
    let open = async || {
        let publisher = transport.publisher(PublisherOptions::default());
        let sent = publisher.publish(task("export.a", "1")).await;
        sent.map(|()| publisher)
    };
    let (one, other) = (open().await?, open().await?);
    node.control(&["set_vm_memory_high_watermark", "0.000001"])
        .await?;
    // The first one may be what the broker answers with the alarm; it is silent then.
    let first = one.publish(task("export.b", "2")).await;
    assert!(
        matches!(
            first,
            Err(PublishError::ConfirmTimeout { .. } | PublishError::Blocked { .. })
        ),
        "{first:?}"
    );
    // All who come later get their answer at the same time, not one after the other.
    let many = (0..100).map(|_| other.publish(task("export.b", "3")));
    let answers = tokio::time::timeout(timeout * 5, futures::future::join_all(many)).await?;
    let blocked = Err(PublishError::Blocked { after: timeout });
    assert!(
        answers.iter().all(|answer| *answer == blocked),
        "{answers:?}"
    );
    let mut subscription =
        Subscription::open(transport.clone(), SubscribeOptions::new(queue.clone(), 10));
    let _ = subscription.next().await.context("a delivery")?.ack();
    subscription.close().await;
    // The connection dies while it is blocked.
    node.kill9().await?;
    node.restart().await?;
    for publisher in [&one, &other] {
        counterfoil_testkit::eventually("to be heard again", PATIENCE, async || {
            Ok(publisher.publish(task("export.c", "4")).await.ok())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_asks_what_he_may_publish_under_an_alarm_hears_of_the_alarm() -> anyhow::Result<()> {
    let node = RabbitNode::start().await?;
    let transport = transport(&node.amqp_url("/"))?;
    apply_all(&*transport, "export").await?;
    node.control(&["set_vm_memory_high_watermark", "0.000001"])
        .await?;
    // The first question may be what the broker answers with the alarm; the next one needs a channel.
    let (tasks, key) = (names().tasks, RoutingKey::new("export.a")?);
    let error = counterfoil_testkit::eventually("no answer", PATIENCE, async || {
        Ok(transport.may_publish(&tasks, &key).await.err())
    });
    let error = error.await?.to_string();
    assert!(error.contains("disk alarm"), "{error}");
    Ok(())
}

/// Lets one process of the broker do nothing, as under load, or go on.
async fn hold(node: &RabbitNode, queue: &QueueName, how: &str) -> anyhow::Result<()> {
    let hold = format!("sys:{how}('%2F_{queue}').");
    node.control(&["eval", &hold]).await.map(drop)
}

#[tokio::test]
async fn a_consumer_that_the_broker_begins_too_late_takes_nothing() -> anyhow::Result<()> {
    let node = RabbitNode::start().await?;
    let transport = AmqpTransport::new(&BrokerSettings {
        urls: vec![node.amqp_url("/").into()],
        connect_timeout: Duration::from_secs(3),
        ..BrokerSettings::default()
    })?;
    let queue = apply_all(&*transport, "export").await?;
    hold(&node, &queue, "suspend").await?;
    let options = SubscribeOptions::new(queue.clone(), 10);
    let mut subscription = Subscription::open(transport.clone(), options);
    let mut status = subscription.status();
    for _ in 0..2 {
        let down = |status: &SubscriptionStatus| matches!(status, SubscriptionStatus::Down { .. });
        tokio::time::timeout(PATIENCE, status.wait_for(down)).await??;
        status.mark_unchanged();
        tokio::time::timeout(PATIENCE, status.changed()).await??;
    }
    hold(&node, &queue, "resume").await?;
    let publisher = transport.publisher(PublisherOptions::default());
    for _ in 0..20 {
        publisher.publish(task("export.a", "1")).await?;
    }
    for _ in 0..20 {
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await?;
        let _ = next.context("a delivery")?.ack();
    }
    let depth = transport.depth(&queue).await?.context("the queue")?;
    assert_eq!(depth.consumers, 1, "{depth:?}");
    Ok(())
}
