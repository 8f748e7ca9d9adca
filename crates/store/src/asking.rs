//! Asking workers for something with no more rights than that.

use crate::batch::Batch;
use crate::control::Asked;
use crate::error::StoreError;
use crate::record::ControlRow;
use async_trait::async_trait;
use counterfoil_toolbox::control::Order;

/// What whoever may only ask needs. Part of [`Store`](crate::Store).
#[async_trait]
pub trait Asking: Send + Sync {
    /// Writes down what a batch [asks](Batch::ask), and nothing else that is in it: for users of the database
    /// who may not change rows of tasks. The daemon does what it means for those before it passes it on.
    async fn only_ask(&self, batch: &Batch) -> Result<(), StoreError>;
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
        }
    };
}
pub(crate) use implement_asking;
