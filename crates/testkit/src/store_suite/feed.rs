//! The feed of changes: whoever follows it misses nothing, and is told when that cannot be promised.

use super::samples::{copy, event, lineage};
use super::site::StoreSite;
use crate::Application;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, Changed, Changes, FeedPosition, Store};
use counterfoil_toolbox::event::{Event, EventKind, LogLine};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::producer::{RawTask, SendOptions};
use counterfoil_toolbox::{TaskName, TaskState};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// What has changed since, if that can be told.
pub(super) async fn told(store: &dyn Store, since: &FeedPosition) -> anyhow::Result<Changed> {
    match store.changes_since(since).await? {
        Changes::Since(changed) => Ok(changed),
        Changes::TooOld(_) => anyhow::bail!("{since} is too old"),
    }
}

pub(super) async fn is_too_old(store: &dyn Store, since: &FeedPosition) -> anyhow::Result<bool> {
    Ok(matches!(
        store.changes_since(since).await?,
        Changes::TooOld(_)
    ))
}

/// A place in the feed behind which nothing is missing, as long as it is marked no more.
pub(super) async fn marked(store: &dyn Store) -> anyhow::Result<FeedPosition> {
    store.mark_changes(Uuid::now_v7()).await?;
    Ok(store.feed_position().await?)
}

pub(super) fn public(store: &dyn Store, ids: &[&TaskId]) -> anyhow::Result<BTreeSet<String>> {
    let ids = ids.iter().map(|id| Ok(store.public_id(id)?));
    ids.collect()
}

/// Once, whatever it was: a row, its history or its log. What is written again changes nothing.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_changes_is_told_once(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let [one, other] = std::array::from_fn(|_| TaskId::random());
    let start = marked(store).await?;
    let mut batch = Batch::new();
    batch.track(&copy(&one));
    batch.track(&copy(&other));
    store.apply(&batch).await?;
    let both = public(store, &[&one, &other])?;
    let first = told(store, &start).await?;
    ensure!(first.tasks == both && first.sessions.is_empty() && first.deleted.is_empty());
    ensure!(told(store, &start).await?.tasks == both, "whoever asks");
    let rows = store.tasks_with_public_ids(&Vec::from_iter(both)).await?;
    ensure!(rows.len() == 2, "{rows:?}");

    batch.event(&event(&one, lineage(0, 0, 0), TaskState::Success));
    store.apply(&batch).await?;
    let second = told(store, &first.position).await?;
    ensure!(second.tasks == public(store, &[&one])?, "{second:?}");
    store.apply(&batch).await?;
    let third = told(store, &second.position).await?;
    ensure!(third.is_empty(), "{third:?}");

    let name = TaskName::new("demo.add")?;
    let attempt = lineage(0, 0, 0);
    let now = store.clock().await?;
    let mut line = Event::new(other.clone(), name, attempt, EventKind::Log, now);
    line.log = Some(LogLine {
        level: "info".into(),
        message: "half of it".to_owned(),
        fields: serde_json::Map::new(),
    });
    let mut batch = Batch::new();
    batch.event(&line);
    store.apply(&batch).await?;
    let fourth = told(store, &third.position).await?;
    ensure!(fourth.tasks == public(store, &[&other])?, "{fourth:?}");

    store.delete_tasks(std::slice::from_ref(&one), None).await?;
    let fifth = told(store, &fourth.position).await?;
    ensure!(
        fifth.deleted == public(store, &[&one])? && fifth.tasks.is_empty(),
        "{fifth:?}"
    );
    Ok(())
}

/// Nor does it hold others up.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_transaction_that_began_earlier_and_commits_later_is_told(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let start = marked(store).await?;
    let application = Application::connect(site.url()).await?;
    let mut transaction = application.begin().await?;
    let task = RawTask {
        name: TaskName::new("demo.add")?,
        args: "[1]".to_owned(),
        kwargs: "{}".to_owned(),
    };
    let sent = store.send_raw_in(transaction.connection(), task, SendOptions::new());
    let early = sent.await?;
    let late = TaskId::random();
    let apply = async || {
        let mut batch = Batch::new();
        batch.track(&copy(&late));
        store.apply(&batch).await
    };
    // SQLite has one writer at a time.
    let together = !site.url().starts_with("sqlite");
    let mut seen = told(store, &start).await?;
    ensure!(seen.is_empty(), "{seen:?}");
    if together {
        apply().await?;
        seen = told(store, &seen.position).await?;
        ensure!(seen.tasks == public(store, &[&late])?, "{seen:?}");
    }
    transaction.commit().await?;
    seen = told(store, &seen.position).await?;
    ensure!(seen.tasks == public(store, &[&early])?, "{seen:?}");
    if !together {
        apply().await?;
        seen = told(store, &seen.position).await?;
        ensure!(seen.tasks == public(store, &[&late])?, "{seen:?}");
    }
    ensure!(told(store, &seen.position).await?.is_empty());
    Ok(())
}

/// By four writers, to somebody who asks all the while and comes back with the text of a position.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn whatever_is_written_at_the_same_time_is_told_exactly_once(
    site: &StoreSite,
) -> anyhow::Result<()> {
    const WRITERS: usize = 4;
    const BATCHES: usize = 25;
    let store = site.store();
    let mut position = marked(store).await?;
    let ids: Vec<TaskId> = (0..WRITERS * BATCHES).map(|_| TaskId::random()).collect();
    let write = async |ids: &[TaskId]| -> anyhow::Result<()> {
        let own = site.another().await?;
        for id in ids {
            let mut batch = Batch::new();
            batch.track(&copy(id));
            own.apply(&batch).await?;
        }
        Ok(())
    };
    let writers = futures::future::try_join_all(ids.chunks(BATCHES).map(write));
    let mut all = BTreeSet::new();
    let mut follow = async || -> anyhow::Result<usize> {
        position = position.to_string().parse()?;
        let changed = told(store, &position).await?;
        position = changed.position;
        for id in changed.tasks {
            ensure!(all.insert(id), "one is told twice");
        }
        Ok(all.len())
    };
    tokio::pin!(writers);
    loop {
        tokio::select! {
            done = &mut writers => { done?; break; }
            seen = follow() => { seen?; }
        }
    }
    ensure!(follow().await? == ids.len());
    ensure!(all == public(store, &Vec::from_iter(&ids))?);
    Ok(())
}

/// What was seen ten minutes ago goes; whoever has not looked since is told so, and whoever has goes on.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn whoever_is_too_far_behind_is_told_to_read_everything_anew(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let apply = async || -> anyhow::Result<TaskId> {
        let id = TaskId::random();
        let mut batch = Batch::new();
        batch.track(&copy(&id));
        store.apply(&batch).await?;
        Ok(id)
    };
    let behind = marked(store).await?;
    for _ in 0..3 {
        apply().await?;
    }
    let ahead = marked(store).await?;
    let last = apply().await?;
    marked(store).await?;
    ensure!(
        store.forget_changes(TEN_MINUTES, 0).await? == 0,
        "all young"
    );
    ensure!(told(store, &behind).await?.tasks.len() == 4);

    for (mark, minutes) in [(&behind, 30), (&ahead, 20)] {
        let at = store.clock().await? - chrono::TimeDelta::minutes(minutes);
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let text = mark.to_string();
        let (id, _) = text.split_once('.').context("a mark")?;
        let id: Uuid = id.parse()?;
        let aged = format!("UPDATE task_change_mark SET at = '{at}' WHERE id = '{id}'");
        site.execute(&aged).await?;
    }
    ensure!(store.forget_changes(TEN_MINUTES, 2).await? == 2, "a page");
    ensure!(is_too_old(store, &behind).await?, "before all is gone");
    ensure!(store.forget_changes(TEN_MINUTES, 2).await? == 1);
    ensure!(store.forget_changes(TEN_MINUTES, 2).await? == 0);
    let Changes::TooOld(fresh) = store.changes_since(&behind).await? else {
        anyhow::bail!("{behind} is told what is left");
    };
    ensure!(told(store, &fresh).await?.is_empty());
    ensure!(told(store, &ahead).await?.tasks == public(store, &[&last])?);
    Ok(())
}

/// As after a crash of PostgreSQL. Nor is more told than anybody wants to read one by one.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_feed_that_was_emptied_or_tells_too_much_is_read_anew(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let unmarked = store.feed_position().await?;
    ensure!(
        told(store, &unmarked).await?.is_empty(),
        "nothing was there"
    );
    let before = marked(store).await?;
    ensure!(
        is_too_old(store, &unmarked).await?,
        "nobody knows since when"
    );
    for table in ["task_change", "task_change_mark"] {
        site.execute(&format!("DELETE FROM {table}")).await?;
    }
    ensure!(is_too_old(store, &before).await?);
    let elsewhere: FeedPosition = "01938c5e000070008000000000000001.1:1:".parse()?;
    ensure!(is_too_old(store, &elsewhere).await?);

    let position = marked(store).await?;
    let many = match site.url().starts_with("sqlite") {
        true => "'[]', 100001",
        false => "'{}', 100001",
    };
    let change = "INSERT INTO task_change (kind, ids, id_count) VALUES";
    site.execute(&format!("{change} ('task', {many})")).await?;
    ensure!(is_too_old(store, &position).await?);
    Ok(())
}
