//! Which ids a transaction tells of beside those of the rows that it changes.

use crate::batch::Batch;
use crate::ids::IdKey;
use counterfoil_toolbox::ids::TaskId;
use std::collections::BTreeSet;

/// Tasks of which a batch writes something else than their row: what handlers logged, what people did, that they
/// are held back. Some of it may have been there before; to look once more does no harm.
pub(crate) fn also_changed(batch: &Batch, ids: &IdKey) -> BTreeSet<String> {
    let logged = batch.logs.keys().map(|(task_id, _)| task_id);
    let lines = batch.lines.keys().map(|(task_id, _)| task_id);
    let noted = lines.filter(|task_id| !batch.tasks.contains_key(*task_id));
    let held = batch.held.keys();
    let all: BTreeSet<&TaskId> = logged.chain(noted).chain(held).collect();
    all.into_iter().map(|id| ids.public_id(id)).collect()
}

/// Ids as a statement takes them.
pub(crate) fn ids_as_json<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let ids: Vec<&str> = ids.into_iter().collect();
    serde_json::to_string(&ids).expect("texts are JSON")
}
