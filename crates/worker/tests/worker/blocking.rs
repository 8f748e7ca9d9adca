//! Async handlers that block their threads, on a broker that looks for signs of life.

use crate::on_rabbitmq::transport_with;
use crate::running::add;
use crate::tasks::{Act, Add, act};
use crate::world::{World, in_time};
use counterfoil_testkit::Broker;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_worker::{Context, Worker};
use serde_json::Value;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;

/// RabbitMQ closes a connection that was silent for twice as long.
const HEARTBEAT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn handlers_that_block_every_thread_starve_neither_heartbeats_nor_other_tasks()
-> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let heartbeat = |settings: BrokerSettings| BrokerSettings {
        heartbeat: HEARTBEAT,
        ..settings
    };
    let world = World::on(transport_with(vhost.amqp_url(), |it| it)?).await;
    let begun = Arc::new(Semaphore::new(0));
    let begins = begun.clone();
    let block = move |_: Act, cx: Context| {
        let begins = begins.clone();
        async move {
            begins.add_permits(1);
            std::thread::sleep(5 * HEARTBEAT);
            Ok(Value::from(cx.attempt()))
        }
    };
    let transport = transport_with(vhost.amqp_url(), heartbeat)?;
    let worker = Worker::builder(transport, world.names.clone(), WorkerSettings::default());
    let worker = worker.handle(block).handle(add).build()?;
    let (stopper, handlers) = (worker.stopper(), Builder::new_multi_thread());
    let handlers = { handlers }.worker_threads(2).enable_all().build()?;
    let ended = handlers.spawn(worker.run_until(pending()));
    world.warm_up().await;

    let blocking = [world.send(act("")).await, world.send(act("")).await];
    in_time("blocking every thread", begun.acquire_many(2))
        .await?
        .forget();
    for n in 0..50 {
        let id = world.send(Add { x: n, y: 1 }).await;
        world.told_of(&id, TaskState::Success).await;
    }
    for id in &blocking {
        assert!(
            world.all_told_of(id, TaskState::Success).is_empty(),
            "too late"
        );
    }
    for id in &blocking {
        let done = world.told_of(id, TaskState::Success).await;
        // A connection that had broken would have brought them again.
        assert_eq!(done.lineage.deliveries, 0);
        assert_eq!(done.result.expect("an output").get(), "1");
    }
    stopper.drain();
    in_time("draining", ended).await?;
    assert_eq!(world.waiting_in("demo").await, 0);
    assert_eq!(begun.available_permits(), 0, "a task ran twice");
    handlers.shutdown_background();
    vhost.close().await
}
