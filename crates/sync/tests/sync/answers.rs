//! Answers to callers of Celery's, passed on for workers that may not write to the queues of callers.

use crate::support::{FaultyStore, SOON, World, batch, id, on_both_pairs, settled, task};
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
    answers_come_to_their_caller_when_the_database_has_what_came_before,
    an_answer_that_its_queue_does_not_take_is_given_up_and_holds_up_nothing,
    no_service_answers_for_the_tasks_of_others_or_into_queues_of_the_platform,
);

const CALLER: &str = "b5d5bbe3-b71d-3d77-b9d9-2b312cd6968a";

impl World {
    /// What a worker sends for whoever waits at the queue.
    async fn answer(&self, service: &str, queue: &str, said: &str) -> anyhow::Result<()> {
        let to = caller(queue).context("no name of a caller")?;
        let answer = Answer::new(id("t1"), to, said.into()).map_err(anyhow::Error::msg)?;
        let key = format!("event.{service}.batch");
        self.publish(&self.names.events, &key, answer.write()).await
    }

    /// A new queue of this name.
    async fn queue(&self, name: &str, arguments: Headers) -> anyhow::Result<QueueName> {
        let name = QueueName::new(name)?;
        let queue = Queue {
            name: name.clone(),
            kind: QueueKind::Classic,
            arguments,
        };
        self.declare(vec![Item::Queue(queue)]).await?;
        Ok(name)
    }

    /// What comes to such a queue.
    async fn caller(&self, name: &str, arguments: Headers) -> anyhow::Result<Subscription> {
        let options = SubscribeOptions::new(self.queue(name, arguments).await?, 10);
        Ok(Subscription::open(Arc::clone(&self.transport), options))
    }
}

async fn answers_come_to_their_caller_when_the_database_has_what_came_before(
    world: World,
) -> anyhow::Result<()> {
    let mut waiting = world.caller(CALLER, Headers::new()).await?;
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    daemon.ready().await?;
    store.fail_next(5);
    let event = batch(&[settled("t1", "demo.add", "5")]);
    world
        .publish(&world.names.events, "event.demo.batch", event)
        .await?;
    let said = r#"{"status": "SUCCESS", "result": 1e400}"#;
    world.answer("demo", CALLER, said).await?;
    let came = tokio::time::timeout(SOON, waiting.next()).await?;
    let came = came.context("an answer")?;
    let row = world.store.task("t1").await?.context("a row")?;
    assert_eq!(row.state, TaskState::Success);
    let properties = &came.content.properties;
    assert_eq!(properties.correlation_id.as_deref(), Some("t1"));
    assert_eq!(&came.content.body[..], said.as_bytes());
    let _ = came.ack();
    world.emptied(&world.names.events_queue).await?;
    Ok(daemon.stop().await?)
}

async fn an_answer_that_its_queue_does_not_take_is_given_up_and_holds_up_nothing(
    world: World,
) -> anyhow::Result<()> {
    let mut full = Headers::new();
    full.push("x-max-length", 0);
    full.push("x-overflow", "reject-publish");
    let _waiting = world.queue(CALLER, full).await?;
    let daemon = world.daemon();
    for _ in 0..3 {
        world.answer("demo", CALLER, "{}").await?;
    }
    // To somebody who is gone.
    let gone = "b5d5bbe3-b71d-3d77-b9d9-000000000000";
    world.answer("demo", gone, "{}").await?;
    let event = batch(&[settled("t1", "demo.add", "5")]);
    world
        .publish(&world.names.events, "event.demo.batch", event)
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    world.emptied(&world.names.events_queue).await?;
    assert_eq!(world.parked(0).await?.len(), 0);
    Ok(daemon.stop().await?)
}

async fn no_service_answers_for_the_tasks_of_others_or_into_queues_of_the_platform(
    world: World,
) -> anyhow::Result<()> {
    let mut waiting = world.caller(CALLER, Headers::new()).await?;
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    world.answer("other", CALLER, r#"{"of": "other"}"#).await?;
    let tracking = &world.names.tracking_queue;
    let forged = format!(r#"{{"answer": {{}}, "task_id": "t1", "to": "{tracking}"}}"#);
    let forged = Content::json(forged);
    world
        .publish(&world.names.events, "event.demo.batch", forged)
        .await?;
    world.answer("demo", CALLER, r#"{"of": "demo"}"#).await?;
    let came = tokio::time::timeout(SOON, waiting.next()).await?;
    let came = came.context("an answer")?;
    assert_eq!(&came.content.body[..], br#"{"of": "demo"}"#);
    let _ = came.ack();
    let parked = eventually("both to be kept", SOON, async || {
        let parked = world.parked(2).await?;
        Ok((parked.len() == 2).then_some(parked))
    });
    for row in parked.await? {
        let reasons = ["which is not its task", "no answer to a caller"];
        let is_known = reasons.iter().any(|reason| row.reason.contains(reason));
        assert!(is_known, "{}", row.reason);
    }
    Ok(daemon.stop().await?)
}
