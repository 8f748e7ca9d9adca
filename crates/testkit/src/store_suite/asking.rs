//! What becomes of what was asked, once it was answered or does not hold any more.

use super::control::{ask, pause};
use super::site::StoreSite;
use anyhow::ensure;
use chrono::TimeDelta;
use counterfoil_store::Batch;
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::Inquiry;
use std::time::Duration;

/// Apart from what people ask, and once more if it is asked once more.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_question_about_a_session_waits_apart_and_is_gone_once_it_is_answered(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    ask(store, pause()).await?;
    let asked = store.unpublished_controls(0).await?;
    let inquiry = Inquiry {
        id: uuid::Uuid::now_v7(),
        session_id: SessionId::random(),
    };
    let mut batch = Batch::new();
    batch.inquire(&inquiry, store.clock().await?);
    for _ in 0..2 {
        store.apply(&batch).await?;
        ensure!(store.unpublished_controls(0).await? == asked);
        let questions = store.unanswered(0).await?;
        let subjects: Vec<_> = questions
            .iter()
            .map(|row| (row.id, &*row.subject))
            .collect();
        ensure!(subjects == [(inquiry.id, inquiry.session_id.as_str())]);
        // What is no question stays.
        store.remove_answered(&[inquiry.id, asked[0].id]).await?;
        ensure!(store.unanswered(0).await?.is_empty());
    }
    ensure!(store.unpublished_controls(0).await? == asked);
    Ok(())
}

/// The oldest first, and nothing that holds or did lately.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_has_not_held_for_long_is_forgotten_page_by_page(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let stop = || -> anyhow::Result<Order> {
        Ok(Order::Stop {
            worker: "demo@h.1.aa".parse()?,
        })
    };
    let now = store.clock().await?;
    let mut batch = Batch::new();
    batch.ask(pause(), None, now - TimeDelta::days(200));
    for days in [1, 100, 101, 102] {
        batch.ask(stop()?, None, now - TimeDelta::days(days));
    }
    store.apply(&batch).await?;
    let long = Duration::from_secs(90 * 86_400);
    ensure!(store.forget_controls(long, 2).await? == 2);
    let left = store.unpublished_controls(0).await?;
    let ages: Vec<_> = left
        .iter()
        .map(|row| (now - row.created_date).num_days())
        .collect();
    ensure!(ages == [200, 100, 1], "{ages:?}");
    ensure!(store.forget_controls(long, 2).await? == 1);
    ensure!(store.forget_controls(long, 2).await? == 0);
    ensure!(store.unpublished_controls(0).await?.len() == 2);
    Ok(())
}
