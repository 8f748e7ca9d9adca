//! A handler that blocks its thread for longer than the broker waits for a sign of life.

use super::{PATIENCE, platform, send, until_started};
use anyhow::Context as _;
use counterfoil_testkit::patience;
use counterfoil_toolbox::names::{QueueName, TaskName};
use counterfoil_toolbox::producer::{Producer, RawTask, SendOptions};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_blocked_thread_costs_neither_the_connection_nor_the_time_of_other_tasks()
-> anyhow::Result<()> {
    // Heartbeats are every ten seconds; the broker waits for two of them.
    const BLOCKED: Duration = Duration::from_secs(40);
    let (vhost, _database, mut platform) = platform().await?;
    let heartbeat = ("COUNTERFOIL_BROKER__HEARTBEAT", "10s");
    let mut worker = platform.worker_with(&[heartbeat])?;
    let broker = platform.broker();
    let producer =
        Producer::listening(AmqpTransport::new(&broker)?, broker.names()?, "test").await?;
    echo(&producer).await?;
    let before = vhost.connections().await?;

    let blocking = send(&producer, "demo.block", r#"{"seconds": 40}"#).await?;
    until_started(&platform, 2).await?;
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < BLOCKED - Duration::from_secs(2) {
        took.push(echo(&producer).await?);
        // One at a time, a few in each second: what is measured is their wait, not a queue of them.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        !platform.ends()?.contains_key(blocking.as_str()),
        "it blocks"
    );
    took.sort_unstable();
    let p99 = took[took.len() * 99 / 100];
    eprintln!("p99 {p99:?} of {}", took.len());
    // Less than a second on an idle machine; behind a blocked thread it would be the 40 s.
    assert!(p99 < patience(Duration::from_secs(5)), "{p99:?}");

    super::eventually("the end of it", PATIENCE, async || {
        Ok(platform
            .ends()?
            .contains_key(blocking.as_str())
            .then_some(()))
    })
    .await?;
    worker.assert_running()?;
    assert_eq!(vhost.connections().await?, before);
    assert_eq!(platform.starts()?[blocking.as_str()], 1);
    assert_eq!(worker.terminate().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_threads_are_all_blocked_ends_and_another_gets_its_tasks()
-> anyhow::Result<()> {
    // More than there are threads, with those that are opened when the first ones are blocked.
    const BLOCKING: u32 = 40;
    let (_vhost, _database, mut platform) = platform().await?;
    let settings = [
        ("COUNTERFOIL_WORKER__CONCURRENCY", "40"),
        ("COUNTERFOIL_WORKER__DRAIN_TIMEOUT", "1s"),
    ];
    let mut worker = platform.worker_with(&settings)?;
    let producer = platform.producer()?;
    for _ in 0..BLOCKING {
        send(&producer, "demo.block", r#"{"seconds": 3600}"#).await?;
    }
    super::eventually("the worker to end", PATIENCE, async || {
        Ok(worker.has_ended()?.then_some(()))
    })
    .await?;
    let said = worker.log_tail();
    assert!(said.contains("so it has to be started anew"), "{said}");
    assert_eq!(worker.end().await?, 1);
    let queue = QueueName::new("demo")?;
    let transport = AmqpTransport::new(&platform.broker())?;
    super::eventually("its tasks to come back", PATIENCE, async || {
        let depth = transport.depth(&queue).await?;
        Ok(depth.filter(|depth| depth.ready == BLOCKING).map(drop))
    })
    .await
}

/// How long a small task takes, from its send to its result.
async fn echo(producer: &Producer) -> anyhow::Result<Duration> {
    let task = RawTask {
        name: TaskName::new("demo.echo")?,
        args: "[1]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    let began = Instant::now();
    let sent = producer.send_raw_awaited(task, SendOptions::new()).await;
    let result = sent?.result(patience(PATIENCE)).await;
    result.context("no result")?;
    Ok(began.elapsed())
}
