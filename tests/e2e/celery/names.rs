//! Under whatever name and by whatever address an application sends a task, it is tracked once and runs once.

use super::{celery_command, celery_worker, python};
use crate::platform::{self, PATIENCE, Process};
use anyhow::{Context as _, ensure};
use counterfoil_testkit::{Broker, Depth, eventually};
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::topology;
use counterfoil_toolbox::transport::Transport as _;
use counterfoil_toolbox::transport::amqp::AmqpTransport;

/// What `counterfoil init` does: a sender in Python declares nothing, and may be there before every worker.
async fn apply(broker: &BrokerSettings) -> anyhow::Result<()> {
    platform::apply(broker, &[ServiceName::new("mail")?]).await?;
    let (transport, names) = (AmqpTransport::new(broker)?, broker.names()?);
    let levels = topology::apply(&*transport, topology::delay_levels(&names)).await?;
    ensure!(topology::not_applied(&levels).is_none());
    transport.close().await;
    Ok(())
}

async fn runs_once(prefix: &str) -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let broker = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        queue_prefix: prefix.to_owned(),
        ..BrokerSettings::default()
    };
    apply(&broker).await?;
    let queues = |mut queues: Vec<String>| {
        queues.retain(|queue| !queue.contains("pidbox") && !queue.contains("celery_delayed_"));
        queues
    };
    let before = queues(vhost.queues().await?);
    let folder = tempfile::tempdir()?;
    let ledger = folder.path().join("ledger");
    let mut command = celery_command("names", &vhost.amqp_url())?;
    command.env("PREFIX", prefix);
    let worker = Process::start(command, folder.path().join("celery.log"))?;
    let mut sender = python(&vhost.amqp_url())?;
    let sent = sender.arg("names.py").arg(&ledger).env("PREFIX", prefix);
    let sent = sent.output()?;
    ensure!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );

    let wanted = [
        "by key",
        "by queue",
        "by queue, delayed",
        "by route",
        "by route and queue",
        "delayed",
        "plain",
        "retried 0",
        "retried 1",
        "retried 2",
    ];
    let mut ran = Vec::new();
    let all = eventually("every task to run", PATIENCE, async || {
        let text = std::fs::read_to_string(&ledger).unwrap_or_default();
        ran = text.lines().map(str::to_owned).collect();
        ran.sort_unstable();
        Ok((ran.len() >= wanted.len()).then_some(()))
    });
    all.await
        .with_context(|| format!("{ran:?}\n{}", worker.log_tail()))?;
    assert_eq!(ran, wanted);
    assert_eq!(worker.terminate().await?, 0);
    let named = |queue: &str| format!("{prefix}{queue}");
    for queue in ["mail", "mail.dead", "platform.unroutable"] {
        assert_eq!(
            vhost.depth(&named(queue)).await?,
            Depth::default(),
            "{queue}"
        );
    }
    // Those, and the one that every worker of Celery has.
    let tracked = vhost.depth(&named("platform.fifo")).await?.ready;
    assert_eq!(tracked, 11, "copies");
    assert_eq!(queues(vhost.queues().await?), before);
    vhost.close().await
}

#[tokio::test]
async fn each_name_and_address_is_tracked_once_and_runs_once() -> anyhow::Result<()> {
    runs_once("").await
}

#[tokio::test]
async fn so_it_does_with_a_prefix() -> anyhow::Result<()> {
    runs_once("staging-").await
}

#[tokio::test]
async fn a_chord_of_python_tasks_ends_where_they_have_a_result_backend() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let broker = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    apply(&broker).await?;
    let folder = tempfile::tempdir()?;
    let results = folder.path().join("results");
    std::fs::create_dir(&results)?;
    let worker = celery_worker("chord", &vhost.amqp_url(), folder.path(), &results)?;
    let mut caller = python(&vhost.amqp_url())?;
    let called = caller.arg("chord.py").env("RESULTS", &results).output()?;
    let said = String::from_utf8_lossy(&called.stderr);
    assert_eq!(
        String::from_utf8(called.stdout)?,
        "12\n",
        "{said}\n{}",
        worker.log_tail()
    );
    assert_eq!(worker.terminate().await?, 0);
    for queue in ["mail", "mail.dead", "platform.unroutable"] {
        assert_eq!(vhost.depth(queue).await?, Depth::default(), "{queue}");
    }
    vhost.close().await
}
