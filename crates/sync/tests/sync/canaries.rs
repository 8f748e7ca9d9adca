//! Canaries come through, or somebody hears of it.

use crate::support::{World, on_both_pairs};
use counterfoil_toolbox::topology::{Destination, Item};
use std::time::Duration;

on_both_pairs!(
    a_canary_is_seen_everywhere_and_leaves_no_row,
    a_missing_binding_shows_by_the_canary_that_did_not_come_through,
);

async fn a_canary_is_seen_everywhere_and_leaves_no_row(mut world: World) -> anyhow::Result<()> {
    world.settings.canary_interval = Duration::from_secs(1);
    let daemon = world.daemon();
    let report = daemon
        .reports("the canary to be seen", |report| {
            report.canary.status == "seen"
        })
        .await?;
    assert!(report.leader && report.canary.missing.is_empty());
    let canaries = world.store.canaries(1).await?;
    assert!(!canaries.is_empty());
    assert!(world.rows().await?.is_empty());
    assert_eq!(world.parked(0).await?.len(), 0);
    Ok(daemon.stop().await?)
}

async fn a_missing_binding_shows_by_the_canary_that_did_not_come_through(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.canary_interval = Duration::from_secs(1);
    // AMQP can delete a binding with its exchange: it comes back without the binding.
    let events = world.names.events.clone();
    world.transport.delete_exchange(&events).await?;
    let mut items = counterfoil_toolbox::topology::platform(&world.names, Default::default());
    let to_events = Destination::Queue(world.names.events_queue.clone());
    items
        .retain(|item| !matches!(item, Item::Binding(binding) if binding.destination == to_events));
    world.declare(items).await?;
    let daemon = world.daemon();
    // On a slow machine one may come too late everywhere.
    let report = daemon
        .reports("the canary to be missed", |report| {
            report.canary.status == "missed" && report.canary.missing == ["events"]
        })
        .await?;
    assert!(!report.ready);
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.contains("canary")),
        "{:?}",
        report.problems
    );
    Ok(daemon.stop().await?)
}
