//! What is over goes when its time is over, and nothing else does.

use super::samples::{copy, copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use counterfoil_store::{Batch, ControlFilter, Cursor, Kept, KeptTasks};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::ids::{SessionId, TaskId, WorkerId};
use counterfoil_toolbox::message::Envelope;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Makes these tasks as old as if they had been sent, and last changed, so long ago.
async fn age(site: &StoreSite, ids: &[&TaskId], age: TimeDelta) -> anyhow::Result<()> {
    let at = text(site.store().clock().await? - age);
    let ids: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
    let ids = ids.join(", ");
    // The database leaves last_updated alone when only a lease is renewed.
    site.execute(&format!(
        "UPDATE background_task SET created_date = '{at}', last_updated = '{at}', lease_until = '{at}'
         WHERE task_id IN ({ids})"
    ))
    .await?;
    site.execute(&format!(
        "UPDATE background_task SET lease_until = NULL WHERE task_id IN ({ids})"
    ))
    .await
}

fn of_type(days: u32) -> KeptTasks {
    KeptTasks {
        which: Kept::OfType("demo.add".to_owned()),
        keep: DAY * days,
    }
}

/// Removes page by page, and returns how many tasks went.
async fn remove(site: &StoreSite, kept: &KeptTasks, page: u32) -> anyhow::Result<usize> {
    let (mut count, mut after): (usize, Option<Cursor>) = (0, None);
    loop {
        let removed = site.store().remove_old(kept, after.as_ref(), page).await?;
        count += removed.tasks;
        match removed.next {
            Some(next) => after = Some(next),
            None => return Ok(count),
        }
    }
}

async fn is_there(site: &StoreSite, id: &TaskId) -> anyhow::Result<bool> {
    Ok(site.store().task(id.as_str()).await?.is_some())
}

/// With result and history. Young, immutable and living tasks stay, tasks of other types and those that
/// say themselves how long they are kept.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_is_over_goes_whole_when_its_time_is_over(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let [old, second, young, touched, living, immutable, other, said] =
        std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    for id in [&old, &second, &young, &touched, &living, &immutable] {
        batch.track(&copy(id));
    }
    let name = |name: &str| name.parse().expect("a task name");
    batch.track(&copy_of(Envelope::new(other.clone(), name("demo.adder"))));
    let mut envelope = Envelope::new(said.clone(), name("demo.add"));
    envelope.retention = Some(DAY * 30);
    batch.track(&copy_of(envelope));
    for id in [&old, &second, &young, &touched, &immutable, &said] {
        batch.event(&event(id, lineage(0, 0, 0), TaskState::Success));
    }
    store.apply(&batch).await?;
    site.execute(&format!(
        "UPDATE background_task SET immutable = true WHERE task_id = '{immutable}'"
    ))
    .await?;
    let aged = [&old, &second, &touched, &living, &immutable, &other, &said];
    age(site, &aged, TimeDelta::days(9)).await?;
    age(site, &[&young], TimeDelta::days(7)).await?;
    site.execute(&format!(
        "UPDATE background_task SET held = true WHERE task_id = '{touched}'"
    ))
    .await?;

    ensure!(store.task_types().await? == ["demo.add", "demo.adder"]);
    ensure!(
        remove(site, &of_type(10), 2).await? == 0,
        "nothing is that old"
    );
    ensure!(remove(site, &of_type(8), 2).await? == 2);
    for (id, stays) in [
        (&old, false),
        (&second, false),
        (&young, true),
        (&touched, true),
        (&living, true),
        (&immutable, true),
        (&other, true),
        (&said, true),
    ] {
        ensure!(is_there(site, id).await? == stays, "{id}");
    }
    ensure!(store.history(&old).await?.is_empty() && store.result(&old, 0).await?.is_none());
    ensure!(store.history(&young).await?.len() == 2 && store.result(&young, 0).await?.is_some());
    Ok(())
}

/// Whatever the rules for their types are; who wants to be kept for ever is.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_says_how_long_it_is_kept_is_kept_so_long(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [short, long, ever] = std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    for (id, keep) in [(&short, DAY), (&long, DAY * 30), (&ever, Duration::MAX)] {
        let mut envelope = Envelope::new(id.clone(), "demo.add".parse().expect("a task name"));
        envelope.retention = Some(keep);
        batch.track(&copy_of(envelope));
        batch.event(&event(id, lineage(0, 0, 0), TaskState::Failure));
    }
    store.apply(&batch).await?;
    age(site, &[&short, &long, &ever], TimeDelta::days(2)).await?;
    let lengths = store.retentions().await?;
    ensure!(lengths == [DAY, DAY * 30], "{lengths:?}");
    for keep in lengths {
        let which = Kept::BySaying;
        remove(site, &KeptTasks { which, keep }, 100).await?;
    }
    ensure!(!is_there(site, &short).await?);
    ensure!(is_there(site, &long).await? && is_there(site, &ever).await?);
    Ok(())
}

/// A message may wait for years in the delay levels: while its row says that it was cancelled, workers are told
/// so again and again. What a worker has met is over.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_cancelled_task_stays_while_its_message_may_still_come(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [coming, aborted, met, due_lately, due_long_ago, at_once] =
        std::array::from_fn(|_| TaskId::random());
    let now = store.clock().await?;
    let mut batch = Batch::new();
    for (id, due_in, worker) in [
        (&coming, Some(300), None),
        (&aborted, Some(300), None),
        (&met, Some(300), Some("demo@host.1.00000000")),
        (&due_lately, Some(-80), None),
        (&due_long_ago, Some(-100), None),
        (&at_once, None, None),
    ] {
        let mut envelope = Envelope::new(id.clone(), "demo.add".parse()?);
        envelope.eta = due_in.map(|days| now + TimeDelta::days(days));
        batch.track(&copy_of(envelope));
        let mut revoked = event(id, lineage(0, 0, 0), TaskState::Revoked);
        revoked.worker = worker.map(WorkerId::new).transpose()?;
        let kind = match *id == aborted {
            true => FaultKind::Aborted,
            false => FaultKind::Cancelled,
        };
        revoked.error = Some(TaskFault::new(kind, "not wanted"));
        batch.event(&revoked);
    }
    store.apply(&batch).await?;
    let all = [
        &coming,
        &aborted,
        &met,
        &due_lately,
        &due_long_ago,
        &at_once,
    ];
    age(site, &all, TimeDelta::days(200)).await?;
    ensure!(remove(site, &of_type(30), 100).await? == 3);
    for (id, stays) in all.into_iter().zip([true, true, false, true, false, false]) {
        ensure!(is_there(site, id).await? == stays, "{id}");
    }
    Ok(())
}

/// Until all its subtasks were due workers are told that it was ended.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn the_end_of_a_session_is_told_while_a_subtask_may_still_come(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (store, id) = (site.store(), TaskId::random());
    let session_id = SessionId::new("long over")?;
    let now = store.clock().await?;
    let mut envelope = Envelope::new(id.clone(), "demo.add".parse()?);
    envelope.eta = Some(now + TimeDelta::days(300));
    envelope.session_id = Some(session_id.as_str().into());
    let mut revoked = event(&id, lineage(0, 0, 0), TaskState::Revoked);
    revoked.worker = None;
    revoked.error = Some(TaskFault::new(FaultKind::Aborted, "not wanted"));
    let mut batch = Batch::new();
    batch.track(&copy_of(envelope));
    batch.event(&revoked);
    let asked_at = now - TimeDelta::days(200);
    let order = batch.ask(Order::RevokeSession { session_id }, None, asked_at);
    store.apply(&batch).await?;
    let ago = text(asked_at);
    site.execute(&format!(
        "INSERT INTO session (id, action, status, policy, total, finalizer_id, finalizer_type, finalizer, finished_at)
         VALUES ('long over', 'export', 'ABORTED', 'complete', 1, 'f', 'demo.add', '{{}}', '{ago}')"
    ))
    .await?;
    site.execute(&format!(
        "INSERT INTO session_subtask (session_id, task_id, position, type)
         VALUES ('long over', '{id}', 0, 'demo.add')"
    ))
    .await?;
    store
        .mark_published(&[order], now - TimeDelta::days(4))
        .await?;
    let holds = async || -> anyhow::Result<usize> {
        store.end_controls(now, now - TimeDelta::days(90)).await?;
        Ok(store.controls(&ControlFilter::default()).await?.len())
    };
    ensure!(holds().await? == 1, "its subtask may still come");
    site.execute(&format!(
        "UPDATE background_task SET eta = '{ago}' WHERE task_id = '{id}'"
    ))
    .await?;
    ensure!(holds().await? == 0, "it was due long ago");
    Ok(())
}

/// A worker that was stopped for days tells of a task that is gone: what that leaves goes like the task.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_late_reports_leave_of_a_removed_task_goes_too(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.event(&event(&id, lineage(0, 0, 0), TaskState::Started));
    site.store().apply(&batch).await?;
    ensure!(remove(site, &of_type(1), 100).await? == 0, "it may live");
    age(site, &[&id], TimeDelta::days(2)).await?;
    ensure!(remove(site, &of_type(1), 100).await? == 1);
    Ok(())
}

/// In pages; what is young may still get a row.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_belongs_to_no_task_is_found_and_goes_when_it_is_old(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let ids: [TaskId; 5] = std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    for id in &ids {
        batch.track(&copy(id));
        batch.event(&event(id, lineage(0, 0, 0), TaskState::Success));
    }
    store.apply(&batch).await?;
    let (stray, other) = (&ids[1], &ids[3]);
    site.execute(&format!(
        "DELETE FROM background_task WHERE task_id IN ('{stray}', '{other}')"
    ))
    .await?;
    site.execute(&format!("DELETE FROM task_event WHERE task_id = '{other}'"))
        .await?;
    let (mut found, mut after): (Vec<TaskId>, Option<String>) = (Vec::new(), None);
    loop {
        let part = store.ids_without_row(after.as_deref(), 2).await?;
        found.extend(part.without_row);
        match part.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut wanted = vec![stray.clone(), other.clone()];
    wanted.sort();
    ensure!(found == wanted, "{found:?}");
    store.remove_strays(&found, DAY).await?;
    ensure!(store.history(stray).await?.len() == 2, "it is too young");
    let at = text(store.clock().await? - TimeDelta::days(2));
    site.execute(&format!("UPDATE task_event SET happened_at = '{at}'"))
        .await?;
    site.execute(&format!("UPDATE task_result SET date_done = '{at}'"))
        .await?;
    store.remove_strays(&ids, DAY).await?;
    ensure!(store.history(stray).await?.is_empty() && store.result(other, 0).await?.is_none());
    ensure!(store.history(&ids[0]).await?.len() == 2 && store.result(&ids[0], 0).await?.is_some());
    Ok(())
}

/// Where history is kept by months: those that are over for a week and hold nothing, and no others.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn months_of_which_nothing_is_left_are_dropped(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    ensure!(store.drop_empty_months().await? == 0, "all are coming ones");
    if !site.url().starts_with("postgres") {
        return Ok(());
    }
    for (month, next) in [("2024-01", "2024-02"), ("2024-02", "2024-03")] {
        let name = month.replace('-', "");
        site.execute(&format!(
            "CREATE TABLE task_event_{name} PARTITION OF task_event
             FOR VALUES FROM ('{month}-01T00:00:00Z') TO ('{next}-01T00:00:00Z')"
        ))
        .await?;
    }
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.event(&event(&id, lineage(0, 0, 0), TaskState::Success));
    store.apply(&batch).await?;
    site.execute("UPDATE task_event SET at = '2024-02-10T00:00:00Z'")
        .await?;
    ensure!(store.drop_empty_months().await? == 1);
    let left = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
        WHERE relname ~ '^task_event_2024[0-9]*$' AND relkind = 'r'";
    let left = site.text(left).await?.context("one is left")?;
    ensure!(left == "task_event_202402", "{left}");
    store.delete_tasks(std::slice::from_ref(&id), None).await?;
    ensure!(store.drop_empty_months().await? == 1);
    ensure!(store.drop_empty_months().await? == 0);
    Ok(())
}
