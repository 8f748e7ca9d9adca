//! Of living tasks with the same identity the first stays, and the others are revoked.

use crate::leader::Leading;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Batch, Double, Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::ids::TaskId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Time between two looks: each is one into an index that holds living tasks with identifiers only.
const LOOK: Duration = Duration::from_secs(1);

/// Tasks that are revoked in one transaction.
const AT_ONCE: u32 = 500;

/// Revokes doubles until it is dropped. Only the leader does it; the order of tasks is the same for whoever
/// leads next.
pub(crate) async fn revoke_doubles(store: Arc<dyn Store>, leading: &Leading) {
    loop {
        match look(&*store, leading).await {
            // There may be more.
            Ok(count) if count == AT_ONCE as usize => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "tasks with the same identity were not looked for");
            }
        }
        sleep(LOOK).await;
    }
}

/// How many were found.
async fn look(store: &dyn Store, leading: &Leading) -> Result<usize, StoreError> {
    let doubles = store.doubles(AT_ONCE).await?;
    if doubles.is_empty() || !leading.still().await {
        return Ok(0);
    }
    let ids: Vec<TaskId> = doubles.iter().map(|it| it.task_id.clone()).collect();
    let rows = store.tasks_with_ids(&ids).await?.into_iter();
    let rows: HashMap<TaskId, TaskRow> = rows.map(|row| (row.task_id.clone(), row)).collect();
    let now = store.clock().await?;
    let mut batch = Batch::new();
    for Double { task_id, first } in &doubles {
        let Some(row) = rows.get(task_id) else {
            continue;
        };
        let reason = format!("task {first} has the same identifier and lives");
        tracing::info!(%task_id, task_name = row.name, reason, "a double is revoked");
        batch.revoke_double(row, first, now);
    }
    store.apply(&batch).await?;
    Ok(doubles.len())
}
