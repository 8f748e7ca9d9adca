//! Results where callers in Python look for them: the tables of Celery's database backend, in the platform's database.
//!
//! A row of `celery_taskmeta` follows the state of its task: it is written in the transaction that changes that, if it
//! changes it. `rows` is what is written, `pickle` one way to write results, `tables` looks what tables there are.

mod adopted;
mod chords;
mod members;
mod pickle;
mod replaced;
mod rows;
mod tables;
mod unpickle;

pub(crate) use adopted::{MOST, MOST_AT_ONCE, adopt_step, adopted, candidates, whole_results};
pub(crate) use chords::{Awaited, CHORD, ChordRow, chord_steps, no_more_skipped, skipped};
pub(crate) use members::{Ends, MOST_OF_CHORD, MemberRow, Outcome, late};
pub(crate) use replaced::ReplacedRow;
pub(crate) use rows::{
    ResultRow, SkippedRow, result_rows, revoked_result, revoked_rows, skipped_rows,
};
pub(crate) use tables::{Keeping, implement_celery_tables, keeping};

use crate::error::StoreError;
use async_trait::async_trait;
use counterfoil_toolbox::config::CeleryEncoding;
use std::time::Duration;

/// The tables of Celery's database backend. Part of [`Store`](crate::Store).
#[async_trait]
pub trait CeleryTables: Send + Sync {
    /// Writes results into the tables of Celery, from now on, with every [batch](crate::Store::apply). Tables that are
    /// missing are made, as Celery makes them. The first encoding that is asked for counts.
    ///
    /// # Errors
    /// [`StoreError::CeleryTables`] when they cannot be used: what is in the way, and what to do about it.
    async fn keep_celery_results(&self, encoding: CeleryEncoding) -> Result<(), StoreError>;

    /// Puts into the outbox what became of [groups that are waited for](crate::Batch::chord), where all of their tasks are
    /// over: looks at so many, and returns how many were. What cannot be stored of the results of one is told in their
    /// place. One that cannot be told of now is looked after half a minute later, and keeps no other from being told of.
    async fn unlock_chords(&self, limit: u32) -> Result<usize, StoreError>;

    /// Ends those tasks in whose place others went on that failed: at most so many, and returns how many were.
    async fn fail_replaced(&self, limit: u32) -> Result<usize, StoreError>;

    /// Forgets tasks that were never sent, because the one before them failed so long ago.
    async fn forget_skipped(&self, age: Duration) -> Result<(), StoreError>;
}
