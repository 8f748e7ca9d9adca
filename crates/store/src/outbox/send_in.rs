//! Sending a task in a transaction of the application.

use super::Outbox;
use crate::batch::Batch;
use crate::copy::{Seen, TrackingCopy};
use crate::error::StoreError;
use crate::store::Store;
use crate::stored::StoredMessage;
use chrono::Utc;
use counterfoil_toolbox::Task;
use counterfoil_toolbox::delay::delayed_key;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::TaskMessage;
use counterfoil_toolbox::producer::{Draft, RawTask, SendError, SendOptions};
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

/// A connection of the application, in a transaction of the platform's database.
#[derive(Debug)]
pub enum AppConnection<'c> {
    /// To PostgreSQL.
    Postgres(&'c mut PgConnection),
    /// To SQLite.
    Sqlite(&'c mut SqliteConnection),
}

impl AppConnection<'_> {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }
}

impl<'c> From<&'c mut PgConnection> for AppConnection<'c> {
    fn from(connection: &'c mut PgConnection) -> Self {
        Self::Postgres(connection)
    }
}

impl<'c> From<&'c mut SqliteConnection> for AppConnection<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }
}

impl<'c> From<&'c mut Transaction<'_, Postgres>> for AppConnection<'c> {
    fn from(transaction: &'c mut Transaction<'_, Postgres>) -> Self {
        Self::Postgres(transaction)
    }
}

impl<'c> From<&'c mut Transaction<'_, Sqlite>> for AppConnection<'c> {
    fn from(transaction: &'c mut Transaction<'_, Sqlite>) -> Self {
        Self::Sqlite(transaction)
    }
}

/// A task was not put into the outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendInError {
    /// It is no task that could be sent.
    #[error(transparent)]
    Task(#[from] SendError),
    /// The database did not take it. PostgreSQL lets such a transaction do nothing but roll back.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<'s> dyn Store + 's {
    /// Schedules a task in a transaction of the application: it is sent if and only if that commits,
    /// whether the broker is there or not. Tasks of one transaction are sent in the order of these
    /// calls, and those of a later transaction after them; but what a full queue refuses comes after what it took
    /// meanwhile. Its row is there when the transaction has
    /// committed.
    ///
    /// The leading daemon sends it, at once on PostgreSQL and within `sync.outbox_interval` (250 ms) on
    /// SQLite, and again where nobody knows whether the broker has it: it is recorded once, and executed
    /// at least once. A task that is sent with an `eta` or a `countdown` waits in the database.
    ///
    /// The transaction must be one of this store's database, whose tables it may write. SQLite: let it
    /// begin with `BEGIN IMMEDIATE`, and end soon, since nobody else writes meanwhile.
    ///
    /// ```no_run
    /// # use counterfoil_toolbox::Task;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct SendInvoice { order: i64 }
    /// # impl Task for SendInvoice { const NAME: &'static str = "shop.send_invoice"; type Output = (); }
    /// # async fn example(store: std::sync::Arc<dyn counterfoil_store::Store>, pool: sqlx::PgPool)
    /// #     -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("INSERT INTO shop_order (id) VALUES (17)").execute(&mut *tx).await?;
    /// let id = store.send_in(&mut tx, SendInvoice { order: 17 }).await?;
    /// tx.commit().await?; // from here on the task will run
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendInError`].
    ///
    /// # Cancel safety
    /// Cancelled, the transaction must be rolled back.
    pub async fn send_in<'c, T: Task>(
        &self,
        transaction: impl Into<AppConnection<'c>>,
        task: T,
    ) -> Result<TaskId, SendInError> {
        let options = SendOptions::default();
        self.send_with_in(transaction, task, options).await
    }

    /// `send_in` with options.
    ///
    /// # Errors
    /// [`SendInError`].
    pub async fn send_with_in<'c, T: Task>(
        &self,
        transaction: impl Into<AppConnection<'c>>,
        task: T,
        options: SendOptions,
    ) -> Result<TaskId, SendInError> {
        let draft = Draft::of(&task, options, Utc::now())?;
        self.drafted(transaction.into(), draft).await
    }

    /// `send_in` of a task by name, its arguments as JSON text.
    ///
    /// # Errors
    /// [`SendInError`].
    pub async fn send_raw_in<'c>(
        &self,
        transaction: impl Into<AppConnection<'c>>,
        task: RawTask,
        options: SendOptions,
    ) -> Result<TaskId, SendInError> {
        let draft = Draft::new(task, options, Utc::now())?;
        self.drafted(transaction.into(), draft).await
    }

    async fn drafted(
        &self,
        connection: AppConnection<'_>,
        draft: Draft,
    ) -> Result<TaskId, SendInError> {
        if let Some(delay) = draft.due.and_then(|due| (due - Utc::now()).to_std().ok()) {
            // What the broker could not hold is refused here too: it is a mistake.
            delayed_key(delay, &draft.routing_key).map_err(SendError::from)?;
        }
        Outbox::draft_in(self, connection, &draft).await?;
        Ok(draft.id)
    }
}

/// The key of a task in the outbox.
pub(crate) fn key_of(id: &TaskId) -> String {
    format!("task:{id}")
}

/// What the tracking copy of a task will write, as far as it is known before it is sent.
pub(crate) fn row_of(draft: &Draft) -> Batch {
    let mut batch = Batch::new();
    let Ok(task) = TaskMessage::decode(&draft.content) else {
        // The copy will be parked with the reason.
        return batch;
    };
    batch.track(&TrackingCopy {
        input: Some(task.payload.to_input()),
        envelope: task.envelope,
        message: StoredMessage {
            exchange: "".into(),
            routing_key: draft.routing_key.as_str().into(),
            content: draft.content.clone(),
        },
        seen: Seen::Scheduled,
    });
    let columns = batch.tasks.get_mut(&draft.id);
    if let Some(copy) = columns.and_then(|change| change.copy.as_mut()) {
        // Below every copy of the same attempt: the one that is sent knows its exchange.
        copy.key.digest = i64::MIN;
    }
    batch
}
