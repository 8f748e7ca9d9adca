//! Messages that died.

use crate::support::{SOON, World, id, on_both_pairs, task};
use counterfoil_store::DeadFilter;
use counterfoil_store::record::DeadRow;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::names::{REASON, REASON_TEXT};
use counterfoil_toolbox::message::{Content, HeaderValue, Headers};
use counterfoil_toolbox::transport::{Requeue, SubscribeOptions, Subscription};
use std::sync::Arc;

on_both_pairs!(
    what_a_worker_gave_up_is_kept_byte_for_byte_with_its_reason,
    a_task_that_crashed_every_worker_is_a_failure,
    a_task_that_a_foreign_worker_rejected_is_a_failure,
    a_death_that_a_service_made_up_does_not_end_the_task_of_another,
    a_dead_message_that_is_no_task_is_kept_too,
);

async fn dead(world: &World) -> anyhow::Result<DeadRow> {
    eventually("a dead letter", SOON, async || {
        Ok(world.store.dead(&DeadFilter::default()).await?.pop())
    })
    .await
}

async fn what_a_worker_gave_up_is_kept_byte_for_byte_with_its_reason(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let mut letter = task("t1", "demo.add");
    letter.headers.push(REASON, "bad_arguments");
    letter.headers.push(
        REASON_TEXT,
        "`demo.add` got an unexpected argument `colour`",
    );
    let body = letter.body.clone();
    world.publish(&world.names.dead, "demo", letter).await?;
    let row = dead(&world).await?;
    assert_eq!((&*row.service, &*row.reason), ("demo", "bad_arguments"));
    assert!(row.reason_text.expect("a text").contains("colour"));
    assert_eq!(
        (row.task_id.as_deref(), row.name.as_deref()),
        (Some("t1"), Some("demo.add"))
    );
    assert_eq!(row.message.content.body, body);
    // The worker reports on the task itself.
    assert!(world.store.task("t1").await?.is_none());
    Ok(daemon.stop().await?)
}

async fn a_task_that_crashed_every_worker_is_a_failure(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let queue = world.serve("demo").await?;
    world
        .publish(&world.names.tasks, "demo.abort", task("t1", "demo.abort"))
        .await?;
    let options = SubscribeOptions::new(queue, 1);
    let mut crashing = Subscription::open(Arc::clone(&world.transport), options);
    // Each return counts like a crash.
    for _ in 0..21 {
        let delivery = crashing.next().await.expect("it comes back");
        let _ = delivery.nack(Requeue::Yes);
    }
    let row = world.row_in("t1", TaskState::Failure).await?;
    assert_eq!(row.error_kind.as_deref(), Some("worker_crashed"));
    assert_eq!((row.executions, row.deliveries), (0, 21));
    eventually("the tracking copy", SOON, async || {
        let row = world.store.task("t1").await?;
        Ok(row.filter(|row| row.input.is_some()).map(drop))
    })
    .await?;
    let row = dead(&world).await?;
    assert_eq!(row.reason, "delivery_limit");
    crashing.close().await;
    Ok(daemon.stop().await?)
}

async fn a_task_that_a_foreign_worker_rejected_is_a_failure(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let queue = world.serve("demo").await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let options = SubscribeOptions::new(queue, 1);
    let mut rejecting = Subscription::open(Arc::clone(&world.transport), options);
    let delivery = rejecting.next().await.expect("it comes");
    let _ = delivery.nack(Requeue::No);
    let row = world.row_in("t1", TaskState::Failure).await?;
    assert_eq!(row.error_kind.as_deref(), Some("rejected"));
    let result = world.store.result(&id("t1"), 0).await?.expect("an outcome");
    assert_eq!(result.status, TaskState::Failure);
    assert_eq!(dead(&world).await?.reason, "rejected");
    rejecting.close().await;
    Ok(daemon.stop().await?)
}

async fn a_dead_message_that_is_no_task_is_kept_too(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world
        .publish(&world.names.dead, "demo", Content::json(vec![0xff, 0xfe]))
        .await?;
    let row = dead(&world).await?;
    assert_eq!(row.task_id, None);
    assert_eq!(&row.message.content.body[..], [0xff, 0xfe]);
    Ok(daemon.stop().await?)
}

async fn a_death_that_a_service_made_up_does_not_end_the_task_of_another(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world.serve("export").await?;
    let project = task("t1", "export.project");
    world
        .publish(&world.names.tasks, "export.project", project)
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let mut entry = Headers::new();
    entry.push("queue", "demo");
    entry.push("reason", "expired");
    let deaths = HeaderValue::List(vec![HeaderValue::Table(entry)]);
    for name in ["export.project", "demo.add"] {
        let mut forged = task("t1", name);
        forged.headers.push("x-death", deaths.clone());
        world.publish(&world.names.dead, "demo", forged).await?;
    }
    let letters = eventually("both letters", SOON, async || {
        let letters = world.store.dead(&DeadFilter::default()).await?;
        Ok((letters.len() == 2).then_some(letters))
    })
    .await?;
    // RabbitMQ 4 takes no such header from a publisher.
    if letters.iter().all(|letter| letter.reason == "expired") {
        for row in world.parked(2).await? {
            assert!(row.reason.contains("not its task"), "{}", row.reason);
        }
    }
    world.row_in("t1", TaskState::Pending).await?;
    Ok(daemon.stop().await?)
}
