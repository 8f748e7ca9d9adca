//! Ending a session whose time is over, page by page.

use crate::batch::Batch;
use crate::error::StoreError;
use crate::store::Store;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::SessionId;

/// Subtasks that are written together.
const AT_ONCE: u32 = 500;

/// How an open session ends whose time is over: batches to be written, one after the other. Left in the middle,
/// it may be begun anew.
#[derive(Debug)]
pub struct TimeOut<'a> {
    session: &'a SessionId,
    by: Option<&'a str>,
    at: DateTime<Utc>,
    place: Place,
    /// How many subtasks were missing so far.
    pub missing: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    After(Option<i32>),
    Done,
}

impl<'a> TimeOut<'a> {
    /// The end of `session`, `at` a time of the [database's](Store::clock) clock. `by`: who asks workers to leave
    /// what is missing.
    #[must_use]
    pub fn new(session: &'a SessionId, by: Option<&'a str>, at: DateTime<Utc>) -> Self {
        Self {
            session,
            by,
            at,
            place: Place::After(None),
            missing: 0,
        }
    }

    /// What is to be written next; `None`: that was all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next(&mut self, store: &dyn Store) -> Result<Option<Batch>, StoreError> {
        let Place::After(after) = self.place else {
            return Ok(None);
        };
        // One more tells whether this is the last page.
        let rows = store.unfinished_subtasks(self.session, after, AT_ONCE + 1);
        let mut rows = rows.await?;
        let is_last = rows.len() <= AT_ONCE as usize;
        rows.truncate(AT_ONCE as usize);
        self.place = match is_last {
            true => Place::Done,
            false => Place::After(rows.last().map(|row| row.position)),
        };
        let mut batch = Batch::new();
        if after.is_none() {
            // With the first page: whatever ends it from now on, its time was over, and workers know.
            batch.time_out_session(self.session, self.by, self.at);
        }
        batch.fail_subtasks(self.session, &rows, self.at);
        self.missing += rows.len();
        if is_last {
            batch.write_off_session(self.session);
        }
        Ok(Some(batch))
    }
}
