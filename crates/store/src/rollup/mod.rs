//! Rollups: what charts are drawn from, counted in the transactions that write what they count.
//!
//! What counts, each in the minute in which it happened by the reporter's clock, but never later than it was written:
//! - `sent`: a row of a task that is new, in the minute of its `created_date`. Once per task, not per run.
//! - outcomes: a result that is new. Another one of the same run that takes its place takes back what was counted
//!   of the first: a failure that became a success is one success. Their size is the run time of the last attempt,
//!   where the worker told it.
//! - `queued`: the first attempt of a task was started, in the minute of the start. Its size is the time since the
//!   task was sent or was due, whichever is later. It is not known where the copy of that attempt came after the
//!   report, and exact to the second or so for tasks of Celery's senders: their ids tell no time, so they count from
//!   when the copy was read.
//! - `RETRY`: an execution of which a worker or the next copy tells that it was retried, once, whoever tells first.
//!
//! Told again, in whatever order and in whatever batches, nothing counts twice. What nobody reports does not count:
//! Celery's workers report with `-E`, and a result that somebody else writes into `task_result` is none of ours. A
//! task that was removed and is heard of again counts again.
//!
//! Transactions append a few rows each to `task_rollup_delta`, one for everything alike, so none waits for another.
//! The leading daemon adds those up into `task_rollup`, where minutes, hours and days stand beside each other, each
//! kept for as long as a chart of them makes sense; and beside the numbers of each type those of all types together.

mod delta;
mod fold;
mod size;
mod span;

pub(crate) use delta::{Counting, OldOutcome, Waited};
pub use fold::{Percentiles, Rollup, RollupPoint, TypeRollup};
pub(crate) use fold::{points, types};
pub(crate) use span::{SPANS, for_chart, for_types};

use crate::error::StoreError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use std::time::Duration;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Sent,
    Queued,
    Retry,
    Rejected,
    Failure,
    Revoked,
    Success,
}

impl What {
    pub(crate) const ALL: [Self; 7] = [
        Self::Sent,
        Self::Queued,
        Self::Retry,
        Self::Rejected,
        Self::Failure,
        Self::Revoked,
        Self::Success,
    ];

    /// As it stands in the tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Queued => "queued",
            Self::Retry => TaskState::Retry.as_str(),
            Self::Rejected => TaskState::Rejected.as_str(),
            Self::Failure => TaskState::Failure.as_str(),
            Self::Revoked => TaskState::Revoked.as_str(),
            Self::Success => TaskState::Success.as_str(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }

    /// Whether it is the end of a run.
    const fn is_end(self) -> bool {
        match self {
            Self::Rejected | Self::Failure | Self::Revoked | Self::Success => true,
            Self::Sent | Self::Queued | Self::Retry => false,
        }
    }
}

/// Numbers for charts. Part of [`Store`](crate::Store).
#[async_trait]
pub trait Rollups: Send + Sync {
    /// How tasks fared from one time to another, those of a service or a type or all, step by step: whole minutes
    /// or more, at most 2,000. Steps are longer where shorter ones are not kept any more: minutes are for 3 hours,
    /// five minutes for 2 days, hours for 8 days, six hours for 32 days, days (of UTC) for 90. It begins and ends
    /// with whole steps.
    async fn rollup(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        step: Duration,
        service: Option<&str>,
        name: Option<&str>,
    ) -> Result<Rollup, StoreError>;

    /// How the tasks of each type fared from one time to another that ended then, those first that took the most
    /// time together. It begins a little earlier: with a whole minute, five minutes, hour, quarter of a day or day,
    /// the longer the time the more of it.
    async fn rollup_types(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<TypeRollup>, StoreError>;

    /// Adds up what transactions have counted: so many of their rows, up to 10,000, in one transaction. Tells how
    /// many those were.
    async fn add_up_rollups(&self, limit: u32) -> Result<usize, StoreError>;

    /// Removes numbers of which charts are drawn no more: of each span so many, up to 10,000. Tells how many went.
    async fn forget_rollups(&self, limit: u32) -> Result<usize, StoreError>;
}

/// The spans, as a parameter.
pub(crate) fn spans() -> Vec<i16> {
    SPANS.iter().map(|span| span.minutes).collect()
}

/// Implements [`Rollups`] for a store that has what [`implement_store!`](crate::calls::implement_store) needs, and
/// the method `add_up_now`.
macro_rules! implement_rollups {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::rollup::Rollups for $store {
            async fn rollup(
                &self,
                from: DateTime<Utc>,
                to: DateTime<Utc>,
                step: Duration,
                service: Option<&str>,
                name: Option<&str>,
            ) -> Result<crate::rollup::Rollup, StoreError> {
                let now = self.clock().await?;
                let read = crate::rollup::for_chart((from, to), step, now);
                let (from, to) = read.times();
                // Of all types together: a fraction of the rows.
                let span = match (service, name) {
                    (None, None) => -read.span.minutes,
                    (Some(_), _) | (_, Some(_)) => read.span.minutes,
                };
                let rows = query_as(self.sql.flow.rollup)
                    .bind(span)
                    .bind(Self::time(from))
                    .bind(Self::time(to))
                    .bind(read.step)
                    .bind(service)
                    .bind(name);
                let rows = self.all("read numbers for a chart", rows).await?;
                Ok(crate::rollup::points(rows, read))
            }

            async fn rollup_types(
                &self,
                from: DateTime<Utc>,
                to: DateTime<Utc>,
            ) -> Result<Vec<crate::rollup::TypeRollup>, StoreError> {
                let now = self.clock().await?;
                let read = crate::rollup::for_types((from, to), now);
                let (from, to) = read.times();
                let rows = query_as(self.sql.flow.rollup_types)
                    .bind(read.span.minutes)
                    .bind(Self::time(from))
                    .bind(Self::time(to));
                let rows = self.all("compare types of tasks", rows).await?;
                Ok(crate::rollup::types(rows))
            }

            async fn add_up_rollups(&self, limit: u32) -> Result<usize, StoreError> {
                self.add_up_now(row_limit(limit)).await
            }

            async fn forget_rollups(&self, limit: u32) -> Result<usize, StoreError> {
                let now = self.clock().await?;
                let mut gone = 0;
                for span in crate::rollup::SPANS {
                    for minutes in [span.minutes, -span.minutes] {
                        let old = query(self.sql.flow.delete_old_rollups)
                            .bind(minutes)
                            .bind(Self::time(now - span.kept))
                            .bind(row_limit(limit));
                        gone += self.changed("forget old numbers", old).await?;
                    }
                }
                Ok(gone)
            }
        }
    };
}
pub(crate) use implement_rollups;
