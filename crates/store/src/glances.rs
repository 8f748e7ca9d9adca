//! What a page shows at once: some of a list, or a count that ends somewhere, so that it is quick whatever there is.

use crate::error::StoreError;
use crate::record::{EventRow, LogRow, TaskRow};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::ids::TaskId;
use sqlx::FromRow;

/// Some of a list, and whether there is more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// Those that are shown.
    pub rows: Vec<T>,
    /// Whether there are others.
    pub has_more: bool,
}

impl<T> Part<T> {
    /// The first `most` of `rows`. One more that was looked for tells that there are others.
    ///
    /// ```
    /// use counterfoil_store::Part;
    ///
    /// assert_eq!(Part::of(vec![1, 2, 3], 2), Part { rows: vec![1, 2], has_more: true });
    /// assert_eq!(Part::of(vec![1, 2], 2), Part { rows: vec![1, 2], has_more: false });
    /// ```
    #[must_use]
    pub fn of(mut rows: Vec<T>, most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let has_more = rows.len() > most;
        rows.truncate(most);
        Self { rows, has_more }
    }

    /// The last of those that are shown, where others follow: the next page begins after it.
    #[must_use]
    pub fn end(&self) -> Option<&T> {
        self.rows.last().filter(|_| self.has_more)
    }
}

/// A task that a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RunningTask {
    /// Public id.
    pub id: String,
    /// Type of the task.
    #[sqlx(rename = "type")]
    pub name: String,
    /// Id of the worker.
    pub worker: String,
    /// When this attempt was started, by the worker's clock; `None`: nobody told.
    pub started_at: Option<DateTime<Utc>>,
}

/// Tasks that wait for a time that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed {
    /// By service, in alphabetical order; services without such tasks are left out.
    pub services: Vec<DelayedOf>,
    /// Whether all tasks that wait were looked at; else there may be more than were counted.
    pub is_whole: bool,
}

/// Those of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedOf {
    /// The service.
    pub service: String,
    /// How many tasks.
    pub tasks: i64,
    /// When the first of them is due.
    pub next_at: Option<DateTime<Utc>>,
}

/// How many messages died in a service.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DiedSince {
    /// The service.
    pub service: String,
    /// Since the one time.
    pub letters: i64,
    /// Of them, since the later one.
    pub lately: i64,
}

/// The part of [`Store`](crate::Store) that is about them. Limits hold up to 10,000.
#[async_trait]
pub trait Glances {
    /// The first of the family with this first task, oldest first.
    async fn first_of_family(
        &self,
        root_id: &TaskId,
        limit: u32,
    ) -> Result<Part<TaskRow>, StoreError>;

    /// What happened to a task last, in the order of its attempts.
    async fn last_of_history(
        &self,
        task_id: &TaskId,
        limit: u32,
    ) -> Result<Part<EventRow>, StoreError>;

    /// Lines that the task's handler wrote last, oldest first.
    async fn last_of_log(&self, task_id: &TaskId, limit: u32) -> Result<Part<LogRow>, StoreError>;

    /// What these workers run, as far as they told: of each up to `each` tasks, those that were sent first. Of all
    /// tasks that run anywhere, the newest 5,000 are looked at, and as many of those that told how far they are.
    async fn running(&self, workers: &[&str], each: u32) -> Result<Vec<RunningTask>, StoreError>;

    /// Tasks that wait for a time that is to come: not before it they start, or are retried. The newest 10,000
    /// that wait are looked at, and as many of those that are to be retried.
    async fn delayed(&self) -> Result<Delayed, StoreError>;

    /// Which messages died since `since` and still lie in dead queues, by service, and how many of them since
    /// `lately`. The newest `most` are counted.
    async fn died_since(
        &self,
        since: DateTime<Utc>,
        lately: DateTime<Utc>,
        most: u32,
    ) -> Result<Vec<DiedSince>, StoreError>;

    /// How many messages are parked: `most` at most.
    async fn count_parked(&self, most: u32) -> Result<i64, StoreError>;
}

/// How many tasks that wait are looked at.
pub(crate) const LOOKED_AT: i64 = 10_000;

/// What is counted of a service's tasks that wait.
#[derive(Debug, FromRow)]
pub(crate) struct DelayedColumns {
    service: String,
    tasks: i64,
    next_at: Option<DateTime<Utc>>,
    waiting: i64,
    retried: i64,
}

impl Delayed {
    pub(crate) fn of(rows: Vec<DelayedColumns>) -> Self {
        let seen = |of: fn(&DelayedColumns) -> i64| rows.iter().map(of).sum::<i64>() < LOOKED_AT;
        let is_whole = seen(|row| row.waiting) && seen(|row| row.retried);
        let services = rows.into_iter().filter(|row| row.tasks > 0);
        let services = services.map(|row| DelayedOf {
            service: row.service,
            tasks: row.tasks,
            next_at: row.next_at,
        });
        Self {
            services: services.collect(),
            is_whole,
        }
    }
}

/// Implements [`Glances`].
macro_rules! implement_glances {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::glances::Glances for $store {
            async fn first_of_family(
                &self,
                root_id: &TaskId,
                limit: u32,
            ) -> Result<crate::glances::Part<TaskRow>, StoreError> {
                let rows = self.first_members(root_id, row_limit(limit) + 1).await?;
                Ok(crate::glances::Part::of(rows, limit))
            }

            async fn last_of_history(
                &self,
                task_id: &TaskId,
                limit: u32,
            ) -> Result<crate::glances::Part<EventRow>, StoreError> {
                let rows = self.last_events(task_id, row_limit(limit) + 1).await?;
                let mut part = crate::glances::Part::of(rows, limit);
                part.rows = crate::history::told(part.rows);
                Ok(part)
            }

            async fn last_of_log(
                &self,
                task_id: &TaskId,
                limit: u32,
            ) -> Result<crate::glances::Part<LogRow>, StoreError> {
                let rows = self.last_lines(task_id, row_limit(limit) + 1).await?;
                let mut part = crate::glances::Part::of(rows, limit);
                part.rows.reverse();
                Ok(part)
            }

            async fn running(
                &self,
                workers: &[&str],
                each: u32,
            ) -> Result<Vec<crate::glances::RunningTask>, StoreError> {
                let running = query_as(self.sql.flow.running)
                    .bind(Self::texts(workers.iter().copied()))
                    .bind(row_limit(each));
                self.all("list what workers run", running).await
            }

            async fn delayed(&self) -> Result<crate::glances::Delayed, StoreError> {
                let rows = query_as(self.sql.flow.delayed).bind(crate::glances::LOOKED_AT);
                let rows = self.all("count delayed tasks", rows).await?;
                Ok(crate::glances::Delayed::of(rows))
            }

            async fn died_since(
                &self,
                since: DateTime<Utc>,
                lately: DateTime<Utc>,
                most: u32,
            ) -> Result<Vec<crate::glances::DiedSince>, StoreError> {
                let counts = query_as(self.sql.flow.died_since)
                    .bind(Self::time(since))
                    .bind(Self::time(lately))
                    .bind(row_limit(most));
                self.all("count dead letters", counts).await
            }

            async fn count_parked(&self, most: u32) -> Result<i64, StoreError> {
                let count = query_as(self.sql.flow.count_parked).bind(row_limit(most));
                let count: Vec<(i64,)> = self.all("count parked messages", count).await?;
                let (count,) = count.first().expect("the statement selects one row");
                Ok(*count)
            }
        }

        impl $store {
            async fn first_members(
                &self,
                root_id: &TaskId,
                limit: i64,
            ) -> Result<Vec<TaskRow>, StoreError> {
                let tasks = query_as(self.sql.family).bind(root_id.as_str()).bind(limit);
                self.all("read a family of tasks", tasks).await
            }

            async fn last_events(
                &self,
                task_id: &TaskId,
                limit: i64,
            ) -> Result<Vec<EventRow>, StoreError> {
                let lines = query_as(self.sql.history)
                    .bind(task_id.as_str())
                    .bind(limit);
                self.all("read the history of a task", lines).await
            }

            /// Newest first.
            async fn last_lines(
                &self,
                task_id: &TaskId,
                limit: i64,
            ) -> Result<Vec<LogRow>, StoreError> {
                let lines = query_as(self.sql.log).bind(task_id.as_str()).bind(limit);
                self.all("read the log of a task", lines).await
            }
        }
    };
}

pub(crate) use implement_glances;
