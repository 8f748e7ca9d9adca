//! A vhost for each test, and what can be done to it.

use std::time::Duration;

use counterfoil_testkit::{Binding, Broker, Depth, Permissions, Vhost, eventually};
use serde_json::{Value, json};

use crate::amqp::Connection;

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

#[tokio::test]
async fn closing_connections_spares_those_of_other_vhosts() -> anyhow::Result<()> {
    let broker = Broker::shared().await?;
    let (vhost, other) = (broker.vhost().await?, broker.vhost().await?);
    let connection = Connection::open(&vhost.amqp_url()).await?;
    let _spared = Connection::open(&other.amqp_url()).await?;
    // The broker lists a connection a moment after it has opened it.
    for vhost in [&vhost, &other] {
        eventually(
            "the connection to be listed",
            Duration::from_secs(5),
            async || Ok((vhost.connections().await?.len() == 1).then_some(())),
        )
        .await?;
    }
    assert_eq!(vhost.close_connections().await?, 1);
    assert_eq!(connection.closed().await?, 320, "closed by the operator");
    assert_eq!(other.connections().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_user_opens_its_own_vhost_and_no_other() -> anyhow::Result<()> {
    let broker = Broker::shared().await?;
    let (vhost, other) = (broker.vhost().await?, broker.vhost().await?);
    let user = vhost.user(Permissions::ALL).await?;
    Connection::open(&user.amqp_url).await?;
    let elsewhere = user.amqp_url.replace(vhost.name(), other.name());
    let refusal = Connection::open(&elsewhere)
        .await
        .err()
        .map(|error| error.to_string());
    assert!(
        refusal
            .as_ref()
            .is_some_and(|text| text.contains("NOT_ALLOWED")),
        "{refusal:?}"
    );
    Ok(())
}

#[tokio::test]
async fn permissions_of_a_user_can_be_narrowed() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let user = vhost.user(Permissions::ALL).await?;
    let narrow = Permissions {
        configure: "^$",
        write: "^task_exchange$",
        read: "^demo$",
    };
    vhost.set_permissions(&user.name, narrow).await?;
    vhost
        .set_topic_permissions(&user.name, "task_exchange", "^demo$", "^$")
        .await?;

    let management = vhost.broker().management();
    let path = format!("permissions/{}/{}", vhost.name(), user.name);
    let found = management.get(&format!("/{path}")).await?;
    assert_eq!(
        (&found["configure"], &found["read"]),
        (&json!("^$"), &json!("^demo$"))
    );
    let found = management.get(&format!("/topic-{path}")).await?;
    assert_eq!(
        (&found[0]["exchange"], &found[0]["write"]),
        (&json!("task_exchange"), &json!("^demo$"))
    );
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
