//! What monitors hear of a worker, by a broker in memory.

use super::*;
use crate::Celery;
use anyhow::Context as _;
use counterfoil_testkit::MemoryPlatform;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use counterfoil_worker::{Context, TaskError};
use serde_json::Value;

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Add {
    x: i64,
    y: i64,
}

impl Task for Add {
    const NAME: &'static str = "calc.add";
    type Output = i64;
}

async fn add(task: Add, _: Context) -> Result<i64, TaskError> {
    Ok(task.x + task.y)
}

/// A monitor: all that is said, one after another.
struct Monitor(Subscription);

impl Monitor {
    fn of(platform: &MemoryPlatform) -> Self {
        let queue = platform.names().celeryev_queue.clone();
        let options = SubscribeOptions::new(queue, 10);
        Self(Subscription::open(platform.transport(), options))
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        let delivery = self.0.next().await.context("the broker is open")?;
        let event: Value = serde_json::from_slice(&delivery.content.body)?;
        let key = delivery.routing_key.as_str().replace('.', "-");
        assert_eq!(event["type"], key);
        let _ = delivery.ack();
        Ok(event)
    }

    /// What is said until the worker is gone, without its signs of life between.
    async fn rest(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let event = self.next().await?;
            match event["type"].as_str() {
                Some("worker-offline") => return Ok(all),
                Some("worker-heartbeat") => {}
                _ => all.push(event),
            }
        }
    }
}

/// What is said of a task, by a worker with this extension.
async fn said(of: impl FnOnce(Celery) -> Celery) -> anyhow::Result<Vec<Value>> {
    let platform = MemoryPlatform::new().await?;
    let celery = of(Celery::new(platform.names()));
    let worker = platform.worker().handle(add).extension(celery);
    let worker = platform.start(worker).await?;
    let mut monitor = Monitor::of(&platform);
    assert_eq!(monitor.next().await?["type"], "worker-online");
    let mut sent = platform.producer().send(Add { x: 2, y: 3 }).await?;
    assert_eq!(sent.result(Duration::from_secs(60)).await?, 5);
    worker.drain().await?;
    monitor.rest().await
}

#[tokio::test(start_paused = true)]
async fn a_task_is_told_of_from_its_receipt_to_its_result_by_a_clock_that_only_rises()
-> anyhow::Result<()> {
    let told = said(Celery::task_events).await?;
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str()).collect();
    let all = ["task-received", "task-started", "task-succeeded"];
    assert_eq!(kinds, all.map(Some));
    assert_eq!(told[0]["kwargs"], "{'x': 2, 'y': 3}");
    assert_eq!(told[2]["result"], "5");
    assert!(told[2]["runtime"].is_f64());
    let clocks: Vec<_> = told.iter().map(|event| event["clock"].as_u64()).collect();
    assert!(clocks.is_sorted_by(|one, next| one < next), "{clocks:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn of_tasks_nothing_is_told_unless_somebody_wants_it() -> anyhow::Result<()> {
    assert_eq!(said(|celery| celery).await?, Vec::<Value>::new());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_shows_that_it_lives_every_two_seconds_and_when_it_is_asked() -> anyhow::Result<()>
{
    let platform = MemoryPlatform::new().await?;
    let celery = Celery::new(platform.names());
    let worker = platform.worker().handle(add).extension(celery.clone());
    let worker = platform.start(worker).await?;
    let mut monitor = Monitor::of(&platform);
    assert_eq!(monitor.next().await?["type"], "worker-online");
    for _ in 0..3 {
        let before = Instant::now();
        let sign = monitor.next().await?;
        assert_eq!(
            (&sign["type"], &sign["freq"]),
            (&"worker-heartbeat".into(), &2.0.into())
        );
        assert!(before.elapsed().abs_diff(BEAT) < Duration::from_millis(100));
    }
    let before = Instant::now();
    celery.node.beat();
    assert_eq!(monitor.next().await?["type"], "worker-heartbeat");
    assert!(before.elapsed() < BEAT / 2, "{:?}", before.elapsed());
    worker.drain().await?;
    assert!(monitor.rest().await?.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_events_says_nothing_to_monitors() -> anyhow::Result<()> {
    let platform = MemoryPlatform::new().await?;
    let celery = Celery::new(platform.names()).task_events().without_events();
    let worker = platform.worker().handle(add).extension(celery);
    let worker = platform.start(worker).await?;
    let mut sent = platform.producer().send(Add { x: 2, y: 3 }).await?;
    sent.result(Duration::from_secs(60)).await?;
    worker.drain().await?;
    let queue = &platform.names().celeryev_queue;
    let depth = platform.transport().depth(queue).await?;
    assert_eq!(depth.context("a queue")?.ready, 0);
    Ok(())
}

/// As where its user is not allowed to write there.
#[tokio::test(start_paused = true)]
async fn where_the_broker_takes_no_events_none_are_made_until_it_does_and_tasks_go_on()
-> anyhow::Result<()> {
    let platform = MemoryPlatform::new().await?;
    let (transport, names) = (platform.transport(), platform.names());
    transport.delete_exchange(&names.celeryev).await?;
    let celery = Celery::new(names).task_events();
    let worker = platform.worker().handle(add).extension(celery.clone());
    let worker = platform.start(worker).await?;
    tokio::time::sleep(BEAT * 2).await;
    let mut sent = platform.producer().send(Add { x: 2, y: 3 }).await?;
    assert_eq!(sent.result(Duration::from_secs(60)).await?, 5);
    let events = celery.events.as_ref().context("it has events")?;
    assert!(events.0.are_refused.load(Ordering::Relaxed));
    assert!(events.0.outbox.try_next().is_none());
    let again = counterfoil_toolbox::topology::platform(names, Default::default());
    counterfoil_toolbox::topology::apply(&*transport, again).await?;
    let mut monitor = Monitor::of(&platform);
    assert_eq!(monitor.next().await?["type"], "worker-heartbeat");
    let mut sent = platform.producer().send(Add { x: 1, y: 1 }).await?;
    sent.result(Duration::from_secs(60)).await?;
    worker.drain().await?;
    assert!(monitor.rest().await?.len() >= 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_shows_itself_again_once_the_broker_is_back_and_stops_in_time_while_it_is_away()
-> anyhow::Result<()> {
    let platform = MemoryPlatform::new().await?;
    let celery = Celery::new(platform.names()).task_events();
    let worker = platform.worker().handle(add).extension(celery);
    let worker = platform.start(worker).await?;
    let mut monitor = Monitor::of(&platform);
    let before = monitor.next().await?;
    assert_eq!(before["type"], "worker-online");
    let away = Duration::from_secs(30);
    platform.faults().refuse_connections(away);
    let began = Instant::now();
    let back = loop {
        // What was acknowledged when the connection broke comes again.
        let is_new = monitor.next().await?["clock"].as_u64() > before["clock"].as_u64();
        if is_new && began.elapsed() >= away {
            break began.elapsed();
        }
    };
    assert!(back < away + BEAT * 3, "{back:?}");
    let mut sent = platform.producer().send(Add { x: 2, y: 3 }).await?;
    sent.result(Duration::from_secs(60)).await?;
    loop {
        if monitor.next().await?["type"] == "task-succeeded" {
            break;
        }
    }
    platform
        .faults()
        .refuse_connections(Duration::from_secs(3600));
    let began = Instant::now();
    worker.drain().await?;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    Ok(())
}
