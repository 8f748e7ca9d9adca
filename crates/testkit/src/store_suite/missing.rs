//! Tasks whose messages may be gone.

use super::records::sign_of_life;
use super::samples::{copy, copy_of, event, lineage, same_message};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{TimeDelta, Utc};
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, MissingTask, Seen, TrackingCopy};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::delay::delayed_key;
use counterfoil_toolbox::event::Lease;
use counterfoil_toolbox::heartbeat::Phase;
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::{RoutingKey, TaskName};
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Makes every row one that nothing was heard of for an hour.
async fn an_hour_passes(site: &StoreSite) -> anyhow::Result<()> {
    let ago = Utc::now() - TimeDelta::hours(1);
    let ago = ago.format("%Y-%m-%dT%H:%M:%S.%6fZ");
    // Triggers would take the change for news.
    let of = match site.url().starts_with("postgres") {
        true => " ON background_task",
        false => "",
    };
    site.execute(&format!("DROP TRIGGER IF EXISTS background_task_touch{of}"))
        .await?;
    site.execute(&format!(
        "UPDATE background_task SET last_updated = '{ago}'"
    ))
    .await
}

async fn missing(site: &StoreSite) -> anyhow::Result<Vec<MissingTask>> {
    Ok(site.store().missing_tasks("demo", MINUTE, None, 0).await?)
}

async fn row(site: &StoreSite, id: &TaskId) -> anyhow::Result<TaskRow> {
    site.store().task(id.as_str()).await?.context("a row")
}

fn envelope(id: &TaskId) -> Envelope {
    Envelope::new(id.clone(), TaskName::new("demo.add").expect("a task name"))
}

/// With all that its next attempt needs, page by page, and not before the time.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_waits_unheard_is_found_and_marked_as_sent_again(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (one, other) = (TaskId::random(), TaskId::random());
    let mut batch = Batch::new();
    batch.track(&copy(&one));
    batch.track(&copy(&other));
    // Somebody else's.
    let foreign = TaskName::new("export.add")?;
    batch.track(&copy_of(Envelope::new(TaskId::random(), foreign)));
    site.store().apply(&batch).await?;
    ensure!(missing(site).await?.is_empty(), "too soon");
    an_hour_passes(site).await?;
    let found = missing(site).await?;
    ensure!(found.len() == 2, "{found:#?}");
    let first = &found[0];
    ensure!(same_message(&first.message, &copy(&first.task_id).message));
    let store = site.store();
    let after = Some(&first.task_id);
    ensure!(store.missing_tasks("demo", MINUTE, after, 9).await? == found[1..]);
    ensure!(store.missing_tasks("demo", MINUTE, None, 1).await? == found[..1]);

    let attempt = first.next(lineage(0, 0, 0));
    ensure!(attempt == lineage(1, 0, 0), "{attempt}");
    for _ in 0..2 {
        store.mark_found(&[(first.clone(), attempt)]).await?;
    }
    let again = row(site, &first.task_id).await?;
    ensure!((again.state, again.attempt()) == (TaskState::Pending, attempt));
    ensure!(
        again.error_kind.as_deref() == Some("message_lost"),
        "{again:#?}"
    );
    let history = store.history(&first.task_id).await?;
    ensure!(
        history
            .iter()
            .filter(|line| line.lineage() == attempt)
            .count()
            == 1
    );
    an_hour_passes(site).await?;
    // Its message is known, and its attempt a later one.
    let found = missing(site).await?;
    let again = found.iter().find(|task| task.task_id == first.task_id);
    ensure!(again.context("found again")?.next(lineage(0, 0, 0)) == lineage(2, 0, 0));
    Ok(())
}

fn delayed(id: &TaskId, by: Duration) -> anyhow::Result<TrackingCopy> {
    let mut copy = copy(id);
    let key = RoutingKey::new(&copy.message.routing_key)?;
    copy.message.routing_key = delayed_key(by, &key)?.as_str().into();
    copy.message.content.properties.timestamp = u64::try_from(Utc::now().timestamp()).ok();
    Ok(copy)
}

/// Of every copy, however often it is read, and whatever else is told of the task: a message can be in those alone.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn of_a_task_it_is_known_which_delay_levels_may_have_held_it(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (one, never) = (TaskId::random(), TaskId::random());
    let copies = [delayed(&one, Duration::from_secs(5))?, copy(&one)];
    // Of a sender who does not tell when.
    let mut other = delayed(&one, Duration::from_secs(2))?;
    other.message.content.properties.timestamp = None;
    for copy in copies.iter().chain([&other, &other, &copy(&never)]) {
        let mut batch = Batch::new();
        batch.track(copy);
        site.store().apply(&batch).await?;
    }
    site.execute("UPDATE background_task SET delayed_until = NULL")
        .await?;
    an_hour_passes(site).await?;
    let found = missing(site).await?;
    let bits: Vec<_> = found
        .iter()
        .map(|task| (&task.task_id, task.delay_bits))
        .collect();
    ensure!(bits == [(&one, 7), (&never, 0)], "{bits:?}");
    Ok(())
}

/// Whatever order its copies come in.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_is_held_delayed_or_under_way_is_not_missing(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let ids: Vec<_> = (0..9).map(|_| TaskId::random()).collect();
    let mut batch = Batch::new();
    ids.iter().for_each(|id| batch.track(&copy(id)));
    // Put off by a worker, twice; the copy that describes the task may be any of the three.
    batch.track(&delayed(&ids[0], MINUTE * 10)?);
    batch.track(&delayed(&ids[0], Duration::from_secs(1))?);
    let mut later = envelope(&ids[1]);
    later.eta = Some(Utc::now() + TimeDelta::minutes(10));
    batch.track(&copy_of(later));
    let in_hand = [TaskState::Received, TaskState::Started, TaskState::Success];
    for (id, state) in ids[2..5].iter().zip(in_hand) {
        batch.event(&event(id, lineage(0, 0, 0), state));
    }
    batch.track(&TrackingCopy {
        seen: Seen::Unroutable,
        ..copy(&ids[5])
    });
    site.store().apply(&batch).await?;
    an_hour_passes(site).await?;
    site.execute(&format!(
        "UPDATE background_task SET held = true WHERE task_id = '{}'",
        ids[6]
    ))
    .await?;
    // One that the platform has not sent yet.
    site.execute(&format!(
        "INSERT INTO outbox (key, exchange, routing_key, message, headers, properties) \
         VALUES ('whatever', '', 'demo.add', '', '{{\"id\": \"{}\"}}', '{{}}')",
        ids[8]
    ))
    .await?;
    let found = missing(site).await?;
    let found: Vec<_> = found.into_iter().map(|task| task.task_id).collect();
    // The description of the second may be that of the copy without a time.
    let others: Vec<_> = found.iter().filter(|id| **id != ids[1]).collect();
    ensure!(others == [&ids[7]], "{found:?} of {ids:?}");
    Ok(())
}

/// A worker is gone when it said so, or was silent for longer than it takes the broker to notice.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_whose_worker_is_gone_is_missing_and_one_whose_worker_lives_is_not(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let workers = ["lives", "silent", "stopped", "unknown", "stopped"];
    let name = |who: &str| format!("demo@{who}.7.0a0b0c0d");
    let ids = workers.map(|_| TaskId::random());
    let leased = TaskId::random();
    let mut batch = Batch::new();
    for (id, who) in ids.iter().zip(workers).chain([(&leased, "stopped")]) {
        batch.track(&copy(id));
        // It gave the last one back.
        let state = match *id == ids[4] {
            true => TaskState::Retry,
            false => TaskState::Started,
        };
        let mut started = event(id, lineage(0, 0, 0), state);
        started.retry_at = None;
        started.worker = Some(WorkerId::new(&name(who))?);
        // Of such a task its lease tells.
        let (ms, restarts) = (3_600_000, 0);
        started.lease = (*id == leased).then_some(Lease { ms, restarts });
        batch.event(&started);
    }
    for who in &workers[..3] {
        let mut seen = sign_of_life(&name(who), None);
        match *who {
            "stopped" => seen.phase = Phase::Stopped,
            // An hour is the longest that is believed.
            "silent" => seen.interval = Duration::MAX,
            _ => {}
        }
        batch.worker(seen);
    }
    site.store().apply(&batch).await?;
    an_hour_passes(site).await?;
    let ago = Utc::now() - TimeDelta::hours(4);
    let ago = ago.format("%Y-%m-%dT%H:%M:%S.%6fZ");
    let silent = name("silent");
    site.execute(&format!(
        "UPDATE worker SET last_heartbeat = '{ago}' WHERE id = '{silent}'"
    ))
    .await?;
    let found = missing(site).await?.into_iter().map(|task| task.task_id);
    let found: BTreeSet<_> = found.collect();
    let gone = BTreeSet::from([1, 2, 4].map(|n: usize| ids[n].clone()));
    ensure!(found == gone, "{found:?} of {ids:?}");
    Ok(())
}

/// Of a later delivery another worker may have told already with the same count, whom the one that puts the task off
/// must not outrank.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_was_put_off_is_missing_only_after_its_first_delivery(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (first, later) = (TaskId::random(), TaskId::random());
    let mut batch = Batch::new();
    for (id, deliveries) in [(&first, 0), (&later, 1)] {
        batch.track(&copy(id));
        for state in [TaskState::Received, TaskState::Pending] {
            let mut told = event(id, lineage(0, 0, deliveries), state);
            told.retry_at = None;
            batch.event(&told);
        }
    }
    site.store().apply(&batch).await?;
    for id in [&first, &later] {
        ensure!(row(site, id).await?.state == TaskState::Pending);
    }
    an_hour_passes(site).await?;
    let found = missing(site).await?;
    ensure!(found.len() == 1 && found[0].task_id == first, "{found:#?}");
    Ok(())
}

/// Until then its worker has it: retries are made there too, without another message.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_retry_is_missing_only_with_the_message_of_its_next_attempt(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let (kept, sent, due) = (TaskId::random(), TaskId::random(), TaskId::random());
    let mut batch = Batch::new();
    for id in [&kept, &sent, &due] {
        batch.track(&copy(id));
        let mut retry = event(id, lineage(0, 0, 0), TaskState::Retry);
        let minutes = if *id == due { 60 } else { -60 };
        retry.retry_at = Some(Utc::now() + TimeDelta::minutes(minutes));
        batch.event(&retry);
    }
    for id in [&sent, &due] {
        let mut next = envelope(id);
        next.lineage.executions = 1;
        next.retries = 1;
        let mut next = copy_of(next);
        next.message.content.headers.push("lang", "rs");
        batch.track(&next);
    }
    site.store().apply(&batch).await?;
    an_hour_passes(site).await?;
    let found = missing(site).await?;
    ensure!(found.len() == 1 && found[0].task_id == sent, "{found:#?}");
    ensure!(found[0].next(lineage(0, 1, 0)) == lineage(1, 1, 0));
    Ok(())
}
