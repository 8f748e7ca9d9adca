//! Results of Celery's workers, whole: what these say of a success is what Python prints of its result, cut. The result itself
//! they have written before, into the table of their backend, where that is in this database.

use super::members::read;
use crate::batch::Batch;
use crate::json::JsonText;
use crate::merge::ResultChange;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Longest result that is taken over, in bytes: as long as one of ours may be by default.
pub(crate) const MOST: i64 = 1024 * 1024;

/// Most bytes of results that are taken over in one transaction. Of the others there is what was printed.
pub(crate) const MOST_AT_ONCE: i64 = 32 * 1024 * 1024;

/// The tasks of a batch of which there may be such results. Empty: there are none.
pub(crate) fn candidates(batch: &Batch) -> Vec<&TaskId> {
    let theirs = batch.results.values().filter(|change| is_theirs(change));
    theirs.map(|change| &change.task_id).collect()
}

/// A success of a worker of Celery's. Ours have ids of their own kind.
fn is_theirs(change: &ResultChange) -> bool {
    let worker = change.worker.as_ref();
    change.status == TaskState::Success && worker.is_some_and(|worker| !worker.is_of_a_process())
}

/// Those results of a batch that were found in the table of Celery.
pub(crate) fn adopted(batch: &Batch, found: Vec<(String, Vec<u8>)>) -> Vec<ResultChange> {
    let found: BTreeMap<_, _> = found.into_iter().collect();
    let adopted = batch.results.values().filter(|change| is_theirs(change));
    let adopted = adopted.filter_map(|change| {
        let result = read(found.get(change.task_id.as_str())?)?;
        let result = RawValue::from_string(result).ok()?;
        Some(ResultChange {
            result: Some(JsonText::from(result)),
            ..change.clone()
        })
    });
    adopted.collect()
}

/// The results of a batch, with these in place of what was printed of them.
pub(crate) fn whole_results<'a>(
    batch: &'a Batch,
    adopted: &'a [ResultChange],
) -> Vec<&'a ResultChange> {
    let mut left = adopted.iter().peekable();
    // Both are in the same order.
    let results = batch.results.values();
    let results = results.map(|change| {
        left.next_if(|it| (&it.task_id, it.key) == (&change.task_id, change.key))
            .unwrap_or(change)
    });
    results.collect()
}

/// Declares the step that a transaction takes to find them.
macro_rules! adopt_step {
    ($db:ty) => {
        /// The results of a batch that Celery's workers have written themselves, to be written in place of what they
        /// said of them.
        pub(super) async fn adopted_results(
            tx: &mut <$db as sqlx::Database>::Connection,
            sql: &Statements,
            batch: &Batch,
        ) -> Result<Vec<crate::merge::ResultChange>, sqlx::Error> {
            let candidates = crate::celery::candidates(batch);
            if candidates.is_empty() {
                return Ok(Vec::new());
            }
            let ids = serde_json::json!(candidates).to_string();
            let found = sqlx::query_as(sql.celery_results);
            let found = found.bind(ids).bind(crate::celery::MOST);
            let found = found.bind(crate::celery::MOST_AT_ONCE);
            let found = found.fetch_all(&mut *tx).await?;
            Ok(crate::celery::adopted(batch, found))
        }
    };
}
pub(crate) use adopt_step;
