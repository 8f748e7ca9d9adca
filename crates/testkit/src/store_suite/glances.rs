//! What a page shows at once is some of a list, or a count that ends somewhere.

use super::lists::id_at;
use super::samples::{copy, copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::ensure;
use chrono::TimeDelta;
use counterfoil_store::{Batch, DeadLetter, Delayed, Parked};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, LogLine};
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;

/// The first of a family, the last of a history and of a log; and whether there is more.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn of_something_large_a_part_is_read_which_says_that_there_is_more(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..5).map(id_at).collect();
    let root = &ids[0];
    let mut batch = Batch::new();
    for (id, parent) in ids.iter().skip(1).zip(&ids) {
        let mut envelope = Envelope::new(id.clone(), TaskName::new("demo.tree")?);
        (envelope.root_id, envelope.parent_id) = (root.clone(), Some(parent.clone()));
        batch.track(&copy_of(envelope));
    }
    batch.track(&copy(root));
    for n in 0..4 {
        batch.event(&event(root, lineage(0, n, 0), TaskState::Started));
        let mut line = event(root, lineage(0, n, 0), TaskState::Started);
        line.kind = EventKind::Log;
        line.at += TimeDelta::seconds(n.into());
        line.log = Some(LogLine {
            level: "info".into(),
            message: n.to_string(),
            fields: serde_json::Map::new(),
        });
        batch.event(&line);
    }
    site.store().apply(&batch).await?;
    for (limit, has_more) in [(2, true), (5, false), (9, false)] {
        let family = site.store().first_of_family(root, limit).await?;
        let found: Vec<_> = family.rows.iter().map(|row| row.task_id.clone()).collect();
        ensure!(found[..] == ids[..ids.len().min(usize::try_from(limit)?)]);
        ensure!(family.has_more == has_more, "{limit}");
    }
    let log = site.store().last_of_log(root, 3).await?;
    let told: Vec<_> = log.rows.iter().map(|line| &*line.message).collect();
    ensure!(told == ["1", "2", "3"] && log.has_more, "{log:?}");
    ensure!(!site.store().last_of_log(root, 4).await?.has_more);
    // Four starts and the sending.
    let history = site.store().last_of_history(root, 2).await?;
    let executions: Vec<_> = history.rows.iter().map(|line| line.executions).collect();
    ensure!(executions == [2, 3] && history.has_more, "{history:?}");
    let history = site.store().last_of_history(root, 5).await?;
    ensure!(history.rows.len() == 5 && !history.has_more, "{history:?}");
    Ok(())
}

/// Since when, and no more of each than is asked for. What is over and what others run is none of it.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_a_worker_runs_is_told_with_the_start_of_its_attempt(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..6).map(id_at).collect();
    let mut batch = Batch::new();
    let mut started = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        batch.track(&copy(id));
        let before = event(id, lineage(0, 0, 0), TaskState::Started);
        let mut start = event(id, lineage(0, 1, 0), TaskState::Started);
        start.at += TimeDelta::seconds(3);
        start.worker = WorkerId::new(if place == 3 { "other" } else { "this" }).ok();
        started.push(start.at);
        batch.event(&before);
        batch.event(&start);
    }
    let mut progress = event(&ids[1], lineage(0, 1, 0), TaskState::Progress);
    progress.worker = WorkerId::new("this").ok();
    batch.event(&progress);
    batch.event(&event(&ids[4], lineage(0, 1, 0), TaskState::Success));
    site.store().apply(&batch).await?;
    let running = site.store().running(&["this", "nobody"], 10).await?;
    let found: Vec<_> = running
        .iter()
        .map(|task| (task.id.clone(), task.started_at))
        .collect();
    let mut expected = Vec::new();
    for place in [0, 1, 2, 5] {
        let id = site.store().public_id(&ids[place])?;
        expected.push((id, Some(started[place])));
    }
    ensure!(found == expected, "{running:#?} instead of {expected:#?}");
    let first = site.store().running(&["this", "other"], 1).await?;
    let workers: Vec<_> = first.iter().map(|task| &*task.worker).collect();
    ensure!(workers == ["other", "this"], "{first:?}");
    ensure!(site.store().running(&[], 10).await?.is_empty());
    Ok(())
}

/// Those that wait for their time, and those that are retried at one.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn tasks_that_wait_for_a_time_are_counted_by_service(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let now = site.store().clock().await?;
    let mut batch = Batch::new();
    for (name, minutes) in [
        ("demo.add", Some(10)),
        ("demo.add", Some(5)),
        ("demo.add", Some(-5)),
        ("demo.add", None),
        ("export.project", None),
        ("mail.send", Some(60)),
    ] {
        let mut envelope = Envelope::new(TaskId::random(), TaskName::new(name)?);
        envelope.eta = minutes.map(|minutes| now + TimeDelta::minutes(minutes));
        batch.track(&copy_of(envelope));
    }
    let retried = TaskId::random();
    batch.track(&copy(&retried));
    let mut retry = event(&retried, lineage(0, 0, 0), TaskState::Retry);
    retry.retry_at = Some(now + TimeDelta::minutes(1));
    batch.event(&retry);
    site.store().apply(&batch).await?;
    let Delayed { services, is_whole } = site.store().delayed().await?;
    let told: Vec<_> = services
        .iter()
        .map(|of| (&*of.service, of.tasks, of.next_at))
        .collect();
    let after = |minutes| Some(now + TimeDelta::minutes(minutes));
    ensure!(
        told == [("demo", 3, after(1)), ("mail", 1, after(60))],
        "{told:?}"
    );
    ensure!(is_whole);
    Ok(())
}

/// Of the newest; what was taken out of a dead queue is none of it.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn deaths_are_counted_by_service_and_time_and_parked_messages_up_to_a_number(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let now = site.store().clock().await?;
    let letter = |service: &str, minutes: i64| DeadLetter {
        service: service.into(),
        reason: "exhausted".into(),
        reason_text: None,
        task_id: None,
        name: None,
        lineage: lineage(0, 0, 0),
        died_at: Some(now - TimeDelta::minutes(minutes)),
        message: copy(&TaskId::random()).message,
    };
    let mut batch = Batch::new();
    for (service, minutes) in [
        ("demo", 1),
        ("demo", 2),
        ("demo", 30),
        ("demo", 90),
        ("mail", 40),
    ] {
        batch.dead(letter(service, minutes));
    }
    let taken = letter("demo", 3);
    batch.dead(taken.clone());
    for _ in 0..3 {
        batch.park(Parked {
            queue: "platform.fifo".into(),
            reason: "too large".into(),
            task_id: None,
            name: None,
            message: copy(&TaskId::random()).message,
            waits: false,
        });
    }
    site.store().apply(&batch).await?;
    let mut batch = Batch::new();
    batch.handle_dead(taken);
    site.store().apply(&batch).await?;
    let died = async |most| -> anyhow::Result<Vec<(String, i64, i64)>> {
        let (since, lately) = (now - TimeDelta::hours(1), now - TimeDelta::minutes(10));
        let counts = site.store().died_since(since, lately, most).await?;
        let told = counts.into_iter();
        Ok(told
            .map(|count| (count.service, count.letters, count.lately))
            .collect())
    };
    let all = died(100).await?;
    ensure!(
        all == [("demo".into(), 3, 2), ("mail".into(), 1, 0)],
        "{all:?}"
    );
    let newest = died(3).await?;
    ensure!(newest == [("demo".into(), 3, 2)], "{newest:?}");
    ensure!(site.store().count_parked(100).await? == 3);
    ensure!(site.store().count_parked(2).await? == 2);
    Ok(())
}
