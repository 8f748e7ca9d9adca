//! A vhost for each test, and what can be done to it.

use counterfoil_testkit::{Binding, Broker, Depth, Permissions, Vhost};
use serde_json::{Value, json};

#[tokio::test]
async fn two_vhosts_do_not_see_each_other() -> anyhow::Result<()> {
    let broker = Broker::shared().await?;
    let (one, other) = (broker.vhost().await?, broker.vhost().await?);
    put(&one, "queues", "demo", json!({})).await?;
    assert_eq!(one.queues().await?, ["demo"]);
    assert!(other.queues().await?.is_empty());
    one.close().await?;
    other.close().await
}

#[tokio::test]
async fn a_dropped_vhost_is_gone_with_its_users() -> anyhow::Result<()> {
    let broker = Broker::shared().await?;
    let vhost = broker.vhost().await?;
    let user = vhost.user(Permissions::ALL).await?;
    let paths = [
        format!("/vhosts/{}", vhost.name()),
        format!("/users/{}", user.name),
    ];
    for path in &paths {
        broker.management().get(path).await?;
    }
    drop(vhost);
    for path in &paths {
        assert!(
            broker.management().get(path).await.is_err(),
            "{path} is still there"
        );
    }
    Ok(())
}

#[tokio::test]
async fn depth_counts_what_was_published_a_moment_ago() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    for (queue, kind) in [("classic", "classic"), ("quorum", "quorum")] {
        put(
            &vhost,
            "queues",
            queue,
            json!({ "arguments": { "x-queue-type": kind } }),
        )
        .await?;
        for _ in 0..3 {
            publish(&vhost, "amq.default", queue).await?;
        }
        assert_eq!(
            vhost.depth(queue).await?,
            Depth {
                ready: 3,
                unacked: 0
            },
            "{queue}"
        );
    }
    assert!(vhost.depth("nobody").await.is_err());
    vhost.delete_queue("classic").await?;
    assert_eq!(vhost.queues().await?, ["quorum"]);
    Ok(())
}

#[tokio::test]
async fn bindings_are_listed_without_those_of_the_default_exchange() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    put(
        &vhost,
        "exchanges",
        "task_exchange",
        json!({ "type": "topic" }),
    )
    .await?;
    put(&vhost, "queues", "platform.fifo", json!({})).await?;
    let path = format!("/bindings/{}/e/task_exchange/q/platform.fifo", vhost.name());
    vhost
        .broker()
        .management()
        .post(&path, &json!({ "routing_key": "#" }))
        .await?;
    let expected = Binding {
        source: "task_exchange".to_owned(),
        destination_type: "queue".to_owned(),
        destination: "platform.fifo".to_owned(),
        routing_key: "#".to_owned(),
        arguments: json!({}),
    };
    assert_eq!(vhost.bindings().await?, [expected]);
    assert_eq!(vhost.exchanges().await?, ["task_exchange"]);
    Ok(())
}

async fn put(vhost: &Vhost, kind: &str, name: &str, mut body: Value) -> anyhow::Result<()> {
    body["durable"] = json!(true);
    let path = format!("/{kind}/{}/{name}", vhost.name());
    vhost.broker().management().put(&path, &body).await
}

async fn publish(vhost: &Vhost, exchange: &str, routing_key: &str) -> anyhow::Result<()> {
    let path = format!("/exchanges/{}/{exchange}/publish", vhost.name());
    let body = json!({
        "properties": {}, "routing_key": routing_key, "payload": "x", "payload_encoding": "string",
    });
    let answer = vhost.broker().management().post(&path, &body).await?;
    anyhow::ensure!(answer["routed"] == true, "{answer}");
    Ok(())
}
