//! Tasks of one type with the same identifier.

use crate::support::{World, batch, event, id, name, on_both_pairs, scheduled};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::topology::names::event_key;

on_both_pairs!(of_tasks_with_one_identity_the_first_stays_though_two_daemons_look);

const TASK: &str = "demo.add";

async fn sent(world: &World, task_id: &str) -> anyhow::Result<()> {
    let mut envelope = Envelope::new(id(task_id), name(TASK));
    envelope.identifier = Some("project 17".into());
    let content = scheduled(&envelope);
    world.publish(&world.names.tasks, TASK, content).await
}

async fn of_tasks_with_one_identity_the_first_stays_though_two_daemons_look(
    world: World,
) -> anyhow::Result<()> {
    let (one, other) = (world.daemon(), world.daemon());
    one.ready().await?;
    sent(&world, "t1").await?;
    world.row_in("t1", TaskState::Pending).await?;
    sent(&world, "t2").await?;
    let revoked = world.row_in("t2", TaskState::Revoked).await?;
    let why = revoked.error_message.expect("a reason");
    assert!(why.contains("as the double of t1"), "{why}");
    // Workers that meet its message are told.
    eventually(
        "the revocation to be published",
        crate::support::SOON,
        async || {
            let filter = counterfoil_store::ControlFilter {
                subject: Some("t2".to_owned()),
                ..Default::default()
            };
            let asked = world.store.controls(&filter).await?;
            let is_one = asked.len() == 1 && asked[0].published_at.is_some();
            Ok(is_one.then_some(()))
        },
    )
    .await?;
    let done = event("t1", TASK, TaskState::Success);
    let key = event_key("demo");
    world
        .publish(&world.names.events, key.as_str(), batch(&[done]))
        .await?;
    world.row_in("t1", TaskState::Success).await?;
    // Its time is over: it bars nobody.
    sent(&world, "t3").await?;
    world.row_in("t3", TaskState::Pending).await?;
    sent(&world, "t4").await?;
    world.row_in("t4", TaskState::Revoked).await?;
    assert!(!world.row_in("t3", TaskState::Pending).await?.held);
    one.stop().await?;
    Ok(other.stop().await?)
}
