//! What needs a broker with settings of its own.

use crate::extensions::{Sends, follower};
use crate::families::{assert_sent_at_once, start_with_gate};
use crate::on_rabbitmq::transport;
use crate::tasks::{Act, Long, act, long};
use crate::world::{World, in_time};
use counterfoil_testkit::{Broker, RabbitNode, RabbitOptions};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::names;
use counterfoil_worker::extension::Message;
use counterfoil_worker::{Context, Exit};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

fn small_messages() -> RabbitOptions {
    RabbitOptions {
        config_lines: vec!["max_message_size = 100000".to_owned()],
        ..RabbitOptions::default()
    }
}

/// How long the impatient broker waits for an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(3);

fn impatient() -> RabbitOptions {
    RabbitOptions {
        consumer_timeout: Some(PATIENCE),
        channel_tick_interval: Some(Duration::from_secs(1)),
        ..RabbitOptions::default()
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_for_the_broker_fails_its_task_and_holds_up_no_other()
-> anyhow::Result<()> {
    let node = RabbitNode::start_with(small_messages()).await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let handler = async |task: Act, _: Context| Ok(Value::from("x".repeat(task.what.parse()?)));
    let worker = world.start(|builder| builder.handle(handler));
    let small = [world.send(act("10")).await, world.send(act("20")).await];
    let large = world.send(act("200000")).await;
    let after = world.send(act("30")).await;
    for id in small.iter().chain([&after]) {
        world.told_of(id, TaskState::Success).await;
    }
    let failed = world.told_of(&large, TaskState::Failure).await;
    let fault = failed.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::ResultTooLarge);
    assert!(fault.message.contains("message size"), "{}", fault.message);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(names::REASON), Some("result_too_large"));
    assert!(world.is_empty_after(worker, "demo").await);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_the_broker_is_told_by_another_and_keeps_nobody_from_his()
-> anyhow::Result<()> {
    let node = RabbitNode::start_with(small_messages()).await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let to_export = |text: &str, bytes: usize| {
        let mut answer = follower(&world, text);
        answer.content.body = "x".repeat(bytes).into_bytes().into();
        answer
    };
    let sends = Sends(Ok(vec![
        Message::Answer {
            publication: to_export("large", 200_000),
            instead: Some(Box::new(to_export("instead", 10))),
        },
        Message::Answer {
            publication: to_export("larger", 300_000),
            instead: None,
        },
        Message::Answer {
            publication: to_export("another", 20),
            instead: Some(Box::new(to_export("needless", 30))),
        },
    ]));
    let handler = async |_: Act, _: Context| Ok(Value::Null);
    let worker = world.start(|builder| builder.handle(handler).extension(sends));
    let id = world.send(act("")).await;
    world.told_of(&id, TaskState::Success).await;
    for wanted in ["instead", "another"] {
        let answer = world.take_from("export").await;
        assert_eq!(answer.headers.text("id"), Some(wanted));
    }
    assert_eq!(world.waiting_in("export").await, 0);
    assert!(world.is_empty_after(worker, "demo").await);
    Ok(())
}

#[tokio::test]
async fn a_last_result_that_is_too_large_for_the_broker_fails_its_task_before_the_worker_ends()
-> anyhow::Result<()> {
    let node = RabbitNode::start_with(small_messages()).await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let handler = move |task: Act, _: Context| {
        let gate = gate.clone();
        async move {
            gate.acquire().await?.forget();
            Ok(Value::from("x".repeat(task.what.parse()?)))
        }
    };
    let worker = world.start(|builder| builder.handle(handler));
    let large = world.send(act("200000")).await;
    world.told_of(&large, TaskState::Started).await;
    worker.stopper.drain();
    go.add_permits(1);
    assert_eq!(worker.exit().await, Exit::Drained);
    let failed = world.told_of(&large, TaskState::Failure).await;
    let fault = failed.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::ResultTooLarge);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(names::REASON), Some("result_too_large"));
    assert_eq!(world.waiting_in("demo").await, 0);
    Ok(())
}

#[tokio::test]
async fn a_task_that_the_broker_takes_back_runs_once_and_its_worker_goes_on() -> anyhow::Result<()>
{
    let node = RabbitNode::start_with(impatient()).await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let (runs, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, gate) = (runs.clone(), go.clone());
    let handler = move |_: Act, _: Context| {
        counted.fetch_add(1, Ordering::Relaxed);
        let gate = gate.clone();
        async move {
            gate.acquire().await?.forget();
            Ok(Value::Null)
        }
    };
    // It was told nothing of a consumer timeout, so it believes in half an hour.
    let worker = world.start(|builder| builder.handle(handler));
    let long = world.send(act("")).await;
    world.told_of(&long, TaskState::Started).await;
    in_time("taking it back", async {
        while world.waiting_in("demo").await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    go.add_permits(2);
    world.told_of(&long, TaskState::Success).await;
    let next = world.send(act("")).await;
    world.told_of(&next, TaskState::Success).await;
    assert!(world.is_empty_after(worker, "demo").await);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    Ok(())
}

#[tokio::test]
async fn a_task_that_is_acknowledged_early_outlasts_the_patience_of_the_broker()
-> anyhow::Result<()> {
    let node = RabbitNode::start_with(impatient()).await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let handler = async |_: Long, _: Context| {
        tokio::time::sleep(PATIENCE * 3).await;
        Ok(Value::Null)
    };
    let worker = world.start(|builder| builder.consumer_timeout(PATIENCE).handle(handler));
    let id = world.send(long()).await;
    world.told_of(&id, TaskState::Success).await;
    assert_eq!(world.states_of(&id), ["STARTED", "SUCCESS"]);
    assert!(world.is_empty_after(worker, "demo").await);
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_sent_while_the_broker_is_away_waits_for_it_and_costs_no_retry()
-> anyhow::Result<()> {
    let mut node = RabbitNode::start().await?;
    let world = World::on(transport(node.amqp_url("/"))?).await;
    let (_worker, gate) = start_with_gate(&world);
    let parent = world.send(act("parent")).await;
    world.told_of(&parent, TaskState::Started).await;
    node.kill9().await?;
    let mut availability = world.producer.availability();
    availability.wait_for(|known| !known.is_available()).await?;
    gate.add_permits(1);
    node.restart().await?;
    assert_sent_at_once(&world, &parent).await;
    Ok(())
}
