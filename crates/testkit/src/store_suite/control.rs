//! What people ask of workers, and what the rows of tasks show of it at once.

use super::samples::{copy, copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::Seen;
use counterfoil_store::record::{ControlRow, TaskRow};
use counterfoil_store::{Batch, Cancelling, ControlFilter, HeldBack, Store, UnroutableFilter};
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::{ServiceName, TaskState};

fn revoke(task_id: &TaskId) -> Order {
    let task_id = task_id.clone();
    Order::Revoke { task_id, run: 0 }
}

pub(super) fn pause() -> Order {
    let service = ServiceName::new("demo").expect("valid");
    Order::PauseService { service }
}

fn resume() -> Order {
    let service = ServiceName::new("demo").expect("valid");
    Order::ResumeService { service }
}

pub(super) async fn ask(store: &dyn Store, order: Order) -> anyhow::Result<DateTime<Utc>> {
    let at = store.clock().await?;
    let mut batch = Batch::new();
    batch.ask(order, Some("ana"), at);
    store.apply(&batch).await?;
    Ok(at)
}

async fn holding(store: &dyn Store) -> anyhow::Result<Vec<ControlRow>> {
    Ok(store.controls(&ControlFilter::default()).await?)
}

async fn row(store: &dyn Store, id: &TaskId) -> anyhow::Result<TaskRow> {
    store.task(id.as_str()).await?.context("the row")
}

/// In order, once, and as it was asked.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_is_asked_is_published_once_in_order(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let id = TaskId::random();
    let root_id = TaskId::random();
    let orders = [
        revoke(&id),
        Order::RevokeFamily { root_id, run: 3 },
        Order::Hold {
            task_id: id.clone(),
        },
        Order::Release {
            task_id: id.clone(),
        },
        pause(),
        resume(),
        Order::Quiet {
            worker: "demo@h.1.aa".parse()?,
        },
        Order::Stop {
            worker: "demo@h.1.aa".parse()?,
        },
    ];
    let mut asked = Vec::new();
    for order in &orders {
        asked.push(ask(store, order.clone()).await?);
    }
    let rows = store.unpublished_controls(0).await?;
    let sent_at = store.clock().await?;
    let read: Vec<_> = rows
        .iter()
        .filter_map(|row| row.instruction(sent_at))
        .collect();
    let same = |n: usize| {
        let one = &read[n];
        one.order == orders[n]
            && one.at == asked[n]
            && one.sent_at == sent_at
            && one.by.as_deref() == Some("ana")
    };
    ensure!(
        read.len() == orders.len() && (0..read.len()).all(same),
        "{read:?}"
    );
    ensure!(store.unpublished_controls(3).await? == rows[..3]);

    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    ensure!(store.count_unpublished(&ids).await? == 8);
    store.mark_published(&ids[..5], sent_at).await?;
    ensure!(store.count_unpublished(&ids).await? == 3);
    let left = store.unpublished_controls(0).await?;
    ensure!(left == rows[5..], "{left:?}");
    Ok(())
}

/// The latest about a subject holds, and what takes something back ends it.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_holds_is_the_latest_that_was_not_taken_back(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [cancelled, held, free] = std::array::from_fn(|_| TaskId::random());
    for order in [
        pause(),
        pause(),
        Order::Hold {
            task_id: cancelled.clone(),
        },
        revoke(&cancelled),
        Order::Hold {
            task_id: free.clone(),
        },
        Order::Release {
            task_id: free.clone(),
        },
        Order::Hold {
            task_id: held.clone(),
        },
        Order::Stop {
            worker: "demo@h.1.aa".parse()?,
        },
    ] {
        ask(store, order).await?;
    }
    let kinds = |rows: &[ControlRow]| -> Vec<(String, String)> {
        let pair = |row: &ControlRow| (row.kind.clone(), row.subject.clone());
        rows.iter().map(pair).collect()
    };
    let wanted = [
        ("hold".to_owned(), held.to_string()),
        ("revoke".to_owned(), cancelled.to_string()),
        ("pause_service".to_owned(), "demo".to_owned()),
    ];
    ensure!(
        kinds(&holding(store).await?) == wanted,
        "{:?}",
        holding(store).await?
    );
    let only = |kind: Option<&str>, subject: Option<&str>| ControlFilter {
        kind: kind.map(str::to_owned),
        subject: subject.map(str::to_owned),
        limit: 0,
    };
    let paused = store.controls(&only(Some("pause_service"), None)).await?;
    ensure!(kinds(&paused) == wanted[2..]);
    let about = store.controls(&only(None, Some(held.as_str()))).await?;
    ensure!(kinds(&about) == wanted[..1]);
    ask(store, resume()).await?;
    ensure!(kinds(&holding(store).await?) == wanted[..2]);
    Ok(())
}

/// One that waits, or waits for its retry, is REVOKED without any worker; a success is never taken back.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_task_that_was_cancelled_before_it_started_is_revoked_at_once(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let states = [
        (TaskState::Pending, TaskState::Revoked),
        (TaskState::Unroutable, TaskState::Revoked),
        (TaskState::Received, TaskState::Revoked),
        (TaskState::Retry, TaskState::Revoked),
        (TaskState::Started, TaskState::Started),
        (TaskState::Progress, TaskState::Progress),
        (TaskState::Failure, TaskState::Failure),
        (TaskState::Success, TaskState::Success),
    ];
    for (before, after) in states {
        let id = TaskId::random();
        let mut batch = Batch::new();
        batch.track(&copy(&id));
        batch.event(&event(&id, lineage(0, 2, 1), before));
        store.apply(&batch).await?;
        let known = row(store, &id).await?;
        let mut batch = Batch::new();
        batch.revoke(&known, Some("ana"), store.clock().await?);
        store.apply(&batch).await?;
        let now = row(store, &id).await?;
        ensure!(now.state == after, "{before} became {}", now.state);
        let cancelling = Cancelling::of(&known);
        ensure!((cancelling == Cancelling::BeforeStart) == (after == TaskState::Revoked));
        if after != TaskState::Revoked {
            continue;
        }
        ensure!(now.error_kind.as_deref() == Some("cancelled") && now.worker.is_none());
        let why = now.error_message.context("a reason")?;
        ensure!(
            why == "it was cancelled by ana before it was started again",
            "{why}"
        );
        let result = store.result(&id, 0).await?.context("an outcome")?;
        ensure!(result.status == TaskState::Revoked);
        let told = store
            .history(&id)
            .await?
            .iter()
            .any(|line| line.kind == TaskState::Revoked);
        ensure!(told, "a line of history");
        // A worker had begun it meanwhile. What it achieved counts, what it failed with does not.
        for (late, ends) in [
            (TaskState::Started, TaskState::Revoked),
            (TaskState::Failure, TaskState::Revoked),
            (TaskState::Success, TaskState::Success),
        ] {
            let mut batch = Batch::new();
            batch.event(&event(&id, lineage(0, 3, 0), late));
            store.apply(&batch).await?;
            ensure!(row(store, &id).await?.state == ends, "{late}");
        }
    }
    Ok(())
}

/// The row says so, and an unroutable task is not sent again meanwhile.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_held_task_is_not_sent_again_until_it_is_released(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let id = TaskId::random();
    let mut unroutable = copy(&id);
    unroutable.seen = Seen::Unroutable;
    let mut batch = Batch::new();
    batch.track(&unroutable);
    store.apply(&batch).await?;
    let before = row(store, &id).await?;
    ensure!(!before.held);
    let demo = UnroutableFilter {
        service: "demo".to_owned(),
        ..UnroutableFilter::default()
    };
    for (held, found) in [(HeldBack::Yes, 0), (HeldBack::Yes, 0), (HeldBack::No, 1)] {
        let mut batch = Batch::new();
        batch.hold_back(&id, held);
        batch.hold_back(&TaskId::random(), held);
        store.apply(&batch).await?;
        ensure!(row(store, &id).await?.held == (held == HeldBack::Yes));
        ensure!(store.unroutable(&demo).await?.len() == found, "{held:?}");
    }
    // Whoever cancels it releases it.
    let mut batch = Batch::new();
    batch.hold_back(&id, HeldBack::Yes);
    store.apply(&batch).await?;
    let mut batch = Batch::new();
    batch.revoke(&row(store, &id).await?, None, store.clock().await?);
    store.apply(&batch).await?;
    let after = row(store, &id).await?;
    ensure!(!after.held && after.state == TaskState::Revoked);
    ensure!(
        after.last_updated > before.last_updated,
        "the row was touched"
    );
    Ok(())
}

/// What was published long ago is published again, until a worker, or the platform for good, says that
/// its task is over.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_holds_is_published_again_until_its_tasks_are_over(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [waiting, met, failed, gone, held, root, child] = std::array::from_fn(|_| TaskId::random());
    let mut of_family = Envelope::new(child.clone(), "demo.add".parse()?);
    of_family.root_id = root.clone();
    let mut batch = Batch::new();
    for id in [&waiting, &met, &failed, &held, &root] {
        batch.track(&copy(id));
    }
    batch.track(&copy_of(of_family));
    store.apply(&batch).await?;
    for id in [&waiting, &met, &failed, &gone] {
        ask(store, revoke(id)).await?;
    }
    ask(
        store,
        Order::Hold {
            task_id: held.clone(),
        },
    )
    .await?;
    ask(
        store,
        Order::RevokeFamily {
            root_id: root.clone(),
            run: 0,
        },
    )
    .await?;
    ask(store, pause()).await?;
    // The platform calls them cancelled; a worker has met one of them, and another had failed.
    let now = store.clock().await?;
    for id in [&waiting, &met, &failed, &root, &child] {
        let mut batch = Batch::new();
        batch.revoke(&row(store, id).await?, Some("ana"), now);
        store.apply(&batch).await?;
    }
    let over = |id: &TaskId, state| {
        let mut batch = Batch::new();
        // Another attempt, so that it outranks what the platform said.
        let lineage = Lineage {
            executions: 1,
            ..Lineage::default()
        };
        batch.event(&event(id, lineage, state));
        batch
    };
    store.apply(&over(&met, TaskState::Revoked)).await?;
    store.apply(&over(&failed, TaskState::Success)).await?;
    let ids: Vec<_> = store
        .unpublished_controls(0)
        .await?
        .iter()
        .map(|row| row.id)
        .collect();
    let published = now - TimeDelta::days(4);
    store.mark_published(&ids, published).await?;

    let due = |before| async move { store.controls_to_renew(before, 0).await };
    ensure!(due(published).await?.is_empty(), "not before");
    let later = published + TimeDelta::days(1);
    ensure!(due(later).await?.len() == 7);
    let subjects = |rows: Vec<ControlRow>| {
        let mut subjects: Vec<_> = rows.into_iter().map(|row| row.subject).collect();
        subjects.sort();
        subjects
    };
    let sorted = |ids: &[&str]| {
        let mut ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        ids.sort();
        ids
    };
    store
        .end_controls(published, now - TimeDelta::days(90))
        .await?;
    ensure!(
        holding(store).await?.len() == 7,
        "only what is due is looked at"
    );
    store.end_controls(later, now - TimeDelta::days(90)).await?;
    let (waiting, gone, held) = (waiting.as_str(), gone.as_str(), held.as_str());
    let left = subjects(due(later).await?);
    ensure!(
        left == sorted(&[waiting, gone, held, root.as_str(), "demo"]),
        "{left:?}"
    );
    // The family is over when its last member is, and nobody waits for ever for a task that is not known.
    for id in [&root, &child] {
        store.apply(&over(id, TaskState::Revoked)).await?;
    }
    store.end_controls(later, now + TimeDelta::days(1)).await?;
    let left = subjects(due(later).await?);
    ensure!(left == sorted(&[waiting, held, "demo"]), "{left:?}");
    Ok(())
}
