//! What a broker in memory cannot show: the same worker on RabbitMQ, through broken connections.

use crate::queues::{consumed_again, delete_after_a_task};
use crate::running::add;
use crate::tasks::{Act, Add, Export, Limited, Patient, act, patient};
use crate::tokens::{
    Gauge, all_succeed, no_more_run_at_once_than_there_are_tokens, seed, send_limited, sleeper,
};
use crate::world::{Started, World, in_time};
use counterfoil_testkit::{Broker, Permissions, Vhost};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::{BrokerSettings, WorkerSettings};
use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_worker::{Context, Exit, TaskError, Worker};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

pub(crate) async fn rabbitmq() -> anyhow::Result<(Vhost, World)> {
    let vhost = Broker::shared().await?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    Ok((vhost, world))
}

pub(crate) fn transport(url: String) -> anyhow::Result<Arc<AmqpTransport>> {
    transport_with(url, |settings| settings)
}

pub(crate) fn transport_with(
    url: String,
    change: impl FnOnce(BrokerSettings) -> BrokerSettings,
) -> anyhow::Result<Arc<AmqpTransport>> {
    let settings = BrokerSettings {
        urls: vec![url.into()],
        ..BrokerSettings::default()
    };
    Ok(AmqpTransport::new(&change(settings))?)
}

fn succeeded(events: &[Event]) -> usize {
    let success = EventKind::State(TaskState::Success);
    let ids = events.iter().filter(|event| event.kind == success);
    ids.map(|event| &event.task_id)
        .collect::<std::collections::HashSet<_>>()
        .len()
}

#[tokio::test]
async fn tasks_are_run_retried_through_the_levels_and_kept_when_they_are_dead() -> anyhow::Result<()>
{
    let (vhost, world) = rabbitmq().await?;
    let handler = async |task: Patient, cx: Context| match (task.what.as_str(), cx.attempt()) {
        ("reject", _) => Err(TaskError::reject("not like this")),
        (_, 1) => Err(TaskError::retry_after("not yet", Duration::from_secs(1))),
        (_, n) => Ok(json!(n)),
    };
    let worker = world.start(|builder| builder.handle(handler));
    let (good, bad) = (
        world.send(patient("")).await,
        world.send(patient("reject")).await,
    );
    let done = world.told_of(&good, TaskState::Success).await;
    assert_eq!(done.result.expect("an output").get(), "2");
    assert_eq!(done.lineage.retries(), 1);
    world.told_of(&bad, TaskState::Failure).await;
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text("counterfoil-reason"), Some("rejected"));
    assert!(world.is_empty_after(worker, "demo").await);
    vhost.close().await
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_declared_again_and_consumed() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    let _worker = world.start(|builder| builder.broker(&BrokerSettings::default()).handle(add));
    delete_after_a_task(&world).await;
    consumed_again(&world).await;
    let id = world.send(Add { x: 20, y: 3 }).await;
    world.told_of(&id, TaskState::Success).await;
    vhost.close().await
}

#[tokio::test]
async fn a_worker_that_does_not_declare_its_queue_ends_when_it_is_deleted() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    let worker = world.start(|builder| builder.handle(add));
    delete_after_a_task(&world).await;
    assert_eq!(worker.exit().await.code(), 78);
    vhost.close().await
}

#[tokio::test]
async fn events_that_a_worker_may_not_send_hold_up_no_others_until_it_ends() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    let user = vhost.user(Permissions::ALL).await?;
    let key = r"^event\.demo\.batch$";
    vhost
        .set_topic_permissions(&user.name, "task_events", key, "")
        .await?;
    let ran = Arc::new(Notify::new());
    let running = ran.clone();
    let export = move |_: Export, _: Context| {
        running.notify_one();
        async { Ok(()) }
    };
    let settings = WorkerSettings::default();
    let builder = Worker::builder(transport(user.amqp_url)?, world.names.clone(), settings);
    let worker = Started::run(builder.handle(export).handle(add));
    let refused = world.send(Export {}).await;
    in_time("running it", ran.notified()).await;
    for _ in 0..3 {
        let id = world.send(Add { x: 1, y: 1 }).await;
        world.told_of(&id, TaskState::Success).await;
    }
    let exit = worker.exit().await;
    assert!(matches!(exit, Exit::Unheard { .. }), "{exit:?}");
    assert!(world.states_of(&refused).is_empty());
    assert_eq!(vhost.depth("export").await?.ready, 1);
    vhost.close().await
}

#[tokio::test]
async fn every_task_runs_once_however_often_the_connections_break() -> anyhow::Result<()> {
    const TASKS: usize = 600;
    let (vhost, world) = rabbitmq().await?;
    let runs: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let counted = runs.clone();
    let handler = move |_: Act, cx: Context| {
        let runs = counted.clone();
        async move {
            let mut seen = runs.lock().await;
            *seen.entry(cx.task_id().to_string()).or_default() += 1;
            drop(seen);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Value::Null)
        }
    };
    let settings = WorkerSettings {
        concurrency: 5,
        prefetch: Some(20),
        ..WorkerSettings::default()
    };
    let worker = world.start_with(settings, |builder| builder.handle(handler));
    let sent = world.producer.send_all((0..TASKS).map(|_| act(""))).await;
    assert!(sent.iter().all(Result::is_ok));
    for share in [1, 2, 3] {
        let some_done = |events: &[Event]| (succeeded(events) >= share * TASKS / 5).then_some(());
        world.until(some_done).await;
        assert!(vhost.close_connections().await? > 0);
    }
    let all_done = |events: &[Event]| (succeeded(events) == TASKS).then_some(());
    world.until(all_done).await;
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(world.waiting_in("demo.dead").await, 0);
    let runs = runs.lock().await;
    let repeated: Vec<_> = runs.iter().filter(|(_, n)| **n != 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    vhost.close().await
}

#[tokio::test]
async fn no_more_run_at_once_on_rabbitmq_than_there_are_tokens() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    no_more_run_at_once_than_there_are_tokens(&world).await;
    vhost.close().await
}

#[tokio::test]
async fn limited_tasks_survive_connections_that_break_and_the_loss_of_their_tokens()
-> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    seed(&world, 3).await;
    let gauge = Arc::new(Gauge::default());
    let workers = [(); 2].map(|()| sleeper(&world, &gauge, Duration::from_secs(2)));
    send_limited(&world, 9).await;
    gauge.until_running(3).await;
    assert!(vhost.close_connections().await? > 0);
    gauge.until_running(3).await;
    let queue = QueueName::new("platform.tokens.demo.limited")?;
    // By the management: the test's own connection was closed as well.
    vhost.delete_queue(queue.as_str()).await?;
    gauge.until_running(0).await;
    seed(&world, 3).await;
    all_succeed(&world, 9).await;
    assert_eq!(gauge.most(), 3);
    for worker in workers {
        worker.drain().await;
    }
    assert_eq!(world.waiting_in(queue.as_str()).await, 3);
    vhost.close().await
}

#[tokio::test]
async fn a_worker_needs_no_more_than_to_read_the_queue_of_tokens() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    seed(&world, 1).await;
    let permissions = Permissions {
        configure: "^$",
        write: r"^(task_exchange|task_events|task_heartbeats|task_exchange\.dead|celery_delayed_27)$",
        read: r"^(demo|platform\.tokens\.demo\..*)$",
    };
    let user = vhost.user(permissions).await?;
    let settings = WorkerSettings::default();
    let builder = Worker::builder(transport(user.amqp_url)?, world.names.clone(), settings);
    let handler = async |_: Limited, _: Context| Ok(Value::Null);
    let worker = Started::run(builder.handle(handler));
    send_limited(&world, 5).await;
    all_succeed(&world, 5).await;
    worker.drain().await;
    assert_eq!(world.waiting_in("platform.tokens.demo.limited").await, 1);
    vhost.close().await
}
