//! Tasks that are sent at fixed times.

use crate::support::{SOON, World, on_both_pairs};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use counterfoil_store::{CatchUp, ScheduleRow};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::names::ServiceName;
use std::collections::BTreeSet;

on_both_pairs!(
    each_time_is_fired_for_once_though_daemons_come_and_go,
    what_cannot_be_read_fires_nothing_and_keeps_nobody_from_firing,
);

fn every_minute(name: &str, next_at: DateTime<Utc>) -> ScheduleRow {
    ScheduleRow {
        name: name.to_owned(),
        cron: "* * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        task: "demo.add".to_owned(),
        args: "[1, 2]".to_owned(),
        kwargs: "{}".to_owned(),
        priority: "normal".to_owned(),
        creator_id: None,
        expires_ms: None,
        jitter_ms: 0,
        catch_up: CatchUp::All,
        enabled: true,
        next_at: Some(next_at),
        last_at: None,
    }
}

/// Waits until the schedule fires next in the future, and returns it.
async fn fired(world: &World, name: &str) -> anyhow::Result<ScheduleRow> {
    eventually("the schedule to be moved on", SOON, async || {
        let row = world.store.schedules(Some(name)).await?.pop();
        let now = world.store.clock().await?;
        Ok(row.filter(|row| row.next_at.is_some_and(|next| next > now)))
    })
    .await
}

async fn each_time_is_fired_for_once_though_daemons_come_and_go(
    world: World,
) -> anyhow::Result<()> {
    let now = world
        .store
        .clock()
        .await?
        .duration_trunc(TimeDelta::minutes(1))?;
    let first = now - TimeDelta::minutes(30);
    for n in 0..5 {
        let row = every_minute(&format!("s{n}"), first);
        assert!(world.store.add_schedule(&row).await?);
        assert!(!world.store.add_schedule(&row).await?, "it is there");
    }
    let (one, other) = (world.daemon(), world.daemon());
    fired(&world, "s0").await?;
    one.crash().await;
    let third = world.daemon();
    let mut wanted = 0;
    for n in 0..5 {
        let row = fired(&world, &format!("s{n}")).await?;
        let last = row.last_at.expect("it has fired");
        assert!(last >= now, "{row:?}");
        wanted += usize::try_from((last - first).num_minutes() + 1)?;
    }
    eventually("the outbox to be empty", SOON, async || {
        let state = world.store.outbox_state().await?;
        Ok((state.waiting == 0).then_some(()))
    })
    .await?;
    let keys = world
        .store
        .counts_by_state(None)
        .await?
        .into_iter()
        .filter(|count| count.state == TaskState::Pending)
        .map(|count| count.tasks)
        .sum::<i64>();
    let queue = world.names.service_queue(&ServiceName::new("demo")?);
    let depth = world
        .transport
        .depth(&queue)
        .await?
        .expect("the queue")
        .ready;
    // Another minute may have begun meanwhile.
    let wanted = i64::try_from(wanted)?;
    assert!(
        (wanted..wanted + 10).contains(&keys),
        "{keys} rows, {wanted} times"
    );
    // A crash of the relay may send one once more.
    assert!(i64::from(depth) >= wanted, "{depth} messages");
    let ids: BTreeSet<_> = world.rows().await?.into_iter().collect();
    assert_eq!(i64::try_from(ids.len())?, keys);
    other.stop().await?;
    Ok(third.stop().await?)
}

async fn what_cannot_be_read_fires_nothing_and_keeps_nobody_from_firing(
    world: World,
) -> anyhow::Result<()> {
    let now = world
        .store
        .clock()
        .await?
        .duration_trunc(TimeDelta::minutes(1))?;
    for (name, break_it) in [
        (
            "cron",
            (|row| row.cron = "never".to_owned()) as fn(&mut ScheduleRow),
        ),
        ("zone", |row| row.time_zone = "Atlantis".to_owned()),
        ("task", |row| row.task = "de mo".to_owned()),
        ("paused", |row| row.enabled = false),
    ] {
        let mut row = every_minute(name, now - TimeDelta::minutes(5));
        break_it(&mut row);
        world.store.add_schedule(&row).await?;
    }
    // More than are read together.
    for n in 0..150 {
        let mut row = every_minute(&format!("{n}"), now - TimeDelta::minutes(5));
        row.time_zone = "Atlantis".to_owned();
        world.store.add_schedule(&row).await?;
    }
    world.store.add_schedule(&every_minute("good", now)).await?;
    let daemon = world.daemon();
    fired(&world, "good").await?;
    for name in ["cron", "zone", "task", "paused"] {
        let row = world.store.schedules(Some(name)).await?.pop();
        let row = row.expect("it is kept");
        assert_eq!(
            (row.next_at, row.last_at),
            (Some(now - TimeDelta::minutes(5)), None)
        );
    }
    Ok(daemon.stop().await?)
}
