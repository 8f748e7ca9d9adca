//! Ending a session before its subtasks are over, page by page.

use super::SessionEnds;
use crate::batch::Batch;
use crate::error::StoreError;
use crate::store::Store;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::SessionId;
use uuid::Uuid;

/// Subtasks that are written together.
const AT_ONCE: u32 = 500;

/// How an open session ends before its subtasks do: batches to be written, one after the other. Left in the
/// middle, it may be begun anew.
#[derive(Debug)]
pub struct EarlyEnd<'a> {
    session: &'a SessionId,
    why: SessionEnds,
    by: Option<&'a str>,
    at: DateTime<Utc>,
    is_asked: bool,
    place: Place,
    /// What became of its subtasks so far.
    pub so_far: EndedEarly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    After(Option<i32>),
    Done,
}

/// What became of an open session's subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndedEarly {
    /// Those that are over.
    pub ended: usize,
    /// Those that run, and are asked to stop.
    pub running: usize,
    /// Id of what workers are asked, if they were not before.
    pub asked: Option<Uuid>,
}

impl<'a> EarlyEnd<'a> {
    /// The end of `session` that `by` wants, `at` a time of the [database's](Store::clock) clock.
    #[must_use]
    pub fn new(
        session: &'a SessionId,
        why: SessionEnds,
        by: Option<&'a str>,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            session,
            why,
            by,
            at,
            is_asked: false,
            place: Place::Begin,
            so_far: EndedEarly::default(),
        }
    }

    /// Workers are asked to leave its subtasks already.
    #[must_use]
    pub fn asked_already(mut self) -> Self {
        self.is_asked = true;
        self
    }

    /// What is to be written next; `None`: that was all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next(&mut self, store: &dyn Store) -> Result<Option<Batch>, StoreError> {
        let after = match self.place {
            Place::Begin => None,
            Place::After(after) => after,
            Place::Done => return Ok(None),
        };
        // One more tells whether this is the last page: with its last subtask the session is over, and by then
        // it has to be known that its time was.
        let rows = store.unfinished_subtasks(self.session, after, AT_ONCE + 1);
        let mut rows = rows.await?;
        let (is_first, is_last) = (self.place == Place::Begin, rows.len() <= AT_ONCE as usize);
        rows.truncate(AT_ONCE as usize);
        self.place = match is_last {
            true => Place::Done,
            false => Place::After(rows.last().map(|row| row.position)),
        };
        let mut batch = Batch::new();
        let ended = batch.end_subtasks(self.session, &rows, self.why, self.at);
        self.so_far.ended += ended;
        self.so_far.running += rows.len() - ended;
        let is_now = match self.why {
            // So that none is started meanwhile.
            SessionEnds::Aborted => is_first,
            // With it the session is over.
            SessionEnds::TimedOut => is_last,
        };
        if is_now {
            batch.end_session(self.session, self.why, self.by);
            if !self.is_asked {
                self.so_far.asked = Some(batch.revoke_session(self.session, self.by, self.at));
            }
        }
        Ok(Some(batch))
    }
}
