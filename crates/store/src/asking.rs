//! Asking workers for something with no more rights than that, and questions of workers.

use crate::batch::Batch;
use crate::control::Asked;
use crate::error::StoreError;
use crate::record::ControlRow;
use async_trait::async_trait;
use counterfoil_toolbox::control::Order;
use uuid::Uuid;

/// What is asked by whoever may only ask, and by workers. Part of [`Store`](crate::Store).
#[async_trait]
pub trait Asking: Send + Sync {
    /// Writes down what a batch [asks](Batch::ask), and nothing else that is in it: for users of the database
    /// who may not change rows of tasks. The daemon does what it means for those before it passes it on.
    async fn only_ask(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The user that this store connects as, where that may not write what [`apply`](crate::Store::apply) records of
    /// tasks that were sent again and of messages that were taken out of dead queues; `None`: it may. Ask before
    /// anything is sent that could not be recorded afterwards. SQLite has no users.
    async fn only_asks(&self) -> Result<Option<String>, StoreError>;

    /// [Questions about sessions](Batch::inquire) that nobody has answered, oldest first: at most so many, up to
    /// 10,000.
    async fn unanswered(&self, limit: u32) -> Result<Vec<ControlRow>, StoreError>;

    /// Removes those of these questions: nobody asks for one that was answered.
    async fn remove_answered(&self, ids: &[Uuid]) -> Result<(), StoreError>;
}

impl Batch {
    /// Adds what is asked already, so that what it replaces ends.
    pub fn ask_again(&mut self, row: &ControlRow) {
        let Some(order) = Order::from_parts(&row.kind, &row.subject, row.run) else {
            return;
        };
        let (by, at) = (row.created_by.as_deref().map(Into::into), row.created_date);
        self.controls.insert(row.id, Asked { order, by, at });
    }
}

/// Implements [`Asking`] for a store that has the method `only_ask_now`.
macro_rules! implement_asking {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::asking::Asking for $store {
            async fn only_ask(&self, batch: &Batch) -> Result<(), StoreError> {
                if batch.controls.is_empty() {
                    return Ok(());
                }
                self.only_ask_now(batch).await
            }

            async fn only_asks(&self) -> Result<Option<String>, StoreError> {
                let users = query_as::<_, (String,)>(self.sql.only_asks);
                let users = self.all("look what its user may do", users).await?;
                Ok(users.into_iter().map(|(user,)| user).next())
            }

            async fn unanswered(&self, limit: u32) -> Result<Vec<ControlRow>, StoreError> {
                let rows = query_as(self.sql.unanswered).bind(row_limit(limit));
                self.all("list questions about sessions", rows).await
            }

            async fn remove_answered(&self, ids: &[Uuid]) -> Result<(), StoreError> {
                let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
                let ids = Self::texts(ids.iter().map(String::as_str));
                let answered = query(self.sql.delete_answered).bind(ids);
                self.execute("remove what was answered", answered).await
            }
        }
    };
}
pub(crate) use implement_asking;
