//! What only a real broker does: killing it, refusing users, blocking publishers.

mod own_nodes;

use anyhow::Context as _;

use counterfoil_testkit::{Broker, Flow, Proxy, Vhost};
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey, ServiceName};
use counterfoil_toolbox::topology::{self, ItemState, Names, QueueSettings, ServiceSettings};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{
    Publication, PublishError, PublisherOptions, SubscribeOptions, Subscription,
    SubscriptionStatus, Transport, TransportError,
};
use std::sync::Arc;
use std::time::Duration;

/// How long a broker may take to be back.
const PATIENCE: Duration = Duration::from_secs(60);

fn transport(url: &str) -> anyhow::Result<Arc<AmqpTransport>> {
    let settings = BrokerSettings {
        urls: vec![url.to_owned().into()],
        ..BrokerSettings::default()
    };
    Ok(AmqpTransport::new(&settings)?)
}

fn names() -> Names {
    BrokerSettings::default()
        .names()
        .expect("the default names are valid")
}

async fn apply_all(transport: &dyn Transport, service: &str) -> anyhow::Result<QueueName> {
    let names = names();
    let service = ServiceName::new(service)?;
    let mut items = topology::platform(&names, QueueSettings::Arguments);
    items.extend(topology::service(
        &names,
        &service,
        &ServiceSettings::default(),
    ));
    items.extend(topology::delay_levels(&names));
    for finding in topology::apply(transport, items).await? {
        anyhow::ensure!(
            finding.state == ItemState::Applied,
            "{}: {:?}",
            finding.item,
            finding.state
        );
    }
    Ok(names.service_queue(&service))
}

fn task(key: &str, body: &str) -> Publication {
    let routing_key = RoutingKey::new(key).expect("short");
    Publication {
        exchange: names().tasks,
        routing_key,
        content: Content::json(body.to_owned()),
    }
}

#[tokio::test]
async fn the_whole_topology_applies_twice_and_then_plans_as_present() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let transport = transport(&vhost.amqp_url())?;
    apply_all(&*transport, "export").await?;
    apply_all(&*transport, "export").await?;
    let findings = topology::plan(
        &*transport,
        topology::platform(&names(), QueueSettings::Arguments),
    )
    .await?;
    let odd: Vec<_> = findings
        .iter()
        .filter(|f| !matches!(f.state, ItemState::Present | ItemState::Unknown))
        .collect();
    anyhow::ensure!(odd.is_empty(), "{odd:?}");
    assert_eq!(transport.server().await?.product, "RabbitMQ");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_name_without_waiting_and_without_showing_it()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let url = vhost
        .amqp_url()
        .replace("guest:guest", "guest:canary-secret");
    let transport = transport(&url)?;
    let error = transport
        .depth(&QueueName::new("export")?)
        .await
        .expect_err("refused");
    assert!(
        matches!(&error, TransportError::Refused { reason, .. } if reason.contains("ACCESS_REFUSED")),
        "{error:?}"
    );
    assert!(!format!("{error:?} {transport:?}").contains("canary-secret"));
    let publisher = transport.publisher(PublisherOptions::default());
    let error = publisher
        .publish(task("export.a", "0"))
        .await
        .expect_err("refused");
    assert!(matches!(error, PublishError::Refused { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn one_message_for_a_missing_exchange_does_not_harm_its_neighbours() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let transport = transport(&vhost.amqp_url())?;
    apply_all(&*transport, "export").await?;
    let publisher = transport.publisher(PublisherOptions::default());
    let mut wrong = task("export.a", "x");
    wrong.exchange = ExchangeName::new("nowhere")?;
    let good_before = publisher.enqueue(task("export.a", "1")).await?;
    let bad = publisher.enqueue(wrong).await?;
    let error = bad.await.expect_err("no such exchange");
    assert!(
        matches!(&error, PublishError::Refused { exchange, .. } if exchange == "nowhere"),
        "{error:?}"
    );
    // Confirmed, or unknown because the channel closed before its confirm: never blamed.
    assert!(matches!(
        good_before.await,
        Ok(()) | Err(PublishError::Disconnected)
    ));
    publisher.publish(task("export.a", "2")).await?;
    Ok(())
}

#[tokio::test]
async fn headers_too_large_for_a_frame_are_refused_before_they_cost_the_connection()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let transport = transport(&vhost.amqp_url())?;
    apply_all(&*transport, "export").await?;
    let publisher = transport.publisher(PublisherOptions::default());
    let mut large = task("export.a", "x");
    large.content.headers.push("note", "n".repeat(140 * 1024));
    let error = publisher.publish(large).await.expect_err("too large");
    assert!(matches!(error, PublishError::Invalid { .. }), "{error:?}");
    publisher.publish(task("export.a", "2")).await?;
    Ok(())
}

/// A transport of several URLs, which gives each of them two seconds.
fn transport_of(urls: &[&str]) -> anyhow::Result<Arc<AmqpTransport>> {
    let settings = BrokerSettings {
        urls: urls.iter().map(|url| (*url).to_owned().into()).collect(),
        connect_timeout: Duration::from_secs(2),
        ..BrokerSettings::default()
    };
    Ok(AmqpTransport::new(&settings)?)
}

/// The broker of `vhost`, behind a proxy of its own.
async fn node_of(vhost: &Vhost) -> anyhow::Result<(Proxy, String)> {
    let url = vhost.amqp_url();
    let port = url
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next());
    let proxy = Proxy::start(port.context("a port")?.parse()?).await?;
    let through = proxy.through(&url)?;
    Ok((proxy, through))
}

#[tokio::test]
async fn a_node_that_is_down_or_silent_at_the_start_is_passed_over() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let (silent, through) = node_of(&vhost).await?;
    silent.set(Flow::Stall);
    let closed = "amqp://guest:guest@127.0.0.1:1/%2f";
    for first in [closed, through.as_str()] {
        let transport = transport_of(&[first, &vhost.amqp_url()])?;
        let server = transport.server().await.context(first.to_owned())?;
        assert_ne!(server.version, "unknown");
        let queue = apply_all(&*transport, "export").await?;
        let publisher = transport.publisher(PublisherOptions::default());
        publisher.publish(task("export.a", "1")).await?;
        let mut subscription =
            Subscription::open(transport.clone(), SubscribeOptions::new(queue, 1));
        let _ = subscription.next().await.context("a delivery")?.ack();
        subscription.close().await;
    }
    assert!(silent.accepted() > 0, "it was tried");
    Ok(())
}

#[tokio::test]
async fn who_loses_a_node_goes_on_at_the_next_and_back_when_that_is_lost() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let ((one, first), (other, second)) = (node_of(&vhost).await?, node_of(&vhost).await?);
    let transport = transport_of(&[&first, &second])?;
    let queue = apply_all(&*transport, "export").await?;
    let publisher = transport.publisher(PublisherOptions::default());
    let mut subscription = Subscription::open(transport.clone(), SubscribeOptions::new(queue, 5));
    let mut pass = async |body: &str| -> anyhow::Result<()> {
        // What was under way when the connection broke may be lost; it is sent again.
        counterfoil_testkit::eventually("a confirm", PATIENCE, async || {
            Ok(publisher.publish(task("export.a", body)).await.ok())
        })
        .await?;
        loop {
            let delivery = tokio::time::timeout(PATIENCE, subscription.next()).await?;
            let delivery = delivery.context("a delivery")?;
            let came = delivery.content.body == *body.as_bytes();
            let _ = delivery.ack();
            if came {
                return Ok(());
            }
        }
    };
    pass("at the first").await?;
    assert_eq!(other.accepted(), 0, "the first one answers");
    one.set(Flow::Refuse);
    one.cut();
    pass("at the second").await?;
    assert!(other.accepted() >= 2, "publishing and consuming");
    one.set(Flow::Pass);
    other.set(Flow::Refuse);
    other.cut();
    pass("at the first again").await
}

/// A refusal makes a channel due to be changed, and a confirm that is late puts that off: of what comes meanwhile no
/// more may be under way than the publisher may have, which is one where messages may come back.
#[tokio::test]
async fn a_late_confirm_after_a_refusal_ends_no_publisher() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let (node, url) = node_of(&vhost).await?;
    let transport = transport(&url)?;
    apply_all(&*transport, "export").await?;
    let settings = ServiceSettings {
        max_length: Some(1),
        ..ServiceSettings::default()
    };
    let full = topology::service(&names(), &ServiceName::new("full")?, &settings);
    topology::apply(&*transport, full).await?;
    let publisher = transport.publisher(PublisherOptions::mandatory());
    let refused = counterfoil_testkit::eventually("a refusal", PATIENCE, async || {
        let answer = publisher.publish(task("full.a", "x")).await;
        Ok((answer == Err(PublishError::Nacked)).then_some(()))
    });
    refused.await?;
    node.set(Flow::Stall);
    let mut under_way = Vec::new();
    for body in ["1", "2", "3"] {
        under_way.push(publisher.enqueue(task("export.a", body)).await?);
    }
    // The channel is due a second after the refusal, and answers are waited for half a second longer.
    tokio::time::sleep(Duration::from_secs(2)).await;
    node.set(Flow::Pass);
    for answer in under_way {
        answer.await?;
    }
    publisher.publish(task("export.a", "4")).await?;
    vhost.close().await
}

/// lapin answers for a channel's number that the broker closed once with the old error, for ever.
#[tokio::test]
async fn questions_are_answered_however_often_the_broker_says_no() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let few_channels = format!("{}?channel_max=9", vhost.amqp_url());
    let transport = transport(&few_channels)?;
    let queue = apply_all(&*transport, "export").await?;
    let missing = QueueName::new("export~high")?;
    for nth in 0..40 {
        let depths = [&missing, &queue].map(|queue| transport.depth(queue));
        for (depth, is_there) in futures::future::join_all(depths)
            .await
            .into_iter()
            .zip([false, true])
        {
            let depth = depth.with_context(|| format!("question {nth}"))?;
            anyhow::ensure!(depth.is_some() == is_there, "{depth:?}");
        }
    }
    vhost.close().await
}
