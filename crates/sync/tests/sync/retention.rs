//! What goes when its time is over.

use crate::sessions::{done, raw, session, start, tell, with_status};
use crate::support::{FaultyStore, SOON, World, id, on_both_pairs, settled};
use chrono::TimeDelta;
use counterfoil_store::{Batch, Deed, Store};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::producer::SendOptions;
use counterfoil_toolbox::retention::RetentionRules;
use counterfoil_toolbox::session::{Session, SessionStatus};
use counterfoil_toolbox::state::Lineage;
use std::sync::Arc;
use std::time::Duration;

on_both_pairs!(
    what_belongs_to_no_task_goes_though_what_was_asked_of_workers_cannot_be_forgotten,
    sessions_go_when_their_time_is_over_and_those_that_are_kept_are_not_read_for_it,
);

async fn what_belongs_to_no_task_goes_though_what_was_asked_of_workers_cannot_be_forgotten(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.retention = RetentionRules {
        default: Some(Duration::from_secs(86_400)),
        ..RetentionRules::default()
    };
    let stray = id("stray");
    let deed = Deed {
        action: "rerun",
        by: None,
        at: world.store.clock().await? - TimeDelta::days(2),
    };
    let mut batch = Batch::new();
    batch.note(&stray, Lineage::default(), TaskState::Failure, deed);
    world.store.apply(&batch).await?;
    assert_eq!(world.store.history(&stray).await?.len(), 1);
    let store = FaultyStore::new(&world.store);
    store.keep_controls();
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    eventually("the stray to go", SOON, async || {
        let history = world.store.history(&stray).await?;
        Ok(history.is_empty().then_some(()))
    })
    .await?;
    Ok(daemon.stop().await?)
}

async fn sessions_go_when_their_time_is_over_and_those_that_are_kept_are_not_read_for_it(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.retention_interval = Duration::from_millis(50);
    world.settings.retention = RetentionRules {
        default: Some(Duration::ZERO),
        types: [("demo.keep".parse()?, None)].into(),
    };
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    let kept = Session::raw("harvest", raw("demo.keep"), true)
        .subtask_raw(raw("demo.add"), SendOptions::new());
    let mut ids = Vec::new();
    for (session, finalizer) in [(kept, "demo.keep"), (session(1), "demo.end")] {
        let started = start(&world, session).await?;
        let subtask = &started.subtasks[0];
        world.row_in(subtask.as_str(), TaskState::Pending).await?;
        with_status(&world, &started.id, SessionStatus::Ongoing).await?;
        tell(&world, &[done(&started.id, subtask)]).await?;
        let last = started.finalizer.as_str();
        world.row_in(last, TaskState::Pending).await?;
        tell(&world, &[settled(last, finalizer, "1")]).await?;
        ids.push(started.id);
    }
    eventually("the session to go", SOON, async || {
        Ok(world.store.session(&ids[1]).await?.is_none().then_some(()))
    })
    .await?;
    with_status(&world, &ids[0], SessionStatus::Success).await?;
    assert_eq!(store.lists(), 0);
    Ok(daemon.stop().await?)
}
