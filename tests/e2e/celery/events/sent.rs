//! `task-sent`, of what programs and workers of ours send.

use super::{Monitor, Ours};
use crate::platform::PATIENCE;
use anyhow::{Context as _, ensure};
use counterfoil_celery::{Canvas, SentEvents, Signature, chain};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::Producer;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn monitors_hear_of_tasks_that_are_sent_from_whoever_sends_them() -> anyhow::Result<()> {
    let ours = Ours::start().await?;
    let monitor = Monitor::of_lines(&ours.vhost.amqp_url(), ours.folder.path()).await?;
    let (transport, names) = (AmqpTransport::new(&ours.broker)?, ours.broker.names()?);
    let events = SentEvents::start(&*transport, &names);
    let producer = Producer::builder(transport, names).observer(events).build();
    let add = |n: i64| Signature::task("calc.add").arg(n);
    let steps = chain![
        add(2).arg(3).id(&"first".parse()?),
        add(4).id(&"then".parse()?)
    ];
    Canvas::new(producer).send(&steps).await?;
    let sent = eventually("both to be told", PATIENCE, async || {
        let mut lines = monitor.lines()?;
        lines.retain(|line| line["event"]["type"] == "task-sent");
        let events = lines.iter().map(|line| line["event"].clone());
        Ok((lines.len() == 2).then(|| events.collect::<Vec<Value>>()))
    });
    let sent = sent.await?;
    let of = |id: &str| {
        let found = sent.iter().find(|event| event["uuid"] == id);
        found.with_context(|| format!("{id}: {sent:#?}"))
    };
    let (first, then) = (of("first")?, of("then")?);
    let fields = |event: &Value| {
        ["name", "args", "root_id", "parent_id", "routing_key"].map(|name| event[name].clone())
    };
    let wanted = json!(["calc.add", "(2, 3)", "first", null, "calc.add"]);
    assert_eq!(json!(fields(first)), wanted);
    let wanted = json!(["calc.add", "(5, 4)", "first", "first", "calc.add"]);
    assert_eq!(json!(fields(then)), wanted);
    let by = |event: &Value| {
        event["hostname"]
            .as_str()
            .map(|name| name.starts_with("calc@"))
    };
    ensure!(
        (by(first), by(then)) == (Some(false), Some(true)),
        "{sent:#?}"
    );
    ours.end().await
}
