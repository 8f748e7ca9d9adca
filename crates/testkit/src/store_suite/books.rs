//! Ids that are known somewhere and have no row.

use super::samples::{copy, event, lineage};
use super::site::StoreSite;
use anyhow::ensure;
use counterfoil_store::{Batch, DeadLetter};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::time::Duration;

/// In dead queues, or published from the outbox a while ago; what has a row is none of them.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_is_dead_or_was_published_and_has_no_row_is_found(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [known, unknown] = std::array::from_fn(|_| TaskId::random());
    let mut batch = Batch::new();
    batch.track(&copy(&known));
    for id in [&known, &unknown] {
        batch.dead(DeadLetter {
            service: "demo".into(),
            reason: "exhausted".into(),
            reason_text: None,
            task_id: Some(id.clone()),
            name: Some("demo.add".into()),
            lineage: lineage(0, 0, 0),
            died_at: None,
            message: copy(id).message,
        });
    }
    store.apply(&batch).await?;
    let (past, form) = match site.url().starts_with("postgres") {
        true => ("now() - interval '5 minutes'", "'\\x00'"),
        false => (
            "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-5 minutes')",
            "x'00'",
        ),
    };
    for (key, sent_at) in [("published", past), ("waits", "NULL")] {
        site.execute(&format!(
            "INSERT INTO outbox (key, exchange, routing_key, message, headers, properties, sent_at)
             VALUES ('{key}', '', 'demo.add', {form}, '{{\"id\": \"{key}\"}}', '{{}}', {sent_at})"
        ))
        .await?;
    }
    let strays = store.strays().await?.into_iter();
    let mut strays: Vec<_> = strays.map(|stray| (stray.task_id, stray.place)).collect();
    strays.sort();
    let mut wanted = vec![
        (unknown.to_string(), "dead".to_owned()),
        ("published".to_owned(), "outbox".to_owned()),
    ];
    wanted.sort();
    ensure!(strays == wanted, "{strays:?}");
    // What people deleted is missing on purpose, and that is known for as long as its dead letter is there.
    let mut batch = Batch::new();
    batch.event(&event(&known, lineage(0, 0, 0), TaskState::Failure));
    store.apply(&batch).await?;
    let deleted = [known.clone()];
    ensure!(store.delete_tasks(&deleted, None).await?.len() == 1);
    let past = match site.url().starts_with("postgres") {
        true => "now() - interval '400 days'",
        false => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-400 days')",
    };
    site.execute(&format!("UPDATE deleted_task SET deleted_at = {past}"))
        .await?;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    ensure!(store.forget_deleted(days(90), 0).await? == 0);
    ensure!(store.strays().await?.len() == wanted.len());
    site.execute("UPDATE dead SET handled = times").await?;
    ensure!(store.forget_deleted(days(500), 0).await? == 0);
    ensure!(store.deleted_task(known.as_str()).await?.is_some());
    ensure!(store.forget_deleted(days(90), 0).await? == 1);
    ensure!(store.deleted_task(known.as_str()).await?.is_none());
    Ok(())
}
