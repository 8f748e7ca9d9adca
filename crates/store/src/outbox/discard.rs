//! Throwing away what the outbox cannot send, with what that means for tasks and sessions: all of it or nothing.

use super::RefusedMessage;
use crate::batch::Batch;
use crate::record::TaskRow;
use crate::text::{INDEXED, boxed};
use chrono::{DateTime, Utc};

impl Batch {
    /// Adds that somebody throws a refused message away, `at` a time of the [database's](crate::Store::clock) clock.
    /// `task`, the row of the task that it was to begin, if there is one, is cancelled with it; where it is the
    /// finalizer of a session, the session tells. Unless all such messages of the batch are refused still, nothing
    /// of it is written: see [`Applied::not_discarded`](crate::Applied::not_discarded).
    pub fn discard(
        &mut self,
        message: &RefusedMessage,
        task: Option<&TaskRow>,
        by: Option<&str>,
        at: DateTime<Utc>,
    ) {
        let name = by.map(|by| boxed(by, INDEXED));
        self.discards.insert(message.position, name);
        if let Some(task) = task {
            self.revoke(task, by, at);
        }
    }
}

/// Declares `discard`, the first step of a batch's transaction; `tell_changes` is declared beside sessions.
macro_rules! discard_step {
    ($db:ty) => {
        /// Throws messages away, and returns the positions of those that were not there any more.
        pub(super) async fn discard(
            tx: &mut <$db as sqlx::Database>::Connection,
            sql: &Statements,
            batch: &Batch,
        ) -> Result<Vec<i64>, sqlx::Error> {
            if batch.discards.is_empty() {
                return Ok(Vec::new());
            }
            let wanted: Vec<_> = batch.discards.keys().copied().collect();
            let gone = sqlx::query_as::<_, (i64, String)>(sql.discard_refused)
                .bind(serde_json::json!(&wanted).to_string());
            let gone: std::collections::BTreeMap<_, _> =
                gone.fetch_all(&mut *tx).await?.into_iter().collect();
            let mut sessions = std::collections::BTreeSet::new();
            let finalizers = gone.iter().filter_map(|(position, key)| {
                let id = key.strip_prefix(crate::sessions::FINALIZER)?;
                sessions.insert(id.to_owned());
                Some(serde_json::json!({"id": id, "by": batch.discards.get(position)?}))
            });
            let finalizers: Vec<_> = finalizers.collect();
            if !finalizers.is_empty() {
                let noted = sqlx::query(sql.discard_finalizers)
                    .bind(serde_json::Value::from(finalizers).to_string());
                noted.execute(&mut *tx).await?;
                tell_changes(tx, sql, "session", &sessions).await?;
            }
            let missing = wanted.into_iter().filter(|it| !gone.contains_key(it));
            Ok(missing.collect())
        }
    };
}
pub(crate) use discard_step;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Deed;
    use counterfoil_toolbox::TaskState;
    use counterfoil_toolbox::ids::TaskId;
    use counterfoil_toolbox::state::Lineage;

    #[test]
    fn a_batch_that_only_throws_a_message_away_or_writes_history_is_not_empty() {
        assert!(Batch::new().is_empty());
        let mut batch = Batch::new();
        batch.discards.insert(7, None);
        assert!(!batch.is_empty());
        let mut batch = Batch::new();
        let deed = Deed {
            action: "discard",
            by: None,
            at: DateTime::UNIX_EPOCH,
        };
        let state = TaskState::Failure;
        batch.note(&TaskId::random(), Lineage::default(), state, deed);
        assert!(!batch.is_empty());
    }
}
