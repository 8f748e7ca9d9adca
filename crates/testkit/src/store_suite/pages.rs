//! Lists are read page by page, each row once.

use super::lists::{LONG, found, id_at};
use super::samples::{copy, copy_of, lineage};
use super::sessions::opening;
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta};
use counterfoil_store::{
    Batch, Cursor, DeadFilter, DeadLetter, Parked, ParkedFilter, SessionFilter, TaskFilter,
    TaskOrder,
};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use std::collections::BTreeSet;

/// The page after the last row, and the page before the first one; in either order of the list.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn pages_lead_forwards_and_back_in_both_orders(site: &StoreSite) -> anyhow::Result<()> {
    // Ten of each instant.
    let mut ids: Vec<TaskId> = (0..25).map(|n| id_at(n / 10)).collect();
    let mut batch = Batch::new();
    ids.iter().for_each(|id| batch.track(&copy(id)));
    site.store().apply(&batch).await?;
    let all = site.store().page(&TaskFilter::default(), LONG).await?.tasks;
    ids = all.iter().map(|row| row.task_id.clone()).collect();
    ensure!(ids.len() == 25);
    for order in [TaskOrder::NewestFirst, TaskOrder::OldestFirst] {
        let mut filter = TaskFilter {
            order,
            limit: 4,
            service: Some("demo".to_owned()),
            ..TaskFilter::default()
        };
        let (mut pages, mut ends) = (Vec::new(), Vec::new());
        loop {
            let page = site.store().page(&filter, LONG).await?.tasks;
            let (Some(first), Some(last)) = (page.first(), page.last()) else {
                break;
            };
            ends.push(Cursor::after(first));
            // Through its text, as it travels in a URL.
            filter.after = Some(Cursor::after(last).to_string().parse()?);
            pages.push(
                found(
                    site,
                    &ids,
                    &TaskFilter {
                        before: None,
                        ..filter.clone()
                    },
                )
                .await?,
            );
        }
        let mut all: Vec<usize> = (0..25).collect();
        if order == TaskOrder::OldestFirst {
            all.reverse();
        }
        // The first page was not kept above: it is what comes before the second.
        let after: Vec<usize> = pages.concat();
        ensure!(after == all[4..], "{order:?}: {after:?}");
        filter.after = None;
        for (n, end) in ends.iter().enumerate() {
            filter.before = Some(end.clone());
            let page = found(site, &ids, &filter).await?;
            let to = n * 4;
            ensure!(
                page == all[to.saturating_sub(4)..to],
                "{order:?} {n}: {page:?}"
            );
        }
        filter.after = Some(ends[1].clone());
        filter.before = Some(ends[2].clone());
        let between = found(site, &ids, &filter).await?;
        ensure!(between == all[5..8], "{order:?}: {between:?}");
    }
    Ok(())
}

/// Of a session, between two times.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_list_may_be_of_a_session_and_end_at_a_time(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..4).map(id_at).collect();
    let mut batch = Batch::new();
    for (n, id) in ids.iter().enumerate() {
        let mut envelope = Envelope::new(id.clone(), TaskName::new("demo.add")?);
        envelope.session_id = (n % 2 == 1).then(|| "harvest 7".into());
        batch.track(&copy_of(envelope));
    }
    site.store().apply(&batch).await?;
    let of_session = |session: &str| TaskFilter {
        session: Some(session.to_owned()),
        ..TaskFilter::default()
    };
    ensure!(found(site, &ids, &of_session("harvest 7")).await? == [3, 1]);
    ensure!(found(site, &ids, &of_session("harvest")).await?.is_empty());
    let third = site.store().task(ids[2].as_str()).await?.context("a row")?;
    let until = TaskFilter {
        until: Some(third.created_date),
        ..TaskFilter::default()
    };
    ensure!(found(site, &ids, &until).await? == [1, 0]);
    let both = TaskFilter {
        since: Some(third.created_date - TimeDelta::seconds(1)),
        order: TaskOrder::OldestFirst,
        ..until
    };
    ensure!(found(site, &ids, &both).await? == [1]);
    Ok(())
}

/// Those of one instant, too.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn dead_letters_and_parked_messages_are_read_page_by_page(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    for n in 0..7 {
        let message = copy(&id_at(n)).message;
        batch.dead(DeadLetter {
            service: "demo".into(),
            reason: "exhausted".into(),
            reason_text: None,
            task_id: None,
            name: None,
            lineage: lineage(0, 0, 0),
            died_at: DateTime::from_timestamp(1_800_000_000 + i64::try_from(n / 3)?, 0),
            message: message.clone(),
        });
        batch.park(Parked {
            queue: "platform.fifo".into(),
            reason: "too large".into(),
            task_id: None,
            name: None,
            message,
            waits: false,
        });
    }
    site.store().apply(&batch).await?;
    let (mut dead, mut parked) = (BTreeSet::new(), BTreeSet::new());
    let (mut of_dead, mut of_parked) = (
        DeadFilter {
            limit: 2,
            ..DeadFilter::default()
        },
        ParkedFilter {
            limit: 2,
            ..ParkedFilter::default()
        },
    );
    for wanted in [2, 2, 2, 1, 0] {
        let page = site.store().dead(&of_dead).await?;
        ensure!(
            page.len() == wanted && page.is_sorted_by_key(|row| std::cmp::Reverse(row.died_at))
        );
        ensure!(page.iter().all(|row| dead.insert(row.id)), "{page:?}");
        if let Some(last) = page.last() {
            of_dead.after = Some(last.place().to_string().parse()?);
        }
        let page = site.store().parked(&of_parked).await?;
        ensure!(
            page.len() == wanted && page.iter().all(|row| parked.insert(row.id)),
            "{page:?}"
        );
        if let Some(last) = page.last() {
            of_parked.after = Some(last.place().to_string().parse()?);
        }
    }
    Ok(())
}

/// The places of sessions survive their text, too.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn sessions_are_read_page_by_page_and_by_who_wanted_them(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    for n in 0..5 {
        let mut opening = opening(1);
        opening.id = format!("harvest of 11/{n} - all").parse()?;
        opening.finalizer.creator = Some(if n == 3 { "ben" } else { "ana" }.into());
        batch.open_session(&opening);
    }
    site.store().apply(&batch).await?;
    let mut filter = SessionFilter {
        creator: Some("ana".to_owned()),
        limit: 3,
        ..SessionFilter::default()
    };
    let mut seen = BTreeSet::new();
    for wanted in [3, 1, 0] {
        let page = site.store().sessions(&filter).await?;
        ensure!(page.len() == wanted, "{page:?}");
        ensure!(
            page.iter()
                .all(|row| row.creator_id.as_deref() == Some("ana"))
        );
        ensure!(
            page.iter().all(|row| seen.insert(row.id.to_string())),
            "{page:?}"
        );
        if let Some(last) = page.last() {
            filter.after = Some(last.place().to_string().parse()?);
        }
    }
    let ben = SessionFilter {
        creator: Some("ben".to_owned()),
        ..SessionFilter::default()
    };
    ensure!(site.store().sessions(&ben).await?.len() == 1);
    Ok(())
}
