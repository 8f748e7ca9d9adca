//! Changing workers.

use super::{Answers, Nodes, by_node, node};
use crate::platform::PATIENCE;
use anyhow::{Context as _, ensure};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::message::{Envelope, encode};
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use counterfoil_worker::Exit;
use serde_json::{Value, json};
use std::sync::Arc;

impl Nodes {
    /// Runs a program and returns what it prints.
    async fn program(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.run(arguments).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{said}\n{}",
            self.python.log_tail()
        );
        let told = String::from_utf8(output.stdout)?.replace("pycalc", "calc");
        Ok(serde_json::from_str(&told)?)
    }

    /// What our node alone answers to `celery control`.
    pub(super) async fn control_ours(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let node = node("rs");
        let mut all = vec!["--destination", &node];
        all.extend(arguments);
        let output = self.celery("control", &all).await?;
        let told = by_node(serde_json::from_slice(&output.stdout)?);
        Ok(told[&node].clone())
    }

    fn transport(&self) -> anyhow::Result<Arc<AmqpTransport>> {
        let broker = BrokerSettings {
            urls: vec![self.vhost.amqp_url().into()],
            ..BrokerSettings::default()
        };
        Ok(AmqpTransport::new(&broker)?)
    }

    /// Puts a task that notes `text` straight into a queue.
    async fn put(&self, queue: &str, text: &str) -> anyhow::Result<()> {
        let note = Envelope::new(TaskId::random(), "calc.note".parse()?);
        let kwargs = json!({"value": text, "file": self.file("notes")}).to_string();
        let publication = Publication {
            exchange: ExchangeName::default_exchange(),
            routing_key: RoutingKey::new(queue)?,
            content: encode(&note, "[]", &kwargs),
        };
        let transport = self.transport()?;
        let publisher = transport.publisher(PublisherOptions::mandatory());
        publisher.publish(publication).await?;
        transport.close().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_tasks_come_to_nothing_as_on_a_python_worker() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let (py, rs) = (node("py"), node("rs"));
    let theirs = nodes
        .program(&["revoking.py", "pycalc", &py, &nodes.file("")])
        .await?;
    ensure!(theirs["late"]["args"] == json!(["revoked"]), "{theirs:#}");
    let ours = nodes
        .program(&["revoking.py", "calc", &rs, &nodes.file("")])
        .await?;
    ensure!(theirs == ours, "Python: {theirs:#}\nours: {ours:#}");
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn running_tasks_are_ended_by_id_and_by_stamp() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let end = async |service: &str, name: &str| {
        let (node, folder) = (node(name), nodes.file(""));
        let program = ["terminating.py", service, &node, &folder];
        nodes.program(&program).await
    };
    let (theirs, ours) = (end("pycalc", "py").await?, end("calc", "rs").await?);
    ensure!(theirs == ours, "Python: {theirs:#}\nours: {ours:#}");
    ensure!(ours["stamped"]["args"] == json!(["terminated"]), "{ours:#}");
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_types_and_of_the_worker_are_changed_and_shown() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    for (method, arguments) in [
        ("rate_limit", json!({"rate_limit": "10/m"})),
        ("rate_limit", json!({"rate_limit": "often"})),
        ("rate_limit", json!({"rate_limit": "1/day"})),
        ("time_limit", json!({"soft": 10.0, "hard": 20.0})),
    ] {
        let ask = async |task: &str| {
            let mut arguments = arguments.clone();
            arguments["task_name"] = task.into();
            nodes.broadcast(method, &arguments).await
        };
        // Each knows its own.
        let answers = Answers {
            theirs: ask("pycalc.add").await?.theirs,
            ours: ask("calc.add").await?.ours,
        };
        answers.are_equal()?;
        ask("no.such").await?.are_equal()?;
    }
    let registered = nodes.inspect(&["registered"]).await?;
    registered.are_equal()?;
    let told = registered.ours.to_string();
    ensure!(told.contains("calc.add [rate_limit=10/m]"), "{told}");
    for (command, answer, concurrency) in [
        ("pool_grow", "pool will grow", 5),
        ("pool_shrink", "pool will shrink", 2),
    ] {
        let told = nodes.control_ours(&[command, "3"]).await?;
        ensure!(told == json!({ "ok": answer }), "{told}");
        let stats = nodes.inspect(&["stats"]).await?.ours;
        ensure!(stats["pool"]["max-concurrency"] == concurrency, "{stats}");
        ensure!(stats["prefetch_count"] == concurrency + 6, "{stats}");
    }
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_queue_is_consumed_and_left_again() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let told = nodes.control_ours(&["add_consumer", "extra"]).await?;
    ensure!(told == json!({"ok": "add consumer extra"}), "{told}");
    let queues = async || {
        let queues = nodes.inspect(&["active_queues"]).await?.ours;
        let names = queues.as_array().into_iter().flatten();
        let names: Vec<_> = names.map(|queue| queue["name"].clone()).collect();
        anyhow::Ok(json!(names))
    };
    eventually("it to be consumed", PATIENCE, async || {
        Ok((queues().await? == json!(["calc", "extra"])).then_some(()))
    })
    .await?;
    nodes.put("extra", "first").await?;
    let notes = nodes.file("notes");
    eventually("its task to be run", PATIENCE, async || {
        let noted = std::fs::read_to_string(&notes).unwrap_or_default();
        Ok((noted == "first\n").then_some(()))
    })
    .await?;
    let told = nodes.control_ours(&["cancel_consumer", "extra"]).await?;
    ensure!(
        told == json!({"ok": "no longer consuming from extra"}),
        "{told}"
    );
    ensure!(queues().await? == json!(["calc"]));
    eventually("nobody to consume it", PATIENCE, async || {
        let depth = nodes.transport()?.depth(&"extra".parse()?).await?;
        Ok(depth.is_some_and(|it| it.consumers == 0).then_some(()))
    })
    .await?;
    nodes.put("extra", "second").await?;
    ensure!(nodes.vhost.depth("extra").await?.ready == 1);
    // What was left can be consumed again.
    nodes.control_ours(&["add_consumer", "extra"]).await?;
    eventually("its task to be run", PATIENCE, async || {
        let noted = std::fs::read_to_string(&notes).unwrap_or_default();
        Ok((noted == "first\nsecond\n").then_some(()))
    })
    .await?;
    nodes.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_switched_and_everybody_is_shut_down() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    for command in [
        "enable_events",
        "enable_events",
        "heartbeat",
        "disable_events",
        "disable_events",
    ] {
        let answers = nodes.ask("control", &[command]).await?;
        answers.are_equal().context(command)?;
    }
    let output = nodes.celery("control", &["shutdown"]).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(!said.contains("rs@"), "nobody answers: {said}");
    let exit = tokio::time::timeout(PATIENCE, nodes.ours).await??;
    ensure!(exit == Exit::Drained, "{exit}");
    nodes.vhost.close().await
}
