//! Taking the messages of tasks that were run again out of the dead queues.

use super::walk::Walk;
use crate::error::OperationError;
use crate::platform::Platform;
use counterfoil_store::{Batch, DeadFilter};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::names::ServiceName;
use std::collections::HashMap;

/// Takes out what lies in dead queues of runs before `runs`, and returns how many messages that were.
/// Only the dead queues that the platform knows of are looked at.
///
/// # Errors
/// When broker or database do not answer. What is left behind is taken out by the next redrive.
pub(crate) async fn clear(
    platform: &Platform,
    runs: &HashMap<TaskId, i32>,
) -> Result<usize, OperationError> {
    let ids: Vec<TaskId> = runs.keys().cloned().collect();
    let mut services = Vec::new();
    for ids in ids.chunks(1000) {
        services.extend(platform.store.dead_services(ids).await?);
    }
    services.sort_unstable();
    services.dedup();
    let mut taken = 0;
    for service in services {
        // Anybody may bury messages under any key; no queue has such a name.
        if let Ok(service) = ServiceName::new(&service) {
            taken += clear_one(platform, &service, runs).await?;
        }
    }
    Ok(taken)
}

async fn clear_one(
    platform: &Platform,
    service: &ServiceName,
    runs: &HashMap<TaskId, i32>,
) -> Result<usize, OperationError> {
    let _alone = platform.alone_with(service).await?;
    let queue = platform.names.dead_queue(service);
    let mut walk = Walk::begin(&platform.transport, &queue, runs.len()).await?;
    let mut taken = 0;
    loop {
        let page = walk.page().await?;
        if page.is_empty() {
            break;
        }
        let letters = page.into_iter().map(|arrival| platform.letter(arrival));
        let old = letters.filter(|(_, letter)| {
            let run = letter.task_id.as_ref().and_then(|id| runs.get(id));
            run.is_some_and(|run| letter.lineage.run < *run)
        });
        let old: Vec<_> = old.collect();
        if old.is_empty() {
            continue;
        }
        let tags: Vec<_> = old.iter().map(|(tag, _)| *tag).collect();
        let mut batch = Batch::new();
        old.into_iter()
            .for_each(|(_, letter)| batch.handle_dead(letter));
        platform.store.apply(&batch).await?;
        walk.remove(&tags).await?;
        taken += tags.len();
    }
    walk.end().await?;
    forget(platform, service, runs).await?;
    Ok(taken)
}

/// The whole queue was seen: records of runs before these that are left have no message in it. The new run may have
/// died by now, and been told of.
async fn forget(
    platform: &Platform,
    service: &ServiceName,
    runs: &HashMap<TaskId, i32>,
) -> Result<(), OperationError> {
    let filter = DeadFilter {
        service: Some(service.to_string()),
        ..DeadFilter::default()
    };
    let mut batch = Batch::new();
    for record in platform.store.dead_records(&filter).await? {
        let task_id = record
            .task_id
            .as_deref()
            .and_then(|id| TaskId::new(id).ok());
        let run = task_id.and_then(|id| runs.get(&id));
        if run.is_some_and(|run| record.run < *run) {
            batch.forget_dead(record.id);
        }
    }
    if !batch.is_empty() {
        platform.store.apply(&batch).await?;
    }
    Ok(())
}
