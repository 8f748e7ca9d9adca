//! What `deploy/rabbitmq/permissions` lets each user do is enough for its work, and no more.

use super::scripts;
use anyhow::Context as _;
use counterfoil_testkit::{Broker, Permissions, RabbitNode, Vhost};
use counterfoil_toolbox::config::{BrokerSettings, QueueOverride};
use counterfoil_toolbox::doctor::{Check, Duty, Outcome, permissions};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey, TaskName};
use counterfoil_toolbox::producer::{RawTask, SendError, SendOptions};
use counterfoil_toolbox::topology::{self, Names, delay_levels, platform, token_queue};
use counterfoil_toolbox::transport::amqp::{AmqpTransport, Rehearsed};
use counterfoil_toolbox::transport::{Mailbox, Transport, TransportError};
use counterfoil_toolbox::{Priority, Producer, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A platform below `prefix` at a node, as the user of `vhost`.
struct Stage<'a> {
    node: &'a RabbitNode,
    vhost: Vhost,
    settings: BrokerSettings,
    names: Names,
}

impl<'a> Stage<'a> {
    async fn new(node: &'a RabbitNode, prefix: &str) -> anyhow::Result<Self> {
        let vhost = Broker::of(node)?.vhost().await?;
        let classes = QueueOverride {
            priorities: true,
            max_length: Some(1000),
            ..QueueOverride::default()
        };
        let settings = BrokerSettings {
            queue_prefix: prefix.to_owned(),
            queues: BTreeMap::from([(ServiceName::new("export")?, classes)]),
            ..BrokerSettings::default()
        };
        let names = settings.names()?;
        let stage = Self {
            node,
            vhost,
            settings,
            names,
        };
        stage.declare().await?;
        Ok(stage)
    }

    async fn declare(&self) -> anyhow::Result<()> {
        let mut items = platform(&self.names, self.settings.queue_settings);
        items.extend(delay_levels(&self.names));
        for service in ["demo", "export", "other"] {
            let service = ServiceName::new(service)?;
            let settings = self.settings.service(&service);
            items.extend(topology::service(&self.names, &service, &settings));
        }
        let limited = TaskName::new("export.limited")?;
        let tokens = token_queue(&self.names, &limited, self.settings.queue_settings)?;
        items.push(topology::Item::Queue(tokens));
        let transport = self.transport(&self.vhost.amqp_url())?;
        topology::apply(&*transport, items).await?;
        transport.close().await;
        Ok(())
    }

    fn transport(&self, url: &str) -> anyhow::Result<Arc<AmqpTransport>> {
        Ok(AmqpTransport::new(&BrokerSettings {
            urls: vec![url.to_owned().into()],
            ..self.settings.clone()
        })?)
    }

    /// A new user who may do what the script says of `role`; whatever that asks of rabbitmqctl is asked of the node.
    async fn user(&self, role: &[&str]) -> anyhow::Result<Arc<AmqpTransport>> {
        let nothing = Permissions {
            configure: "^$",
            write: "^$",
            read: "^$",
        };
        let user = self.vhost.user(nothing).await?;
        let options = ["--user", &user.name, "--vhost", self.vhost.name()];
        let prefix = ["--prefix", self.names.prefix()];
        let arguments = [&options[..], &prefix, role].concat();
        scripts::run(self.node, "permissions", &arguments).await?;
        self.transport(&user.amqp_url)
    }
}

fn are_all_ok(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome == Outcome::Ok)
}

fn task(name: &str) -> anyhow::Result<RawTask> {
    Ok(RawTask {
        name: TaskName::new(name)?,
        args: "[]".to_owned(),
        kwargs: "{}".to_owned(),
    })
}

/// What `transport` is to be refused: reading a queue, and publishing with a key.
async fn is_refused(
    transport: &AmqpTransport,
    queues: &[QueueName],
    keys: &[(&ExchangeName, &str)],
) -> anyhow::Result<()> {
    for queue in queues {
        let said = transport.may_consume(queue).await?;
        assert!(matches!(said, Rehearsed::Refused { .. }), "{queue}");
    }
    for (exchange, key) in keys {
        let said = transport
            .may_publish(exchange, &RoutingKey::new(key)?)
            .await?;
        assert!(
            matches!(said, Rehearsed::Refused { .. }),
            "{exchange} {key}"
        );
    }
    Ok(())
}

async fn a_platform(stage: &Stage<'_>) -> anyhow::Result<()> {
    let transport = stage.user(&["platform"]).await?;
    let checks = permissions(&transport, &stage.names, &Duty::Platform).await;
    assert!(are_all_ok(&checks), "{checks:?}");
    transport.close().await;
    Ok(())
}

async fn a_worker(stage: &Stage<'_>) -> anyhow::Result<()> {
    let names = &stage.names;
    let transport = stage.user(&["worker", "export", "demo"]).await?;
    let service = ServiceName::new("export")?;
    let duty = Duty::Worker {
        service: &service,
        settings: stage.settings.service(&service),
    };
    let checks = permissions(&transport, names, &duty).await;
    assert!(are_all_ok(&checks), "{checks:?}");
    let tokens = names.token_queue(&TaskName::new("export.limited")?)?;
    let said = transport.may_consume(&tokens).await?;
    assert_eq!(said, Rehearsed::Allowed, "{tokens}");
    let producer = Producer::builder(transport.clone(), names.clone()).build();
    for name in ["export.one", "demo.add"] {
        let later = SendOptions::new().countdown(Duration::from_secs(600));
        producer.send_raw(task(name)?, later).await.context(name)?;
    }
    let (demo, own) = (ServiceName::new("demo")?, names.dead_queue(&service));
    let queues = [
        names.service_queue(&demo),
        names.tracking_queue.clone(),
        own,
    ];
    let keys = [
        (&names.tasks, "other.one"),
        (&names.events, "event.demo.batch"),
        (&names.heartbeats, "heartbeat.demo"),
        (&names.dead, "demo"),
        (&names.requeue, "export.one"),
        (&names.control, "cancel"),
        (&ExchangeName::default_exchange(), "caller"),
        (&names.celeryev, "worker.online"),
    ];
    is_refused(&transport, &queues, &keys).await?;
    transport.close().await;
    // One that shows itself to monitors may do that and no more, and leaves answers to the daemon.
    let shown = stage
        .user(&["--events", "worker", "export", "demo"])
        .await?;
    let heartbeat = RoutingKey::new("worker.heartbeat")?;
    let said = shown.may_publish(&names.celeryev, &heartbeat).await?;
    assert_eq!(said, Rehearsed::Allowed);
    is_refused(
        &shown,
        &[],
        &[(&ExchangeName::default_exchange(), "caller")],
    )
    .await?;
    shown.close().await;
    // One that answers callers in Python may write to their queues, and show itself to monitors.
    let answers = stage
        .user(&["--answers", "worker", "export", "demo"])
        .await?;
    for (exchange, key) in [
        (&ExchangeName::default_exchange(), "caller"),
        (&names.celeryev, "worker.heartbeat"),
        (&names.celeryev, "task.succeeded"),
    ] {
        let said = answers
            .may_publish(exchange, &RoutingKey::new(key)?)
            .await?;
        assert_eq!(said, Rehearsed::Allowed, "{exchange} {key}");
    }
    is_refused(&answers, &[], &[(&names.celeryev, "anything.else")]).await?;
    assert!(are_all_ok(&permissions(&answers, names, &duty).await));
    answers.close().await;
    Ok(())
}

/// One that answers `celery inspect` may have its own mailbox.
async fn a_worker_that_is_asked(stage: &Stage<'_>) -> anyhow::Result<()> {
    let mailbox = |name: &str| -> anyhow::Result<Mailbox> {
        let (exchange, queue) = ("celery.pidbox".parse()?, QueueName::new(name)?);
        Ok(Mailbox::new(exchange, queue))
    };
    let own = mailbox("export@host.1.a.celery.pidbox")?;
    let plain = stage.user(&["worker", "export", "demo"]).await?;
    let refused = plain.mailbox(&own).await.err();
    assert!(
        matches!(refused, Some(TransportError::Refused { .. })),
        "{refused:?}"
    );
    plain.close().await;
    let asked = stage
        .user(&["--remote-control", "worker", "export", "demo"])
        .await?;
    asked.mailbox(&own).await?.close().await;
    let other = mailbox("demo@host.1.a.celery.pidbox")?;
    assert!(asked.mailbox(&other).await.is_err());
    // There is no such exchange before somebody asks.
    let answered = ExchangeName::new("reply.celery.pidbox")?;
    let said = asked
        .may_publish(&answered, &RoutingKey::new("asker")?)
        .await?;
    assert_eq!(said, Rehearsed::Missing);
    asked.close().await;
    Ok(())
}

async fn a_producer(stage: &Stage<'_>) -> anyhow::Result<()> {
    let names = &stage.names;
    let transport = stage.user(&["producer", "shop", "export", "demo"]).await?;
    let producer = Producer::listening(transport.clone(), names.clone(), "shop").await?;
    for options in [
        SendOptions::new(),
        SendOptions::new().countdown(Duration::from_secs(600)),
        SendOptions::new().priority(Priority::High),
    ] {
        producer
            .send_raw_awaited(task("export.one")?, options)
            .await?;
    }
    producer
        .send_raw_awaited(task("demo.add")?, SendOptions::new())
        .await?;
    // One that listens is refused the results already.
    let plain = Producer::builder(transport.clone(), names.clone()).build();
    let error = plain.send_raw(task("other.one")?, SendOptions::new()).await;
    let error = error.expect_err("it may not");
    assert!(matches!(error, SendError::Refused { .. }), "{error:?}");
    let export = ServiceName::new("export")?;
    let queues = [names.service_queue(&export), names.tracking_queue.clone()];
    let keys = [
        (&names.events, "event.other.batch"),
        (&names.requeue, "export.one"),
        (&names.dead, "export"),
    ];
    is_refused(&transport, &queues, &keys).await?;
    transport.close().await;
    Ok(())
}

#[tokio::test]
async fn each_user_may_do_its_work_and_no_more() -> anyhow::Result<()> {
    let node = RabbitNode::start().await?;
    for prefix in ["", "st.aging-"] {
        let stage = Stage::new(&node, prefix).await?;
        a_platform(&stage).await?;
        a_worker(&stage).await?;
        a_worker_that_is_asked(&stage).await?;
        a_producer(&stage).await?;
        stage.vhost.close().await?;
    }
    Ok(())
}
