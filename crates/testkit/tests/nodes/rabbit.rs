//! A private RabbitMQ: what survives which end, and which knobs turn.

use std::time::Duration;

use counterfoil_testkit::{Broker, Depth, RabbitNode, RabbitOptions, Vhost};
use serde_json::json;

#[tokio::test]
async fn a_restart_keeps_ports_and_what_a_durable_queue_holds() -> anyhow::Result<()> {
    let mut node = RabbitNode::start().await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let url = vhost.amqp_url();
    declare_quorum_queue(&vhost, "demo").await?;
    publish(&vhost, "demo", "kept").await?;
    assert_eq!(
        vhost.depth("demo").await?,
        Depth {
            ready: 1,
            unacked: 0
        }
    );

    node.restart().await?;
    assert_eq!(
        vhost.depth("demo").await?,
        Depth {
            ready: 1,
            unacked: 0
        }
    );

    node.kill9().await?;
    assert!(
        vhost.queues().await.is_err(),
        "a killed broker does not answer"
    );
    assert!(node.kill9().await.is_err(), "it cannot be killed twice");
    node.restart().await?;
    assert_eq!(
        vhost.depth("demo").await?,
        Depth {
            ready: 1,
            unacked: 0
        }
    );
    assert_eq!(vhost.amqp_url(), url);
    vhost.close().await
}

#[tokio::test]
async fn a_paused_broker_answers_nobody_until_it_is_resumed() -> anyhow::Result<()> {
    let node = RabbitNode::start().await?;
    let broker = Broker::of(&node)?;
    node.pause()?;
    let asking = broker.management().get("/overview");
    let answer = tokio::time::timeout(Duration::from_millis(500), asking).await;
    assert!(answer.is_err(), "it answered: {answer:?}");
    node.resume()?;
    broker.management().get("/overview").await?;
    Ok(())
}

#[tokio::test]
async fn options_reach_the_broker() -> anyhow::Result<()> {
    let options = RabbitOptions {
        consumer_timeout: Some(Duration::from_secs(5)),
        config_lines: vec!["channel_max = 77".to_owned()],
        ..RabbitOptions::default()
    };
    let node = RabbitNode::start_with(options).await?;
    let environment = node.control(&["environment"]).await?;
    assert!(
        environment.contains("{consumer_timeout,5000}"),
        "{environment}"
    );
    assert!(environment.contains("{channel_max,77}"), "{environment}");
    assert!(node.control(&["no_such_command"]).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_broker_that_cannot_start_says_why() {
    let options = RabbitOptions {
        config_lines: vec!["no.such.key = 1".to_owned()],
        ..Default::default()
    };
    let error = RabbitNode::start_with(options)
        .await
        .expect_err("the configuration is wrong");
    assert!(format!("{error:#}").contains("no.such.key"), "{error:#}");
}

async fn declare_quorum_queue(vhost: &Vhost, queue: &str) -> anyhow::Result<()> {
    let path = format!("/queues/{}/{queue}", vhost.name());
    let body = json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } });
    vhost.broker().management().put(&path, &body).await?;
    Ok(())
}

async fn publish(vhost: &Vhost, queue: &str, payload: &str) -> anyhow::Result<()> {
    let path = format!("/exchanges/{}/amq.default/publish", vhost.name());
    let body = json!({
        "properties": { "delivery_mode": 2 }, "routing_key": queue,
        "payload": payload, "payload_encoding": "string",
    });
    let answer = vhost.broker().management().post(&path, &body).await?;
    anyhow::ensure!(answer["routed"] == true, "{answer}");
    Ok(())
}
