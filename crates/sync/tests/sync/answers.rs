//! Answers to callers of Celery's, passed on for workers that may not write to the queues of callers.

use crate::support::{FaultyStore, SOON, World, batch, id, on_both_pairs, settled};
use anyhow::Context as _;
use counterfoil_store::Store;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::answer::{Answer, caller};
use counterfoil_toolbox::message::{Content, Headers};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::{Item, Queue, QueueKind};
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use std::sync::Arc;

on_both_pairs!(
    answers_come_to_their_caller_in_order_though_the_database_is_away,
    an_answer_to_somebody_who_is_gone_or_to_a_queue_of_the_platform_holds_up_nothing,
);

const CALLER: &str = "b5d5bbe3-b71d-3d77-b9d9-2b312cd6968a";

impl World {
    /// What a worker sends for whoever waits at the queue.
    async fn answer(&self, queue: &str, said: &str) -> anyhow::Result<()> {
        let to = caller(queue).context("no name of a caller")?;
        let answer = Answer::new(id("t1"), to, said.into()).map_err(anyhow::Error::msg)?;
        self.publish(&self.names.events, "event.demo.batch", answer.write())
            .await
    }

    /// What comes to a new queue of this name.
    async fn caller(&self, queue: &str) -> anyhow::Result<Subscription> {
        let name = QueueName::new(queue)?;
        let queue = Queue {
            name: name.clone(),
            kind: QueueKind::Classic,
            arguments: Headers::new(),
        };
        self.declare(vec![Item::Queue(queue)]).await?;
        let options = SubscribeOptions::new(name, 10);
        Ok(Subscription::open(Arc::clone(&self.transport), options))
    }
}

async fn answers_come_to_their_caller_in_order_though_the_database_is_away(
    world: World,
) -> anyhow::Result<()> {
    let mut waiting = world.caller(CALLER).await?;
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    daemon.ready().await?;
    store.fail_next(usize::MAX);
    let event = batch(&[settled("t1", "demo.add", "5")]);
    world
        .publish(&world.names.events, "event.demo.batch", event)
        .await?;
    let said = [
        r#"{"status": "RETRY"}"#,
        r#"{"status": "SUCCESS", "result": 1e400}"#,
    ];
    for said in said {
        world.answer(CALLER, said).await?;
    }
    for said in said {
        let came = tokio::time::timeout(SOON, waiting.next()).await?;
        let came = came.context("an answer")?;
        let properties = &came.content.properties;
        assert_eq!(properties.correlation_id.as_deref(), Some("t1"));
        assert_eq!(&came.content.body[..], said.as_bytes());
        let _ = came.ack();
    }
    store.fail_next(0);
    world.row_in("t1", TaskState::Success).await?;
    world.emptied(&world.names.events_queue).await?;
    Ok(daemon.stop().await?)
}

async fn an_answer_to_somebody_who_is_gone_or_to_a_queue_of_the_platform_holds_up_nothing(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world.answer(CALLER, "{}").await?;
    let tracking = &world.names.tracking_queue;
    let forged = format!(r#"{{"answer": {{}}, "task_id": "t1", "to": "{tracking}"}}"#);
    world
        .publish(
            &world.names.events,
            "event.demo.batch",
            Content::json(forged),
        )
        .await?;
    let event = batch(&[settled("t1", "demo.add", "5")]);
    world
        .publish(&world.names.events, "event.demo.batch", event)
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    world.emptied(&world.names.events_queue).await?;
    let parked = eventually("the forged one to be kept", SOON, async || {
        let parked = world.parked(1).await?;
        Ok((!parked.is_empty()).then_some(parked))
    });
    let parked = parked.await?;
    assert!(
        parked[0].reason.contains("no answer to a caller"),
        "{parked:?}"
    );
    Ok(daemon.stop().await?)
}
