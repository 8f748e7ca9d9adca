//! Sessions that end before their subtasks do.

use super::stage::{Site, time_out, told};
use crate::store_suite::samples::{copy_of, event, lineage};
use crate::store_suite::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{SecondsFormat, TimeDelta};
use counterfoil_store::{Batch, ControlFilter, KeptSessions, SubtaskRow, TimeOut};
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::session::SessionStatus;
use counterfoil_toolbox::{TaskName, TaskState};
use std::time::Duration;

/// Nothing is said of any subtask by that: those are over when their workers say so, or the daemon knows.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn an_aborted_session_is_over_when_its_subtasks_are(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 4).await?;
    let store = site.store();
    let running = told(&session.opening, 1, 0, TaskState::Started);
    session.tell(&[running]).await?;
    ensure!(store.aborting_sessions(0).await?.is_empty());
    abort(&session).await?;
    let row = session.row().await?;
    ensure!(
        row.status == SessionStatus::Aborting && row.attempted() == 0,
        "{row:?}"
    );
    ensure!(row.aborted_by.as_deref() == Some("bob"));
    let asked = ControlFilter {
        subject: Some(row.id.to_string()),
        kind: Some("revoke_session".to_owned()),
        ..ControlFilter::default()
    };
    let asked = store.controls(&asked).await?;
    let [asked] = &asked[..] else {
        anyhow::bail!("{asked:?}");
    };
    let aborting = async || anyhow::Ok(store.aborting_sessions(0).await?.pop());
    let known = aborting().await?.context("it is open")?;
    ensure!((&known.id, known.told_at) == (&row.id, None), "{known:?}");
    let now = store.clock().await?;
    store.mark_published(&[asked.id], now).await?;
    let known = aborting().await?.context("it is open")?;
    ensure!(known.told_at == Some(now), "{known:?} {now}");
    // What the daemon writes off: none of it is of one that runs.
    let left = store.unfinished_subtasks(&row.id, None, 0).await?;
    let waiting: Vec<_> = left.into_iter().filter(|it| it.waits()).collect();
    ensure!(waiting.iter().map(|it| it.position).eq([0, 2, 3]));
    let mut batch = Batch::new();
    batch.revoke_subtasks(&row.id, &waiting, now);
    store.apply(&batch).await?;
    store.apply(&batch).await?;
    let row = session.row().await?;
    ensure!((row.failed, row.revoked) == (3, 3), "{row:?}");
    // A success of one of them counts as long as the session is open, and nothing else does.
    let late = [
        told(&session.opening, 0, 0, TaskState::Started),
        told(&session.opening, 2, 0, TaskState::Success),
    ];
    session.tell(&late).await?;
    let row = session.row().await?;
    ensure!(
        (row.succeeded, row.failed, row.revoked) == (1, 2, 2),
        "{row:?}"
    );
    let stopped = told(&session.opening, 1, 0, TaskState::Revoked);
    session.tell(&[stopped]).await?;
    let row = session.row().await?;
    ensure!(row.status == SessionStatus::Aborted, "{row:?}");
    ensure!((row.failed, row.revoked) == (3, 3), "{row:?}");
    ensure!(store.aborting_sessions(0).await?.is_empty());
    let summary = session.summary().await?.context("its finalizer runs")?;
    ensure!(summary["status"] == "ABORTED" && summary["revoked"] == 3);
    ensure!(summary["subtasks"][0]["error_kind"] == FaultKind::Aborted.as_str());
    // What is over cannot be aborted.
    abort(&session).await?;
    ensure!(session.row().await?.status == SessionStatus::Aborted);
    Ok(())
}

/// Whoever aborts it; everything is written twice.
async fn abort(session: &Site<'_>) -> anyhow::Result<()> {
    let store = session.site.store();
    let mut batch = Batch::new();
    batch.abort_session(&session.opening.id, Some("bob"), store.clock().await?);
    store.apply(&batch).await?;
    store.apply(&batch).await?;
    Ok(())
}

/// Also while they are aborted and wait for their subtasks.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn sessions_are_counted_until_they_are_over(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    ensure!(store.open_sessions().await? == 0);
    let (first, second) = (Site::opened(site, 1).await?, Site::opened(site, 1).await?);
    ensure!(store.open_sessions().await? == 2);
    abort(&first).await?;
    ensure!(store.open_sessions().await? == 2);
    first.all(TaskState::Revoked).await?;
    ensure!(store.open_sessions().await? == 1);
    second.all(TaskState::Success).await?;
    ensure!(store.open_sessions().await? == 0);
    Ok(())
}

/// Of those that are open: whatever no tracking copy and no worker tells of. Of those that are over: whatever
/// only the platform itself has ended.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn subtasks_that_were_never_sent_are_counted(site: &StoreSite) -> anyhow::Result<()> {
    let session = Site::opened(site, 3).await?;
    let (store, id) = (site.store(), &session.opening.id);
    ensure!(store.unsent_subtasks(id).await? == 3);
    let mut ran = told(&session.opening, 0, 0, TaskState::Success);
    ran.worker = Some(WorkerId::new("demo@h.7.0a0b0c0d")?);
    session.tell(&[ran]).await?;
    let sent = session.opening.subtasks[1].id.clone();
    let mut envelope = Envelope::new(sent.clone(), TaskName::new("demo.add")?);
    envelope.session_id = Some(id.as_str().into());
    let mut batch = Batch::new();
    batch.track(&copy_of(envelope));
    store.apply(&batch).await?;
    ensure!(store.unsent_subtasks(id).await? == 1);
    time_out(&session).await?;
    ensure!(session.row().await?.status == SessionStatus::TimedOut);
    ensure!(store.unsent_subtasks(id).await? == 1);
    let was_sent = |rows: Vec<SubtaskRow>| rows.into_iter().map(|row| row.was_sent);
    let rows = store.subtasks(id, None, 0).await?;
    ensure!(was_sent(rows).eq([true, true, false]));
    // What was removed since is not taken for unsent.
    ensure!(store.delete_tasks(&[sent], None).await?.len() == 1);
    ensure!(store.unsent_subtasks(id).await? == 1);
    Ok(())
}

/// Also those of which nothing was ever heard.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_whose_time_is_over_ends_with_what_is_missing_as_failed(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 3).await?;
    session
        .tell(&[
            told(&session.opening, 0, 0, TaskState::Success),
            told(&session.opening, 1, 0, TaskState::Started),
        ])
        .await?;
    let store = site.store();
    let hour = Duration::from_secs(3600);
    ensure!(store.overdue_sessions(hour, hour, 0).await?.is_empty());
    ensure!(
        store
            .overdue_sessions(Duration::ZERO, hour, 0)
            .await?
            .is_empty()
    );
    let overdue = store.overdue_sessions(Duration::ZERO, Duration::ZERO, 0);
    ensure!(overdue.await?.iter().eq([&session.opening.id]));
    let rows = store
        .unfinished_subtasks(&session.opening.id, None, 0)
        .await?;
    ensure!(rows.iter().map(|one| one.position).eq([1, 2]));
    time_out(&session).await?;
    let row = session.row().await?;
    ensure!(row.status == SessionStatus::TimedOut, "{row:?}");
    ensure!((row.succeeded, row.failed) == (1, 2));
    let summary = session.summary().await?.context("its finalizer runs")?;
    for missing in [1, 2] {
        let kind = &summary["subtasks"][missing]["error_kind"];
        ensure!(*kind == FaultKind::SessionTimeout.as_str(), "{summary:#}");
    }
    let task = store.task(session.opening.subtasks[2].id.as_str()).await?;
    let task = task.context("a row for a task that was never sent")?;
    ensure!(task.state == TaskState::Failure && task.name == "demo.add");
    // It is known by its own end now; the session has told its finalizer already.
    session.all(TaskState::Success).await?;
    ensure!(session.row().await?.failed == 2);
    ensure!(
        store
            .overdue_sessions(Duration::ZERO, Duration::ZERO, 0)
            .await?
            .is_empty()
    );
    Ok(())
}

/// Neither one that is open nor one of whose tasks a row is left.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_goes_after_the_last_of_its_tasks(site: &StoreSite) -> anyhow::Result<()> {
    let (session, open) = (Site::opened(site, 2).await?, Site::opened(site, 1).await?);
    session.all(TaskState::Success).await?;
    let ids = [&session, &open].map(|site| site.opening.id.clone());
    let store = site.store();
    ensure!(
        store.remove_sessions(&ids).await? == 0,
        "its tasks have rows"
    );
    let subtasks = session.opening.subtasks.iter();
    let subtasks: Vec<_> = subtasks.map(|subtask| subtask.id.clone()).collect();
    let finalizer = session.opening.finalizer.id.clone();
    let mut batch = Batch::new();
    batch.event(&event(&finalizer, lineage(0, 0, 0), TaskState::Success));
    store.apply(&batch).await?;
    ensure!(store.delete_tasks(&subtasks, None).await?.len() == 2);
    ensure!(
        store.remove_sessions(&ids).await? == 0,
        "so has its finalizer"
    );
    store.delete_tasks(&[finalizer], None).await?;
    ensure!(store.remove_sessions(&ids).await? == 1);
    ensure!(store.session(&ids[0]).await?.is_none());
    ensure!(store.subtasks(&ids[0], None, 10).await?.is_empty());
    ensure!(open.row().await?.status == SessionStatus::Ongoing);
    ensure!(store.subtasks(&ids[1], None, 10).await?.len() == 1);
    Ok(())
}

/// As if it had begun so many days ago, and had ended at once if at all.
async fn age(session: &Site<'_>, days: i64) -> anyhow::Result<()> {
    let at = session.site.store().clock().await? - TimeDelta::days(days);
    let (id, at) = (
        &session.opening.id,
        at.to_rfc3339_opts(SecondsFormat::Micros, true),
    );
    for (time, of) in [
        ("started_at", ""),
        ("finished_at", " AND finished_at IS NOT NULL"),
    ] {
        let update = format!("UPDATE session SET {time} = '{at}' WHERE id = '{id}'{of}");
        session.site.execute(&update).await?;
    }
    Ok(())
}

/// Those alone that are over for so long, by the type of their finalizers, page by page.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn old_sessions_are_found_by_how_long_those_of_their_finalizers_are_kept(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    for days in [31, 40, 29] {
        let session = Site::opened(site, 2).await?;
        session.all(TaskState::Success).await?;
        age(&session, days).await?;
        ids.push(session.opening.id.clone());
    }
    age(&Site::opened(site, 1).await?, 99).await?;
    let store = site.store();
    ensure!(store.finalizer_types().await? == ["demo.end"]);
    let kept = |finalizer_type: &str, days: u64| KeptSessions {
        finalizer_type: finalizer_type.to_owned(),
        keep: Duration::from_secs(days * 86_400),
    };
    let both = [kept("demo.other", 1), kept("demo.end", 30)];
    let old = store.old_sessions(&both, None, 10).await?;
    ensure!(
        old.iter().map(|it| &it.id).eq([&ids[1], &ids[0]]),
        "{old:?}"
    );
    ensure!(old.iter().all(|it| it.total == 2));
    ensure!(store.old_sessions(&both, None, 1).await? == old[..1]);
    let after = old[0].place();
    ensure!(store.old_sessions(&both, Some(&after), 10).await? == old[1..]);
    ensure!(store.old_sessions(&both[..1], None, 10).await?.is_empty());
    ensure!(store.old_sessions(&[], None, 10).await?.is_empty());
    Ok(())
}

/// Also where one page of its subtasks is just full.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_of_any_number_of_subtasks_times_out(site: &StoreSite) -> anyhow::Result<()> {
    for count in [499, 500, 501] {
        let session = Site::opened(site, count).await?;
        time_out(&session).await?;
        let row = session.row().await?;
        ensure!(row.status == SessionStatus::TimedOut, "{count}: {row:?}");
        ensure!(usize::try_from(row.failed)? == count);
    }
    Ok(())
}

/// What became of its subtasks is known all the same.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_session_whose_finalizer_cannot_be_read_ends_and_tells_so(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let session = Site::opened(site, 1).await?;
    let id = &session.opening.id;
    site.execute(&format!(
        "UPDATE session SET finalizer = '{{}}' WHERE id = '{id}'"
    ))
    .await?;
    let ended = told(&session.opening, 0, 0, TaskState::Success);
    let applied = session.tell(&[ended]).await?;
    ensure!(applied.unreadable_finalizers == [id.clone()], "{applied:?}");
    ensure!(session.row().await?.status == SessionStatus::Success);
    ensure!(session.summary().await?.is_none(), "nothing can be sent");
    Ok(())
}

/// Whether the next daemon goes on with it, or the subtasks that were left end meanwhile.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_time_out_that_was_left_in_the_middle_is_one(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    for goes_on in [true, false] {
        let session = Site::opened(site, 501).await?;
        let id = &session.opening.id;
        let now = store.clock().await?;
        let first = TimeOut::new(id, None, now).next(store).await?;
        store.apply(&first.context("a page")?).await?;
        ensure!(session.row().await?.finished_at.is_none());
        let asked = ControlFilter {
            subject: Some(id.to_string()),
            ..ControlFilter::default()
        };
        let asked = store.controls(&asked).await?;
        ensure!(
            asked.len() == 1,
            "workers are to leave what is missing: {asked:?}"
        );
        if goes_on {
            let overdue = store.overdue_sessions(Duration::ZERO, Duration::ZERO, 0);
            ensure!(overdue.await?.contains(id), "it is not at its end");
            time_out(&session).await?;
        } else {
            let last = told(&session.opening, 500, 0, TaskState::Success);
            session.tell(&[last]).await?;
        }
        let row = session.row().await?;
        ensure!(row.status == SessionStatus::TimedOut, "{goes_on}: {row:?}");
        ensure!(row.failed == 500 + i32::from(goes_on), "{row:?}");
    }
    Ok(())
}

/// It could not tell its finalizer any more what became of them.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn subtasks_of_an_open_session_cannot_be_deleted(site: &StoreSite) -> anyhow::Result<()> {
    let session = Site::opened(site, 2).await?;
    let ended = told(&session.opening, 0, 0, TaskState::Success);
    session.tell(&[ended]).await?;
    let ids = [session.opening.subtasks[0].id.clone()];
    let store = site.store();
    ensure!(store.delete_tasks(&ids, Some("ana")).await?.is_empty());
    ensure!(store.deleted_task(ids[0].as_str()).await?.is_none());
    ensure!(store.task(ids[0].as_str()).await?.is_some());
    time_out(&session).await?;
    ensure!(
        store
            .delete_tasks(&ids, Some("ana"))
            .await?
            .contains(&ids[0])
    );
    ensure!(store.deleted_task(ids[0].as_str()).await?.is_some());
    Ok(())
}
