//! Tracking copies.

use crate::support::{SOON, World, id, name, on_both_pairs, scheduled, task};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::{Content, Envelope};
use counterfoil_toolbox::names::{RoutingKey, TaskName};
use std::time::Duration;

on_both_pairs!(
    a_scheduled_task_becomes_a_row_with_its_arguments,
    a_delayed_task_keeps_its_time_and_loses_nothing_by_its_long_key,
    a_copy_of_a_retry_leaves_telling_of_it_to_the_worker,
    an_unreadable_body_is_parked_and_the_next_task_is_mirrored,
    a_message_that_is_no_task_at_all_is_parked_as_it_came,
    a_copy_that_expired_before_it_was_read_is_mirrored_all_the_same,
    a_redelivered_copy_changes_nothing,
    a_parent_and_a_root_lead_to_the_family,
);

async fn a_scheduled_task_becomes_a_row_with_its_arguments(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    let row = world.row_in("t1", TaskState::Pending).await?;
    assert_eq!((&*row.name, &*row.service), ("demo.add", "demo"));
    let input = row.input.expect("arguments").to_value();
    assert_eq!(input, serde_json::json!({"args": [2], "kwargs": {"y": 3}}));
    Ok(daemon.stop().await?)
}

async fn a_delayed_task_keeps_its_time_and_loses_nothing_by_its_long_key(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let mut envelope = Envelope::new(id("t1"), name("demo.add"));
    let eta = chrono::DateTime::from_timestamp(1_900_000_000, 0).expect("a time");
    envelope.eta = Some(eta);
    let key = TaskName::new("demo.add")?.routing_key();
    let key: RoutingKey = counterfoil_toolbox::delay::delayed_key(Duration::from_secs(9), &key)?;
    world
        .publish(&world.names.delay_entry, key.as_str(), scheduled(&envelope))
        .await?;
    let row = world.row_in("t1", TaskState::Pending).await?;
    assert_eq!(row.eta, Some(eta));
    assert_eq!(row.service, "demo");
    Ok(daemon.stop().await?)
}

async fn a_copy_of_a_retry_leaves_telling_of_it_to_the_worker(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let mut envelope = Envelope::new(id("t1"), name("demo.add"));
    (envelope.retries, envelope.lineage.executions) = (2, 2);
    world
        .publish(&world.names.tasks, "demo.add", scheduled(&envelope))
        .await?;
    let row = world.row_in("t1", TaskState::Retry).await?;
    assert_eq!(row.executions, 1, "the execution that will be repeated");
    let history = world.store.history(&id("t1")).await?;
    let lines: Vec<_> = history
        .iter()
        .map(|line| (line.executions, line.kind))
        .collect();
    // Whether the retry counts it alone knows.
    assert_eq!(lines, [(2, TaskState::Pending)]);
    Ok(daemon.stop().await?)
}

async fn an_unreadable_body_is_parked_and_the_next_task_is_mirrored(
    world: World,
) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let mut broken = task("t1", "demo.add");
    broken.body = "[[1], {".into();
    world
        .publish(&world.names.tasks, "demo.add", broken)
        .await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t2", "demo.add"))
        .await?;
    world.row_in("t2", TaskState::Pending).await?;
    let parked = world.parked(1).await?.remove(0);
    assert!(
        parked
            .reason
            .starts_with("the body is not [args, kwargs, embed]"),
        "{}",
        parked.reason
    );
    assert_eq!(parked.task_id.as_deref(), Some("t1"));
    assert_eq!(&parked.message.content.body[..], b"[[1], {");
    assert_eq!(
        parked.message.content.headers.text("task"),
        Some("demo.add")
    );
    // What its headers say is in the row: a worker's report on it has somewhere to go.
    let row = world.row_in("t1", TaskState::Pending).await?;
    assert!(row.input.is_none());
    Ok(daemon.stop().await?)
}

async fn a_message_that_is_no_task_at_all_is_parked_as_it_came(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    let mut junk = Content::json(vec![0xff, 0x00, b'x']);
    junk.headers.push("colour", "red");
    world.publish(&world.names.tasks, "demo.what", junk).await?;
    let parked = world.parked(1).await?.remove(0);
    assert_eq!(parked.queue, world.names.tracking_queue.as_str());
    assert_eq!(&*parked.message.routing_key, "demo.what");
    assert_eq!(&*parked.message.exchange, world.names.tasks.as_str());
    assert_eq!(&parked.message.content.body[..], [0xff, 0x00, b'x']);
    assert_eq!(parked.message.content.headers.text("colour"), Some("red"));
    Ok(daemon.stop().await?)
}

async fn a_copy_that_expired_before_it_was_read_is_mirrored_all_the_same(
    world: World,
) -> anyhow::Result<()> {
    let short_lived = task("t1", "demo.add");
    world
        .publish_expiring(&world.names.tasks, "demo.add", short_lived)
        .await?;
    world.ready(&world.names.expired_queue, 1).await?;
    world.ready(&world.names.deaths_queue, 1).await?;
    let daemon = world.daemon();
    // The service's copy expired too, and so the task is over.
    let row = world.row_in("t1", TaskState::Revoked).await?;
    assert_eq!(row.error_kind.as_deref(), Some("expired"));
    let input = eventually("the arguments", SOON, async || {
        Ok(world.store.task("t1").await?.and_then(|row| row.input))
    })
    .await?;
    assert_eq!(input.to_value()["args"], serde_json::json!([2]));
    assert_eq!(world.parked(0).await?.len(), 0);
    Ok(daemon.stop().await?)
}

async fn a_redelivered_copy_changes_nothing(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    for _ in 0..3 {
        world
            .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
            .await?;
    }
    world
        .publish(&world.names.tasks, "demo.add", task("t2", "demo.add"))
        .await?;
    world.row_in("t2", TaskState::Pending).await?;
    daemon.stop().await?;
    assert_eq!(world.store.history(&id("t1")).await?.len(), 1);
    Ok(())
}

async fn a_parent_and_a_root_lead_to_the_family(world: World) -> anyhow::Result<()> {
    let daemon = world.daemon();
    world
        .publish(&world.names.tasks, "demo.tree", task("root", "demo.tree"))
        .await?;
    let mut child = Envelope::new(id("child"), name("demo.tree"));
    (child.parent_id, child.root_id) = (Some(id("root")), id("root"));
    world
        .publish(&world.names.tasks, "demo.tree", scheduled(&child))
        .await?;
    let row = world.row_in("child", TaskState::Pending).await?;
    assert_eq!(row.parent_id.as_deref(), Some("root"));
    world.row_in("root", TaskState::Pending).await?;
    assert_eq!(world.store.family(&id("root")).await?.len(), 2);
    Ok(daemon.stop().await?)
}
