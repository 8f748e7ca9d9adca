//! The calls that both databases answer alike.

use super::OutboxMessage;
use crate::record::MessageColumns;
use sqlx::FromRow;

/// A message of the outbox, column by column.
#[derive(Debug, FromRow)]
pub(crate) struct MessageRow {
    position: i64,
    key: String,
    queue: String,
    #[sqlx(flatten)]
    message: MessageColumns,
}

impl From<MessageRow> for OutboxMessage {
    fn from(row: MessageRow) -> Self {
        Self {
            position: row.position,
            key: row.key,
            queue: row.queue,
            message: row.message.into(),
        }
    }
}

/// Implements [`Outbox`](super::Outbox). Beside what `implement_store!` asks for, the type has the
/// methods `draft_now` and `wake_now`. The function finds who has an identity already.
macro_rules! implement_outbox {
    ($store:ty, $living_namesake:path) => {
        impl $store {
            /// Refuses a task while another one with its identity lives.
            async fn refuse_namesake(
                &self,
                connection: &mut <Db as sqlx::Database>::Connection,
                draft: &counterfoil_toolbox::producer::Draft,
            ) -> Result<(), StoreError> {
                let Some(identifier) = draft.identifier() else {
                    return Ok(());
                };
                let identity = (draft.task.as_str(), identifier);
                let found = $living_namesake(connection, identity, &draft.id);
                let found = self.limits.within("look for the same identity", found);
                match found.await? {
                    None => Ok(()),
                    Some(living) => Err(StoreError::AlreadyScheduled {
                        name: draft.task.to_string(),
                        identifier: identifier.to_owned(),
                        living,
                    }),
                }
            }
        }

        #[async_trait::async_trait]
        impl crate::outbox::Outbox for $store {
            async fn draft_in(
                &self,
                connection: crate::outbox::AppConnection<'_>,
                draft: &counterfoil_toolbox::producer::Draft,
            ) -> Result<(), StoreError> {
                self.draft_now(connection, draft).await
            }

            async fn due_messages(
                &self,
                held: &[String],
                most: u32,
                bytes: u32,
            ) -> Result<Vec<crate::outbox::OutboxMessage>, StoreError> {
                let rows = query_as(self.sql.due_outbox)
                    .bind(Self::texts(held.iter().map(String::as_str)))
                    .bind(row_limit(most))
                    .bind(i64::from(bytes));
                let rows: Vec<crate::outbox::MessageRow> =
                    self.all("read the outbox", rows).await?;
                Ok(rows.into_iter().map(Into::into).collect())
            }

            async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
                let next = query_as::<_, (Option<f64>,)>(self.sql.next_due);
                let next = self.all("look what is due next", next).await?;
                let seconds = next.first().and_then(|(seconds,)| *seconds);
                Ok(seconds.map(|seconds| {
                    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
                }))
            }

            async fn mark_sent(&self, positions: &[i64]) -> Result<(), StoreError> {
                let positions: Vec<_> = positions.iter().map(i64::to_string).collect();
                let marked = query(self.sql.mark_sent)
                    .bind(Self::texts(positions.iter().map(String::as_str)));
                self.execute("note what the outbox has sent", marked).await
            }

            async fn refuse_message(&self, position: i64, why: &str) -> Result<(), StoreError> {
                let refused = query(self.sql.refuse_message)
                    .bind(position)
                    .bind(crate::text::cleaned(why, crate::text::LINE).into_owned());
                self.execute("note what the outbox cannot send", refused)
                    .await
            }

            async fn outbox_state(&self) -> Result<crate::outbox::OutboxState, StoreError> {
                let state = query_as(self.sql.outbox_state);
                let state = self.all("look how the outbox is doing", state).await?;
                Ok(state.first().copied().unwrap_or_default())
            }

            async fn refused_messages(
                &self,
                id: Option<&str>,
                limit: u32,
            ) -> Result<Vec<crate::outbox::RefusedMessage>, StoreError> {
                let id = id.map(|id| cleaned(id, crate::text::LINE));
                let rows = query_as(self.sql.refused_messages)
                    .bind(id.as_deref())
                    .bind(row_limit(limit));
                self.all("list what the outbox cannot send", rows).await
            }

            async fn retry_refused(&self, positions: &[i64]) -> Result<Vec<i64>, StoreError> {
                const WHAT: &str = "deal with what the outbox cannot send";
                let positions: Vec<_> = positions.iter().map(i64::to_string).collect();
                let rows = query_as::<_, (i64,)>(self.sql.retry_refused)
                    .bind(Self::texts(positions.iter().map(String::as_str)));
                let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                let rows = self.limits.within(WHAT, rows.fetch_all(&mut *held)).await;
                let rows = held.settle(rows)?;
                Ok(rows.into_iter().map(|(position,)| position).collect())
            }

            async fn forget_sent(&self, age: Duration, limit: u32) -> Result<u64, StoreError> {
                const WHAT: &str = "forget what the outbox has sent";
                let gone = query(self.sql.forget_sent)
                    .bind(age.as_secs_f64())
                    .bind(row_limit(limit));
                let mut held = self.limits.acquire(WHAT, self.writers()).await?;
                let gone = self.limits.within(WHAT, gone.execute(&mut *held)).await;
                Ok(held.settle(gone)?.rows_affected())
            }

            async fn outbox_wake(&self) -> Result<crate::outbox::OutboxWake, StoreError> {
                self.wake_now().await
            }
        }
    };
}

pub(crate) use implement_outbox;
