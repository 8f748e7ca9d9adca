//! Tasks that an application sends in transactions of its own.

use crate::support::{FaultyStore, SOON, World, name, on_both_pairs};
use anyhow::Context;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::topology::{self, ServiceSettings};
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription};
use std::sync::Arc;
use std::time::Duration;

on_both_pairs!(
    what_transactions_sent_arrives_once_and_in_order_though_two_daemons_run,
    a_full_queue_and_a_message_that_cannot_be_sent_hold_up_nobody,
    what_was_confirmed_is_not_sent_again_because_that_could_not_be_written,
    what_was_confirmed_is_not_sent_again_because_another_could_not_be_set_aside,
    a_task_with_a_countdown_leaves_when_it_is_due,
);

fn task(task: &str) -> RawTask {
    RawTask {
        name: name(task),
        args: "[1, 2]".to_owned(),
        kwargs: "{}".to_owned(),
    }
}

/// Sends tasks in one transaction, which commits or does not.
async fn send(
    world: &World,
    tasks: &[&str],
    options: SendOptions,
    commit: bool,
) -> anyhow::Result<Vec<String>> {
    let mut transaction = world.application().await?.begin().await?;
    let mut ids = Vec::new();
    for name in tasks {
        let connection = transaction.connection();
        let sent = world
            .store
            .send_raw_in(connection, task(name), options.clone());
        ids.push(sent.await?.to_string());
    }
    match commit {
        true => transaction.commit().await?,
        false => transaction.rollback().await?,
    }
    Ok(ids)
}

/// Ids of the next so many messages of a queue, which are acknowledged.
async fn taken(world: &World, queue: &QueueName, count: usize) -> anyhow::Result<Vec<String>> {
    let options = SubscribeOptions::new(queue.clone(), 100);
    let mut reader = Subscription::open(Arc::clone(&world.transport), options);
    let mut ids = Vec::new();
    while ids.len() < count {
        let delivery = tokio::time::timeout(SOON, reader.next()).await;
        let delivery = delivery
            .with_context(|| format!("{} of {count} came", ids.len()))?
            .context("the queue")?;
        let id = delivery.content.headers.text("id").context("an id")?;
        ids.push(id.to_owned());
        let _ = delivery.ack();
    }
    reader.close().await;
    Ok(ids)
}

async fn all_sent(world: &World) -> anyhow::Result<()> {
    eventually("the outbox to be empty", SOON, async || {
        let state = world.store.outbox_state().await?;
        Ok((state.waiting == 0).then_some(()))
    })
    .await
}

async fn what_transactions_sent_arrives_once_and_in_order_though_two_daemons_run(
    world: World,
) -> anyhow::Result<()> {
    let (one, other) = (world.daemon(), world.daemon());
    let mut committed = Vec::new();
    for n in 0..60 {
        let commit = n % 3 != 1;
        let options = SendOptions::new();
        let sent = send(&world, &["demo.a", "demo.b"], options, commit).await?;
        match commit {
            true => committed.extend(sent),
            false => {
                let row = world.store.task(&sent[0]).await?;
                anyhow::ensure!(row.is_none(), "{row:?}");
            }
        }
    }
    let queue = world.names.service_queue(&ServiceName::new("demo")?);
    all_sent(&world).await?;
    world.ready(&queue, u32::try_from(committed.len())?).await?;
    assert_eq!(taken(&world, &queue, committed.len()).await?, committed);
    for id in &committed {
        world.row_in(id, TaskState::Pending).await?;
    }
    one.stop().await?;
    Ok(other.stop().await?)
}

async fn a_full_queue_and_a_message_that_cannot_be_sent_hold_up_nobody(
    world: World,
) -> anyhow::Result<()> {
    let service = ServiceName::new("small")?;
    let settings = ServiceSettings {
        max_length: Some(1),
        ..ServiceSettings::default()
    };
    let items = topology::service(&world.names, &service, &settings);
    world.declare(items).await?;
    let full = send(&world, &["small.a"; 4], SendOptions::new(), true).await?;
    let no_exchange = "e".repeat(300);
    world
        .application()
        .await?
        .execute(&format!(
            "INSERT INTO outbox (key, exchange, routing_key, message, headers, properties)
             VALUES ('bad', '{no_exchange}', 'demo.a', '[]', '{{}}', '{{}}')"
        ))
        .await?;
    let others = send(&world, &["demo.a"; 10], SendOptions::new(), true).await?;
    let daemon = world.daemon();
    let demo = world.names.service_queue(&ServiceName::new("demo")?);
    assert_eq!(taken(&world, &demo, 10).await?, others);
    let refused = eventually("the bad one to be set aside", SOON, async || {
        Ok(world.store.refused_messages(None, 10).await?.pop())
    });
    assert_eq!(refused.await?.key, "bad");
    let queue = world.names.service_queue(&service);
    let mut came = Vec::new();
    while came.len() < full.len() {
        came.extend(taken(&world, &queue, 1).await?);
    }
    came.sort();
    came.dedup();
    let mut full = full;
    full.sort();
    assert_eq!(came, full);
    all_sent(&world).await?;
    Ok(daemon.stop().await?)
}

async fn what_was_confirmed_is_not_sent_again_because_that_could_not_be_written(
    world: World,
) -> anyhow::Result<()> {
    let store = FaultyStore::new(&world.store);
    store.fail_next_marks(2);
    let sent = send(&world, &["demo.a"; 20], SendOptions::new(), true).await?;
    let daemon = world.daemon_with(store);
    all_sent(&world).await?;
    let queue = world.names.service_queue(&ServiceName::new("demo")?);
    world.ready(&queue, 20).await?;
    assert_eq!(taken(&world, &queue, 20).await?, sent);
    Ok(daemon.stop().await?)
}

async fn what_was_confirmed_is_not_sent_again_because_another_could_not_be_set_aside(
    world: World,
) -> anyhow::Result<()> {
    let store = FaultyStore::new(&world.store);
    store.fail_next_marks(1);
    // Its headers fit into no frame.
    let wide = "x".repeat(200 * 1024);
    let insert = format!(
        "INSERT INTO outbox (key, exchange, routing_key, message, headers, properties)
         VALUES ('bad', '', 'demo.a', '[]', '{{\"wide\": \"{wide}\"}}', '{{}}')"
    );
    world.application().await?.execute(&insert).await?;
    let sent = send(&world, &["demo.a"; 20], SendOptions::new(), true).await?;
    let daemon = world.daemon_with(store);
    let refused = eventually("the bad one to be set aside", SOON, async || {
        Ok(world.store.refused_messages(None, 10).await?.pop())
    });
    assert_eq!(refused.await?.key, "bad");
    all_sent(&world).await?;
    daemon.stop().await?;
    let queue = world.names.service_queue(&ServiceName::new("demo")?);
    assert_eq!(taken(&world, &queue, 20).await?, sent);
    world.ready(&queue, 0).await
}

async fn a_task_with_a_countdown_leaves_when_it_is_due(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    daemon.ready().await?;
    let later = SendOptions::new().countdown(Duration::from_secs(2));
    let sent = send(&world, &["demo.a"], later, true).await?;
    let before = world.store.clock().await?;
    let row = world.store.task(&sent[0]).await?.context("a row")?;
    let eta = row.eta.context("a time")?;
    let queue = world.names.service_queue(&ServiceName::new("demo")?);
    assert_eq!(taken(&world, &queue, 1).await?, sent);
    let now = world.store.clock().await?;
    assert!(before < eta && eta <= now, "{before} {eta} {now}");
    Ok(daemon.stop().await?)
}
