//! What goes when its time is over.

use crate::support::{FaultyStore, SOON, World, id, on_both_pairs};
use chrono::TimeDelta;
use counterfoil_store::{Batch, Deed, Store};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::retention::RetentionRules;
use counterfoil_toolbox::state::Lineage;
use std::sync::Arc;
use std::time::Duration;

on_both_pairs!(what_belongs_to_no_task_goes_though_what_was_asked_of_workers_cannot_be_forgotten);

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
