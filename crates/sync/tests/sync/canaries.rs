//! Canaries come through, or somebody hears of it.

use crate::support::{SOON, World, on_both_pairs, task};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::doctor::canary;
use counterfoil_toolbox::topology::{Destination, Item};
use std::time::Duration;
use uuid::{NoContext, Timestamp, Uuid};

on_both_pairs!(
    a_canary_is_seen_everywhere_and_leaves_no_row,
    a_missing_binding_shows_by_the_canary_that_did_not_come_through,
    a_daemon_that_reads_for_another_database_is_noticed,
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

/// Only canaries that were sent since the daemon began tell: a database that was restored does not know older ones.
async fn a_daemon_that_reads_for_another_database_is_noticed(
    mut world: World,
) -> anyhow::Result<()> {
    world.settings.canary_interval = Duration::from_secs(1);
    let of_another = async |id: Uuid| {
        for sent in canary(&world.names, id) {
            let key = sent.routing_key.as_str();
            world.publish(&sent.exchange, key, sent.content).await?;
        }
        anyhow::Ok(())
    };
    let long_ago = Timestamp::from_unix(NoContext, 1_700_000_000, 0);
    of_another(Uuid::new_v7(long_ago)).await?;
    let daemon = world.daemon();
    daemon.ready().await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    daemon.ready().await?;

    let noticed = eventually("the other to be noticed", SOON, async || {
        of_another(Uuid::now_v7()).await?;
        let report = daemon.health.report();
        let mut problems = report.problems.iter();
        let is_told = problems.any(|problem| problem.contains("for another database"));
        Ok(is_told.then_some(report))
    });
    assert!(!noticed.await?.ready);
    Ok(daemon.stop().await?)
}
