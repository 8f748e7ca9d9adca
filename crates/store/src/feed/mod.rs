//! The feed of changes: what a dashboard shows again because it has changed.
//!
//! Every transaction that changes tasks or sessions writes down their ids with it, in one row. Transactions commit
//! in any order, so a reader that remembers the last number that it saw loses those that come later with lower ones.
//! This one remembers what it saw: on PostgreSQL the snapshot of its look, and new is whatever that did not show. So
//! nothing is lost and nothing told twice, however long a transaction of anybody takes, and a transaction that stays
//! open holds nobody up. SQLite has one writer at a time; there the position is enough.
//!
//! The leading daemon keeps the feed short. Once a minute it marks what is visible, and it removes the marks before
//! one of ten minutes ago, with what was visible at all that are left. Who has seen a mark that is still there has
//! missed nothing that is gone; anybody else is told to read everything anew. After a crash of PostgreSQL the tables
//! are empty, and so nobody's mark is there. Where the database was restored from a dump, transactions are numbered
//! anew: what has higher numbers than there are is from elsewhere.

mod position;
mod tell;

pub use position::{BadFeedPosition, FeedPosition};
pub(crate) use tell::{also_changed, ids_as_json};

use crate::error::StoreError;
use crate::record::TaskRow;
use async_trait::async_trait;
use sqlx::FromRow;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// More ids than this are not told one by one: to read what is shown anew is less work.
pub(crate) const MOST_IDS: i64 = 100_000;

/// What happened in the feed since somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// All that changed since.
    Since(Changed),
    /// It cannot be told any more, or it is too much: read everything anew, after this position.
    TooOld(FeedPosition),
}

/// What changed. Each once, whatever happened to it; read the rows to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Public ids of tasks whose rows, histories or logs have changed. Some may be gone since.
    pub tasks: BTreeSet<String>,
    /// Ids of sessions whose rows have changed, or are gone.
    pub sessions: BTreeSet<String>,
    /// Public ids of tasks whose rows were removed. One that is named as changed too may be there again.
    pub deleted: BTreeSet<String>,
    /// From where to ask next.
    pub position: FeedPosition,
}

impl Changed {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.sessions.is_empty() && self.deleted.is_empty()
    }
}

/// Following what changes. Part of [`Store`](crate::Store). On PostgreSQL it needs the primary server: a standby has
/// no feed.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Where the feed stands. Whoever asks first and then reads rows misses nothing.
    async fn feed_position(&self) -> Result<FeedPosition, StoreError>;

    /// What changed since that position: everything that had been committed when it is called, up to 100,000 ids.
    async fn changes_since(&self, position: &FeedPosition) -> Result<Changes, StoreError>;

    /// Those of these public ids that have rows, newest first. Ask for at most 10,000 at a time.
    async fn tasks_with_public_ids(&self, ids: &[String]) -> Result<Vec<TaskRow>, StoreError>;

    /// Marks what is in the feed now. Marking with the same id again is harmless.
    async fn mark_changes(&self, id: Uuid) -> Result<(), StoreError>;

    /// Forgets changes that were visible at a mark of so long ago: at most so many rows, up to 10,000. Tells how
    /// many those were.
    async fn forget_changes(&self, age: Duration, limit: u32) -> Result<usize, StoreError>;
}

/// A row of `changes.sql`.
#[derive(Debug, FromRow)]
pub(crate) struct Look {
    is_known: bool,
    mark: Option<String>,
    seen: String,
    tasks: Option<String>,
    sessions: Option<String>,
    deleted: Option<String>,
}

impl Look {
    pub(crate) fn position(&self) -> FeedPosition {
        let mark = self.mark.as_deref().and_then(|id| id.parse().ok());
        FeedPosition::new(mark, &self.seen)
    }

    pub(crate) fn changes(self) -> Result<Changes, sqlx::Error> {
        let position = self.position();
        if !self.is_known {
            return Ok(Changes::TooOld(position));
        }
        // Not as if nothing had changed: the position would go on over what cannot be read.
        let ids = |json: Option<String>| match json {
            Some(json) => {
                serde_json::from_str(&json).map_err(|why| sqlx::Error::Decode(why.into()))
            }
            None => Ok(BTreeSet::new()),
        };
        Ok(Changes::Since(Changed {
            tasks: ids(self.tasks)?,
            sessions: ids(self.sessions)?,
            deleted: ids(self.deleted)?,
            position,
        }))
    }
}

/// Implements [`ChangeFeed`] for a store that has what [`implement_store!`](crate::calls::implement_store) needs.
macro_rules! implement_feed {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::feed::ChangeFeed for $store {
            async fn feed_position(&self) -> Result<crate::feed::FeedPosition, StoreError> {
                let nowhere = crate::feed::FeedPosition::nowhere();
                Ok(self.look(&nowhere).await?.position())
            }

            async fn changes_since(
                &self,
                position: &crate::feed::FeedPosition,
            ) -> Result<crate::feed::Changes, StoreError> {
                let changes = self.look(position).await?.changes();
                changes.map_err(|why| self.limits.error("read what has changed", why))
            }

            async fn tasks_with_public_ids(
                &self,
                ids: &[String],
            ) -> Result<Vec<TaskRow>, StoreError> {
                let ids: Vec<_> = ids.iter().map(|id| cleaned(id, INDEXED)).collect();
                let ids = Self::texts(ids.iter().map(|id| &**id));
                let tasks = query_as(self.sql.flow.tasks_with_public_ids).bind(ids);
                self.all("read tasks", tasks).await
            }

            async fn mark_changes(&self, id: Uuid) -> Result<(), StoreError> {
                let mark = query(self.sql.flow.insert_change_mark).bind(id.to_string());
                self.execute("mark what has changed", mark).await
            }

            async fn forget_changes(&self, age: Duration, limit: u32) -> Result<usize, StoreError> {
                const WHAT: &str = "forget what has changed";
                // First, so that nobody is told that nothing is missing of what goes next.
                let marks = query(self.sql.flow.delete_change_marks).bind(age.as_secs_f64());
                self.execute(WHAT, marks).await?;
                let changes = query(self.sql.flow.delete_changes).bind(row_limit(limit));
                self.changed(WHAT, changes).await
            }
        }

        impl $store {
            async fn look(
                &self,
                position: &crate::feed::FeedPosition,
            ) -> Result<crate::feed::Look, StoreError> {
                let look = query_as(self.sql.flow.changes)
                    .bind(position.mark().map(|id| id.to_string()))
                    .bind(position.seen())
                    .bind(crate::feed::MOST_IDS);
                let mut look = self.all("look what has changed", look).await?;
                Ok(look.pop().expect("the statement selects one row"))
            }
        }
    };
}
pub(crate) use implement_feed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_be_read_are_not_taken_for_no_change() {
        let look = |tasks: &str| Look {
            is_known: true,
            mark: None,
            seen: "7:7:".to_owned(),
            tasks: Some(tasks.to_owned()),
            sessions: None,
            deleted: None,
        };
        let read = look(r#"["abc"]"#).changes().expect("ids");
        assert!(matches!(read, Changes::Since(changed) if changed.tasks.len() == 1));
        assert!(look("[1]").changes().is_err());
    }
}
