//! The identity of tasks: of one type no two that live have the same identifier.
//!
//! Two senders do not know of each other, and no broker refuses the second task. So the platform keeps the
//! first and revokes the others, as soon as it sees both. Whoever sends through the database is refused
//! instead: [`living_namesake`](postgres::living_namesake) in the transaction that sends.

pub mod postgres;
pub mod sqlite;

use crate::batch::Batch;
use crate::control::Cancelling;
use crate::error::StoreError;
use crate::record::TaskRow;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::ids::TaskId;

/// Who revokes doubles, for the history.
const PLATFORM: &str = "counterfoil-sync";

/// A living task whose identity another one has that was sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Double {
    /// The task.
    pub task_id: TaskId,
    /// The first that lives of those with its type and identifier.
    pub first: TaskId,
}

/// The part of [`Store`](crate::Store) that is about them.
#[async_trait]
pub trait Identities {
    /// The task of this type with this identifier: the first that lives; else the last that was sent.
    async fn task_with_identity(
        &self,
        name: &str,
        identifier: &str,
    ) -> Result<Option<TaskRow>, StoreError>;

    /// Living tasks with the identity of one that was sent before and lives, but for those that somebody
    /// has cancelled: at most so many, up to 10,000.
    async fn doubles(&self, limit: u32) -> Result<Vec<Double>, StoreError>;
}

impl Batch {
    /// Adds that a task is revoked, because `first` lives and has the same identity: at once if it was not
    /// started, else by its worker. `at` is a time of the [database's](crate::Store::clock) clock.
    pub fn revoke_double(&mut self, task: &TaskRow, first: &TaskId, at: DateTime<Utc>) {
        if Cancelling::of(task) == Cancelling::Over {
            return;
        }
        let by = format!("{PLATFORM}, as the double of {first},");
        let revoke = Order::Revoke {
            task_id: task.task_id.clone(),
            run: task.run,
        };
        self.ask(revoke, Some(&by), at);
        self.revoke(task, Some(&by), at);
    }
}

/// Implements [`Identities`].
macro_rules! implement_identities {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::identity::Identities for $store {
            async fn task_with_identity(
                &self,
                name: &str,
                identifier: &str,
            ) -> Result<Option<TaskRow>, StoreError> {
                let task = query_as(self.sql.task_with_identity)
                    .bind(cleaned(name, INDEXED).into_owned())
                    .bind(cleaned(identifier, INDEXED).into_owned());
                Ok(self.all("read a task by its identity", task).await?.pop())
            }

            async fn doubles(
                &self,
                limit: u32,
            ) -> Result<Vec<crate::identity::Double>, StoreError> {
                let rows = query_as(self.sql.doubles).bind(row_limit(limit));
                let rows: Vec<(String, String)> = self
                    .all("look for tasks with the same identity", rows)
                    .await?;
                let double = |(task_id, first): (String, String)| {
                    Some(crate::identity::Double {
                        task_id: TaskId::new(&task_id).ok()?,
                        first: TaskId::new(&first).ok()?,
                    })
                };
                Ok(rows.into_iter().filter_map(double).collect())
            }
        }
    };
}

pub(crate) use implement_identities;
