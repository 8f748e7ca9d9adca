//! Tasks that are sent at fixed times.

use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{CatchUp, Firing, ScheduleRow, Store};
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::producer::{Draft, RawTask, SendOptions};

fn schedule(name: &str, next_at: DateTime<Utc>) -> ScheduleRow {
    ScheduleRow {
        name: name.to_owned(),
        cron: "@hourly".to_owned(),
        time_zone: "Europe/Zurich".to_owned(),
        task: "demo.add".to_owned(),
        args: "[1, 2.50]".to_owned(),
        kwargs: "{\"b\": 1, \"a\": 2}".to_owned(),
        priority: "low".to_owned(),
        creator_id: Some("ann".to_owned()),
        expires_ms: Some(1000),
        jitter_ms: 5,
        catch_up: CatchUp::Once,
        enabled: true,
        next_at: Some(next_at),
        last_at: None,
    }
}

fn draft(now: DateTime<Utc>) -> anyhow::Result<Draft> {
    let task = RawTask {
        name: TaskName::new("demo.add")?,
        args: "[1]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    Ok(Draft::new(task, SendOptions::new(), now)?)
}

async fn row(store: &dyn Store, name: &str) -> anyhow::Result<ScheduleRow> {
    let row = store.schedules(Some(name)).await?.pop();
    row.context("a schedule")
}

/// What it sends is in the outbox if and only if the schedule has been moved on.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_schedule_fires_once_for_a_time_however_many_try(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (one, other) = (site.another().await?, site.another().await?);
    let now = DateTime::from_timestamp(site.store().clock().await?.timestamp(), 0);
    let now = now.context("a time")?;
    let hour = TimeDelta::hours(1);
    ensure!(one.add_schedule(&schedule("a", now - hour)).await?);
    ensure!(one.add_schedule(&schedule("b", now + hour)).await?);
    ensure!(!one.add_schedule(&schedule("a", now)).await?);
    let due = other.due_schedules(&[], 10).await?;
    ensure!(due == [schedule("a", now - hour)], "{due:?}");

    let firing = |key: &str| -> anyhow::Result<Firing> {
        Ok(Firing {
            name: "a".to_owned(),
            was: now - hour,
            next: Some(now + hour),
            last: Some(now),
            tasks: vec![(key.to_owned(), draft(now)?)],
        })
    };
    let (first, second) = (firing("schedule:a:1")?, firing("schedule:a:2")?);
    let fired = tokio::try_join!(one.fire(&first), other.fire(&second))?;
    ensure!(fired.0 != fired.1, "{fired:?}");
    let sent = one.due_messages(&[], 10, 1_000_000).await?;
    ensure!(
        sent.len() == 1 && sent[0].key.starts_with("schedule:a:"),
        "{sent:?}"
    );
    let id = sent[0].message.content.headers.text("id");
    ensure!(
        one.task(id.context("an id")?).await?.is_some(),
        "its row is there"
    );
    let moved = row(&*one, "a").await?;
    ensure!((moved.next_at, moved.last_at) == (Some(now + hour), Some(now)));
    ensure!(one.due_schedules(&[], 10).await?.is_empty());
    Ok(())
}

/// And is not fired meanwhile.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_schedule_can_be_paused_resumed_and_removed(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let now = store.clock().await?;
    ensure!(store.add_schedule(&schedule("a", now)).await?);
    ensure!(store.enable_schedule("a", false, None).await?);
    ensure!(store.due_schedules(&[], 10).await?.is_empty());
    ensure!(!row(store, "a").await?.enabled);
    let firing = Firing {
        name: "a".to_owned(),
        was: now,
        next: None,
        last: None,
        tasks: vec![("k".to_owned(), draft(now)?)],
    };
    ensure!(!store.fire(&firing).await?, "it is paused");
    ensure!(store.outbox_state().await?.waiting == 0);
    ensure!(store.enable_schedule("a", true, Some(now)).await?);
    ensure!(store.due_schedules(&[], 10).await?.len() == 1);
    ensure!(store.remove_schedule("a").await?);
    for gone in [
        store.remove_schedule("a").await?,
        store.enable_schedule("a", true, None).await?,
        store.fire(&firing).await?,
    ] {
        ensure!(!gone);
    }
    store.put(&draft(now)?).await?;
    ensure!(store.outbox_state().await?.waiting == 1);
    Ok(())
}
