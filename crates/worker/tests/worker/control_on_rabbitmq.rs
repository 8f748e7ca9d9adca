//! What people ask, on RabbitMQ: through its streams, with no more permission than a service needs, and
//! after it was started anew.

use crate::control::{hold, pause, release, resume, revoke};
use crate::control_of_workers::a_paused_service_rests;
use crate::on_rabbitmq::transport;
use crate::running::add;
use crate::tasks::{Act, Add, act};
use crate::world::{Started, World};
use counterfoil_testkit::{Broker, Permissions, RabbitNode, Vhost};
use counterfoil_toolbox::config::WorkerSettings;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::topology::{apply, delay_levels};
use counterfoil_toolbox::{TaskId, TaskState};
use counterfoil_worker::{Context, TaskError, Worker, WorkerBuilder};
use serde_json::Value;
use std::time::Duration;

async fn rabbitmq() -> anyhow::Result<(Vhost, World)> {
    let vhost = Broker::shared().await?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    Ok((vhost, world))
}

/// A worker of service `demo` whose user may do what deploy/README.md gives to a service, and read
/// `read`.
pub(crate) async fn as_service(
    vhost: &Vhost,
    world: &World,
    read: &str,
) -> anyhow::Result<WorkerBuilder> {
    let permissions = Permissions {
        configure: "^$",
        write: r"^(task_exchange|task_events|task_heartbeats|task_exchange\.dead|celery_delayed_27)$",
        read,
    };
    let user = vhost.user(permissions).await?;
    for (exchange, keys) in [
        ("task_exchange", r"^demo(~(high|low))?(\..+)?$"),
        (
            "celery_delayed_27",
            r"^([01]\.){28}demo(~(high|low))?(\..+)?$",
        ),
        ("task_events", r"^event\.demo\.batch$"),
        ("task_heartbeats", r"^heartbeat\.demo$"),
        ("task_exchange.dead", "^demo$"),
    ] {
        vhost
            .set_topic_permissions(&user.name, exchange, keys, "^$")
            .await?;
    }
    let settings = WorkerSettings {
        cancel_grace: Duration::from_millis(200),
        ..WorkerSettings::default()
    };
    Ok(Worker::builder(
        transport(user.amqp_url)?,
        world.names.clone(),
        settings,
    ))
}

async fn until_cancelled(_: Act, cx: Context) -> Result<Value, TaskError> {
    cx.cancelled().cancelled().await;
    std::future::pending().await
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).expect("valid")
}

#[tokio::test]
async fn a_user_that_may_only_read_the_stream_does_what_is_asked() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    apply(&*world.transport(), delay_levels(&world.names)).await?;
    let (cancelled, held) = (id("cancelled"), id("held"));
    // Each message is a chunk of its own, and all of them come before the first task.
    for n in 0..30 {
        world.ask([revoke(&id(&format!("other {n}")))]).await;
    }
    world.ask([revoke(&cancelled), hold(&held)]).await;
    for id in [&cancelled, &held] {
        let options = SendOptions::new().id(id.clone());
        world.send_with(Add { x: 1, y: 1 }, options).await;
    }
    let read = r"^(demo|demo\.late|platform\.control)$";
    let builder = as_service(&vhost, &world, read).await?;
    let worker = Started::run(builder.handle(add).handle(until_cancelled));
    let told = world.told_of(&cancelled, TaskState::Revoked).await;
    assert_eq!(told.error.expect("a reason").kind, FaultKind::Cancelled);
    assert_eq!(world.states_of(&cancelled), ["REVOKED"]);

    let running = world.send(act("")).await;
    world.told_of(&running, TaskState::Started).await;
    world.ask([revoke(&running)]).await;
    world.told_of(&running, TaskState::Revoked).await;

    world.ask([pause("demo")]).await;
    world.ask([release(&held)]).await;
    let waiting = world.send(Add { x: 1, y: 1 }).await;
    world.until_waiting("demo", 2).await;
    assert!(world.states_of(&held).is_empty() && world.states_of(&waiting).is_empty());
    world.ask([resume("demo")]).await;
    for id in [&held, &waiting] {
        let done = world.told_of(id, TaskState::Success).await;
        assert_eq!(done.lineage.executions, 0);
    }
    assert!(world.is_empty_after(worker, "demo").await);
    vhost.close().await
}

#[tokio::test]
async fn a_user_that_may_not_read_the_stream_works_without() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    world.ask([pause("demo")]).await;
    let builder = as_service(&vhost, &world, "^demo$").await?;
    let _worker = Started::run(builder.handle(add));
    let id = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&id, TaskState::Success).await;
    vhost.close().await
}

#[tokio::test]
async fn nothing_of_a_paused_service_starts_on_rabbitmq() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    a_paused_service_rests(&world).await;
    vhost.close().await
}

#[tokio::test]
async fn what_was_asked_holds_after_the_connections_broke() -> anyhow::Result<()> {
    let (vhost, world) = rabbitmq().await?;
    let worker = world.start(|builder| builder.handle(add));
    let first = world.send(Add { x: 1, y: 1 }).await;
    world.told_of(&first, TaskState::Success).await;
    world.ask([pause("demo")]).await;
    assert!(vhost.close_connections().await? > 0);
    let waiting = world.send(Add { x: 1, y: 1 }).await;
    world.warm_up().await;
    assert!(vhost.close_connections().await? > 0);
    world.warm_up().await;
    assert!(world.states_of(&waiting).is_empty());
    world.ask([resume("demo")]).await;
    world.told_of(&waiting, TaskState::Success).await;
    assert!(world.is_empty_after(worker, "demo").await);
    vhost.close().await
}

#[tokio::test]
async fn what_was_asked_holds_after_broker_and_worker_were_started_anew() -> anyhow::Result<()> {
    let mut node = RabbitNode::start().await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let cancelled = id("cancelled");
    // A young quorum queue may lose what a broker that is killed had confirmed.
    world.warm_up().await;
    world.ask([revoke(&cancelled)]).await;
    let options = SendOptions::new().id(cancelled.clone());
    world.send_with(Add { x: 1, y: 1 }, options).await;
    node.restart().await?;
    let run = world.send(Add { x: 1, y: 1 }).await;
    let _worker = world.start(|builder| builder.handle(add));
    world.told_of(&run, TaskState::Success).await;
    world.told_of(&cancelled, TaskState::Revoked).await;
    assert_eq!(world.states_of(&cancelled), ["REVOKED"]);
    Ok(())
}
