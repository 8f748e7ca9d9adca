//! Removing what is over for long enough.

use crate::error::StoreError;
use crate::filter::Cursor;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::{SessionId, TaskId};
use std::time::Duration;

/// Tasks that are kept equally long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTasks {
    /// Which ones.
    pub which: Kept,
    /// How long they are kept after the last change of their rows, in whole seconds of the database's clock.
    pub keep: Duration,
}

/// Which tasks are kept equally long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Those of this type that do not say how long they are kept.
    OfType(String),
    /// Those that say that they are kept [so long](KeptTasks::keep).
    BySaying,
}

/// Sessions that are kept equally long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSessions {
    /// Those whose finalizers are of this type.
    pub finalizer_type: String,
    /// How long they are kept after their end, in whole seconds of the database's clock.
    pub keep: Duration,
}

/// A session that has been over for as long as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSession {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How many subtasks it lists.
    pub total: i32,
}

impl OldSession {
    /// The place after which the next page begins.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            created_date: self.started_at,
            id: self.id.to_string(),
        }
    }
}

/// What one step of removing did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Tasks that went.
    pub tasks: usize,
    /// Where the next step begins; `None`: this was the last.
    pub next: Option<Cursor>,
}

/// A part of the ids that histories, results and logs know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownIds {
    /// Those of them that have no row.
    pub without_row: Vec<TaskId>,
    /// The last id of the part, after which the next one begins; `None`: this was the last part.
    pub next: Option<String>,
}

/// How rows leave the database. Part of [`Store`](crate::Store).
#[async_trait]
pub trait Retention: Send + Sync {
    /// Types of all tasks, in alphabetical order of service and name. It does not read the whole table.
    async fn task_types(&self) -> Result<Vec<String>, StoreError>;

    /// How long tasks are kept that say so themselves, each length once, without those that are kept for
    /// ever. It does not read the whole table.
    async fn retentions(&self) -> Result<Vec<Duration>, StoreError>;

    /// Looks at so many tasks, the oldest first and up to 10,000, and removes those of them that are over
    /// for long enough, with histories, results and logs, in one transaction. Immutable ones stay, and on
    /// PostgreSQL those that somebody writes at the moment; so do subtasks of sessions that are not over. Rows of a
    /// type that have no tracking copy and no lease go as if they were over: late reports left them of tasks that
    /// had been removed.
    async fn remove_old(
        &self,
        tasks: &KeptTasks,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Removed, StoreError>;

    /// Looks at so many of the ids that histories, results and logs know, up to 10,000, in their order, and
    /// tells which have no row.
    async fn ids_without_row(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<KnownIds, StoreError>;

    /// Removes histories, results and logs of those of these ids that still have no row, as far as they
    /// are older than `keep`.
    async fn remove_strays(&self, ids: &[TaskId], keep: Duration) -> Result<(), StoreError>;

    /// Drops the months of history of which nothing is left, once they are over by a week, and tells how
    /// many those were. It gives up at once when it would have to wait. Nothing where history is not
    /// partitioned.
    async fn drop_empty_months(&self) -> Result<usize, StoreError>;

    /// Types of the finalizers of all sessions, in alphabetical order.
    async fn finalizer_types(&self) -> Result<Vec<String>, StoreError>;

    /// Sessions that have been over for as long as they are kept, in the order in which they began: at most so many,
    /// up to 10,000. Those with finalizers of other types are kept for ever.
    async fn old_sessions(
        &self,
        kept: &[KeptSessions],
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<OldSession>, StoreError>;

    /// Removes those of these sessions that are over and of whose tasks no row is left, their lists of subtasks
    /// with them, in one transaction, and tells how many went.
    async fn remove_sessions(&self, ids: &[SessionId]) -> Result<usize, StoreError>;

    /// Forgets what was asked of workers and has not held for so long, the oldest first: at most so much, up to
    /// 10,000. Tells how much that was.
    async fn forget_controls(&self, ended_for: Duration, limit: u32) -> Result<usize, StoreError>;

    /// Forgets which tasks people deleted so long ago unless their dead letters are still there, the oldest first: at
    /// most so many, up to 10,000. Tells how many those were.
    async fn forget_deleted(&self, deleted_for: Duration, limit: u32) -> Result<usize, StoreError>;
}

/// A task that somebody deleted.
#[derive(Debug, serde::Serialize, sqlx::FromRow)]
pub(crate) struct Deleted {
    pub(crate) task_id: String,
    pub(crate) id: String,
    r#type: String,
}

/// Why tasks leave the database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Going<'a> {
    /// Somebody wants it, which is remembered.
    Deleted { by: Option<&'a str> },
    /// They were kept for so long.
    Old { seconds: i64 },
}

/// A row of `old_of_type.sql` and `old_of_retention.sql`.
pub(crate) type OldRow = (String, DateTime<Utc>, String, bool);

/// Which of a page of old rows may go, and where the next page begins.
pub(crate) fn page(rows: Vec<OldRow>, limit: i64) -> (Vec<TaskId>, Option<Cursor>) {
    let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < limit);
    let next = rows.last().filter(|_| !is_last);
    let next = next.map(|(_, created_date, id, _)| Cursor {
        created_date: *created_date,
        id: id.clone(),
    });
    let may_go = rows.into_iter().filter(|(.., may_go)| *may_go);
    let ids = may_go.filter_map(|(id, ..)| TaskId::new(&id).ok());
    (ids.collect(), next)
}

/// Whole seconds, as a parameter.
pub(crate) fn seconds(time: Duration) -> i64 {
    let longest = counterfoil_toolbox::retention::FOR_EVER;
    i64::try_from(time.min(longest).as_secs()).unwrap_or(i64::MAX)
}

/// How long sessions are kept as JSON, as `old_sessions.sql` takes it, and the least of it in seconds.
pub(crate) fn rules(kept: &[KeptSessions]) -> (String, i64) {
    let rule = |kept: &KeptSessions| serde_json::json!({"type": kept.finalizer_type, "seconds": seconds(kept.keep)});
    let rules: serde_json::Value = kept.iter().map(rule).collect();
    let least = kept.iter().map(|kept| seconds(kept.keep)).min();
    (rules.to_string(), least.unwrap_or_default())
}

/// Implements [`Retention`] for a store that has what [`implement_store!`](crate::calls::implement_store) needs,
/// and the method `drop_empty_months_now`.
macro_rules! implement_retention {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::retention::Retention for $store {
            async fn task_types(&self) -> Result<Vec<String>, StoreError> {
                let types = query_as::<_, (String, String)>(self.sql.task_types);
                let types = self.all("list the types of tasks", types).await?;
                Ok(types.into_iter().map(|(_, name)| name).collect())
            }

            async fn retentions(&self) -> Result<Vec<Duration>, StoreError> {
                let for_ever = crate::retention::seconds(Duration::MAX);
                let lengths = query_as::<_, (i64,)>(self.sql.retentions).bind(for_ever);
                let lengths = self.all("list how long tasks are kept", lengths).await?;
                let lengths = lengths.into_iter();
                Ok(lengths
                    .map(|(s,)| Duration::from_secs(s.unsigned_abs()))
                    .collect())
            }

            async fn remove_old(
                &self,
                tasks: &crate::retention::KeptTasks,
                after: Option<&crate::filter::Cursor>,
                limit: u32,
            ) -> Result<crate::retention::Removed, StoreError> {
                const WHAT: &str = "remove old tasks";
                let (keep, limit) = (crate::retention::seconds(tasks.keep), row_limit(limit));
                let statement = match &tasks.which {
                    crate::retention::Kept::OfType(name) => query_as(self.sql.old_of_type)
                        .bind(crate::filter::service_of(name))
                        .bind(name.as_str())
                        .bind(keep),
                    crate::retention::Kept::BySaying => {
                        query_as(self.sql.old_of_retention).bind(keep)
                    }
                };
                let statement = statement
                    .bind(after.map(|after| Self::time(after.created_date)))
                    .bind(after.map(|after| after.id.as_str()))
                    .bind(limit);
                let (ids, next) = crate::retention::page(self.all(WHAT, statement).await?, limit);
                let mut removed = crate::retention::Removed { tasks: 0, next };
                if !ids.is_empty() {
                    let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                    let old = crate::retention::Going::Old { seconds: keep };
                    let deleted =
                        Self::delete_now(&mut held, (self.sql, self.celery.get()), &ids, old);
                    let deleted = self.limits.within(WHAT, deleted).await;
                    removed.tasks = held.settle(deleted)?.len();
                }
                Ok(removed)
            }

            async fn ids_without_row(
                &self,
                after: Option<&str>,
                limit: u32,
            ) -> Result<crate::retention::KnownIds, StoreError> {
                let limit = row_limit(limit);
                let ids = query_as::<_, (String, bool)>(self.sql.ids_without_row)
                    .bind(after.unwrap_or_default())
                    .bind(limit);
                let ids = self.all("look for ids without a row", ids).await?;
                let is_last = i64::try_from(ids.len()).is_ok_and(|count| count < limit);
                let next = ids.last().filter(|_| !is_last).map(|(id, _)| id.clone());
                let without_row = ids.iter().filter(|(_, has_no_row)| *has_no_row);
                let without_row = without_row.filter_map(|(id, _)| TaskId::new(id).ok());
                Ok(crate::retention::KnownIds {
                    without_row: without_row.collect(),
                    next,
                })
            }

            async fn remove_strays(
                &self,
                ids: &[TaskId],
                keep: Duration,
            ) -> Result<(), StoreError> {
                for statement in [
                    self.sql.delete_stray_events,
                    self.sql.delete_stray_logs,
                    self.sql.delete_stray_results,
                ] {
                    let ids = Self::texts(ids.iter().map(|id| id.as_str()));
                    let keep = crate::retention::seconds(keep);
                    let statement = query(statement).bind(ids).bind(keep);
                    self.execute("remove what belongs to no task", statement)
                        .await?;
                }
                Ok(())
            }

            async fn drop_empty_months(&self) -> Result<usize, StoreError> {
                self.drop_empty_months_now().await
            }

            async fn finalizer_types(&self) -> Result<Vec<String>, StoreError> {
                let types = query_as::<_, (String,)>(self.sql.finalizer_types);
                let types = self.all("list the types of finalizers", types).await?;
                Ok(types.into_iter().map(|(name,)| name).collect())
            }

            async fn old_sessions(
                &self,
                kept: &[crate::retention::KeptSessions],
                after: Option<&crate::filter::Cursor>,
                limit: u32,
            ) -> Result<Vec<crate::retention::OldSession>, StoreError> {
                let (rules, least) = crate::retention::rules(kept);
                let sessions = query_as::<_, (String, DateTime<Utc>, i32)>(self.sql.old_sessions)
                    .bind(rules)
                    .bind(least)
                    .bind(after.map(|after| Self::time(after.created_date)))
                    .bind(after.map(|after| after.id.as_str()))
                    .bind(row_limit(limit));
                let sessions = self.all("look for old sessions", sessions).await?;
                let sessions = sessions.into_iter().filter_map(|(id, started_at, total)| {
                    let id = SessionId::new(&id).ok()?;
                    Some(crate::retention::OldSession {
                        id,
                        started_at,
                        total,
                    })
                });
                Ok(sessions.collect())
            }

            async fn remove_sessions(&self, ids: &[SessionId]) -> Result<usize, StoreError> {
                const WHAT: &str = "remove old sessions";
                let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                let removed = Self::remove_sessions_now(&mut held, self.sql, ids);
                let removed = self.limits.within(WHAT, removed).await;
                held.settle(removed)
            }

            async fn forget_controls(
                &self,
                ended_for: Duration,
                limit: u32,
            ) -> Result<usize, StoreError> {
                let statement = query(self.sql.delete_ended_controls)
                    .bind(crate::retention::seconds(ended_for))
                    .bind(row_limit(limit));
                self.changed("forget what was asked of workers", statement)
                    .await
            }

            async fn forget_deleted(
                &self,
                deleted_for: Duration,
                limit: u32,
            ) -> Result<usize, StoreError> {
                let statement = query(self.sql.forget_deleted)
                    .bind(crate::retention::seconds(deleted_for))
                    .bind(row_limit(limit));
                self.changed("forget deleted tasks", statement).await
            }
        }

        impl $store {
            async fn remove_sessions_now(
                connection: &mut <Db as sqlx::Database>::Connection,
                sql: &Statements,
                ids: &[SessionId],
            ) -> Result<usize, sqlx::Error> {
                let mut tx = connection.begin().await?;
                let ids = Self::texts(ids.iter().map(|id| id.as_str()));
                let gone = query_as::<_, (String,)>(sql.remove_sessions).bind(ids);
                let gone = gone.fetch_all(&mut *tx).await?;
                let ids = Self::texts(gone.iter().map(|(id,)| id.as_str()));
                let subtasks = query(sql.delete_subtasks).bind(ids);
                subtasks.execute(&mut *tx).await?;
                let told = crate::feed::ids_as_json(gone.iter().map(|(id,)| id.as_str()));
                let told = query(sql.flow.tell_changes).bind("session").bind(told);
                told.execute(&mut *tx).await?;
                tx.commit().await?;
                Ok(gone.len())
            }
        }
    };
}
pub(crate) use implement_retention;
