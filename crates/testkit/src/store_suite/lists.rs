//! Lists for people: cut short where they would take long, and counted.

use super::samples::{copy, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use counterfoil_store::{Batch, Counted, Cursor, TaskFilter, TaskOrder};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::{NoContext, Timestamp, Uuid};

/// Longer than any list of a test takes.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// An id that was made so many seconds after the start of 2026.
pub(super) fn id_at(seconds: u64) -> TaskId {
    let at = Timestamp::from_unix(NoContext, 1_767_225_600 + seconds, 0);
    TaskId::from(Uuid::new_v7(at))
}

/// The tasks of a page as their places in `ids`.
pub(super) async fn found(
    site: &StoreSite,
    ids: &[TaskId],
    filter: &TaskFilter,
) -> anyhow::Result<Vec<usize>> {
    let page = site.store().page(filter, LONG).await?;
    ensure!(page.cut_at.is_none(), "{filter:?}");
    let place = |id: &TaskId| ids.iter().position(|one| one == id).context("a stranger");
    page.tasks.iter().map(|row| place(&row.task_id)).collect()
}

/// So many finished tasks, one each second from 2020 on, written past the store.
async fn fill(site: &StoreSite, tasks: u32) -> anyhow::Result<()> {
    let (time, id) = match site.url().starts_with("sqlite") {
        true => (
            "strftime('%Y-%m-%dT%H:%M:%f000Z', 1577836800 + n, 'unixepoch')",
            "'00000000-0000-0000-0000-000000000000'",
        ),
        false => ("to_timestamp(1577836800 + n)", "gen_random_uuid()"),
    };
    site.execute(&format!(
        "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {tasks})
         INSERT INTO background_task (
             id, task_id, type, service, state, run, rescue, sticky, executions, deliveries, tries, rank,
             event_id, copy_run, copy_rescue, copy_executions, copy_digest, error_message, created_date
         )
         SELECT 'row' || n, 'task' || n, 'old.kind', 'old', 'SUCCESS', 0, 0, 2, 0, 0, 0, 90, {id}, 0, 0, 0, 0,
             'note ' || n, {time}
         FROM series"
    ))
    .await
}

/// Then only the nearest tasks are looked at, and one page leads to the next until all are.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_list_that_takes_too_long_says_where_it_was_cut(
    site: &StoreSite,
) -> anyhow::Result<()> {
    const TASKS: u32 = 50_000;
    fill(site, TASKS).await?;
    // With it the text would be found at once, on PostgreSQL.
    site.execute("DROP INDEX IF EXISTS background_task_error_part")
        .await?;
    for (order, wanted) in [
        (TaskOrder::NewestFirst, [12_346, 12_345]),
        (TaskOrder::OldestFirst, [12_345, 12_346]),
    ] {
        let mut filter = TaskFilter {
            text: Some("note 1234".to_owned()),
            order,
            ..TaskFilter::default()
        };
        let (mut seen, mut cuts) = (Vec::new(), 0);
        loop {
            let page = site.store().page(&filter, Duration::ZERO).await?;
            seen.extend(page.tasks.into_iter().map(|row| row.task_id.to_string()));
            let Some(place) = page.cut_at else { break };
            cuts += 1;
            ensure!(cuts < 5, "it does not end");
            filter.after = Some(place.to_string().parse()?);
        }
        // "note 1234", and those that go on: 12340 to 12349.
        ensure!(cuts == 2, "{order:?}: cut {cuts} times");
        ensure!(
            seen.len() == 11 && seen.iter().collect::<BTreeSet<_>>().len() == 11,
            "{seen:?}"
        );
        let place = |n: u32| seen.iter().position(|id| *id == format!("task{n}"));
        ensure!(place(wanted[0]) < place(wanted[1]), "{order:?}: {seen:?}");
    }
    // What was not in time is looked for on, not left out.
    let all = TaskFilter {
        text: Some("note 1234".to_owned()),
        ..TaskFilter::default()
    };
    ensure!(site.store().tasks(&all).await?.len() == 11);
    ensure!(site.store().page(&all, LONG).await?.cut_at.is_none());
    // A whole id is found wherever it is.
    let one = TaskFilter {
        text: Some("task7".to_owned()),
        ..TaskFilter::default()
    };
    let page = site.store().page(&one, Duration::ZERO).await?;
    ensure!(
        page.tasks.len() == 1 && page.tasks[0].id == "row7",
        "{page:?}"
    );
    Ok(())
}

/// The page is as full with it as without.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_a_whole_id_finds_far_away_hides_nothing_in_between(
    site: &StoreSite,
) -> anyhow::Result<()> {
    fill(site, 25_000).await?;
    site.execute("DROP INDEX IF EXISTS background_task_error_part")
        .await?;
    site.execute("UPDATE background_task SET task_id = 'note 1234' WHERE id = 'row7'")
        .await?;
    // Ten of them are near; then come "note 1234" itself, and the one of this id.
    let mut filter = TaskFilter {
        text: Some("note 1234".to_owned()),
        limit: 11,
        ..TaskFilter::default()
    };
    let page = site.store().page(&filter, Duration::ZERO).await?;
    let last = page.tasks.last().context("a row")?;
    ensure!(page.tasks.len() == 11 && last.id == "row7", "{page:?}");
    filter.after = Some(page.cut_at.context("there is more")?);
    let page = site.store().page(&filter, Duration::ZERO).await?;
    let ids: Vec<_> = page.tasks.iter().map(|row| row.id.as_str()).collect();
    ensure!(
        ids == ["row1234", "row7"] && page.cut_at.is_none(),
        "{ids:?}"
    );
    Ok(())
}

/// Up to ten thousand; above that, what the database knows without counting.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_count_is_exact_up_to_ten_thousand_and_says_so(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    let ids: Vec<TaskId> = (0..4).map(id_at).collect();
    ids.iter().for_each(|id| batch.track(&copy(id)));
    batch.event(&event(&ids[0], lineage(0, 0, 0), TaskState::Started));
    site.store().apply(&batch).await?;
    fill(site, 10_000).await?;
    let count = async |filter: TaskFilter| site.store().count_tasks(&filter).await;
    let all = TaskFilter::default;
    let old = || TaskFilter {
        service: Some("old".to_owned()),
        ..all()
    };
    ensure!(count(old()).await? == Counted::Exactly(10_000));
    // However the page is asked for.
    let place = site.store().task(ids[1].as_str()).await?.context("a row")?;
    let page = TaskFilter {
        state: Some(TaskState::Pending),
        after: Some(Cursor::after(&place)),
        limit: 1,
        ..all()
    };
    ensure!(count(page).await? == Counted::Exactly(3));
    site.execute("ANALYZE").await?;
    let many = count(all()).await?;
    match site.url().starts_with("sqlite") {
        true => ensure!(many == Counted::MoreThan(10_000), "{many:?}"),
        false => ensure!(matches!(many, Counted::About(10_001..10_100)), "{many:?}"),
    }
    let living = site.store().count_living().await?;
    let living: Vec<_> = living.iter().map(|it| (it.state, it.tasks)).collect();
    let some = [
        (TaskState::Pending, Counted::Exactly(3)),
        (TaskState::Started, Counted::Exactly(1)),
    ];
    ensure!(some.iter().all(|one| living.contains(one)), "{living:?}");
    let others = living.iter().filter(|one| !some.contains(one));
    let others: Vec<_> = others.collect();
    ensure!(
        others
            .iter()
            .all(|(state, count)| !state.is_terminal() && *count == Counted::Exactly(0))
    );
    ensure!(others.len() == 4, "{others:?}");
    Ok(())
}

/// In both orders, with a limit, from a place on, and where nothing has succeeded.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_succeeded_of_a_service_is_found_below_all_that_waits(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let ids: Vec<TaskId> = (0..8).map(id_at).collect();
    let mut filter = TaskFilter {
        service: Some("demo".to_owned()),
        state: Some(TaskState::Success),
        ..TaskFilter::default()
    };
    let mut batch = Batch::new();
    ids.iter().for_each(|id| batch.track(&copy(id)));
    store.apply(&batch).await?;
    ensure!(found(site, &ids, &filter).await?.is_empty());
    let mut batch = Batch::new();
    for id in [&ids[1], &ids[2], &ids[4]] {
        batch.event(&event(id, lineage(0, 0, 0), TaskState::Success));
    }
    store.apply(&batch).await?;
    ensure!(found(site, &ids, &filter).await? == [4, 2, 1]);
    filter.limit = 2;
    ensure!(found(site, &ids, &filter).await? == [4, 2]);
    let last = store.page(&filter, LONG).await?;
    filter.after = last.tasks.last().map(Cursor::after);
    ensure!(found(site, &ids, &filter).await? == [1]);
    filter.order = TaskOrder::OldestFirst;
    ensure!(found(site, &ids, &filter).await? == [4]);
    filter.after = None;
    ensure!(found(site, &ids, &filter).await? == [1, 2]);
    Ok(())
}
