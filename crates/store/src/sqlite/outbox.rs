//! Tasks that an application sends in a transaction of its own.

use super::sessions::tell_changes;
use super::write::tasks_and_lines;
use super::{Db, Sqlite};
use crate::batch::Batch;
use crate::error::StoreError;
use crate::ids::IdKey;
use crate::outbox::{AppConnection, OutboxWake, discard_step, key_of, row_of};
use crate::sql::Statements;
use crate::stored::{headers_to_json, properties_to_json};
use crate::time::{clamped, to_text};
use crate::values::required;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::producer::Draft;
use sqlx::{Connection, SqliteConnection, Transaction, query};
use std::sync::Arc;

discard_step!(sqlx::Sqlite);

/// Puts a message into the outbox, once per key, to be published at once.
pub(super) async fn hand_over(
    tx: &mut SqliteConnection,
    sql: &Statements,
    key: &str,
    routing_key: &RoutingKey,
    content: &Content,
) -> Result<(), sqlx::Error> {
    let task = query(sql.insert_outbox)
        .bind(key)
        .bind("")
        .bind(routing_key.as_str())
        .bind(&content.body[..])
        .bind(headers_to_json(&content.headers))
        .bind(properties_to_json(&content.properties));
    task.execute(tx).await.map(drop)
}

impl Sqlite {
    pub(super) async fn draft_now(
        &self,
        connection: AppConnection<'_>,
        draft: &Draft,
    ) -> Result<(), StoreError> {
        let ids = required(self.ids.as_ref(), &self.limits.server)?;
        let theirs = connection.kind();
        let AppConnection::Sqlite(connection) = connection else {
            return Err(StoreError::OtherDatabase {
                theirs,
                server: Arc::clone(&self.limits.server),
            });
        };
        self.refuse_namesake(&mut *connection, draft).await?;
        let key = key_of(&draft.id);
        let put = self.put_in(connection, ids, &key, draft);
        self.limits
            .within("put a task into the outbox", put)
            .await?;
        hit(Point::OutboxInserted).await;
        Ok(())
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(
        connection: &mut SqliteConnection,
    ) -> Result<Transaction<'_, Db>, sqlx::Error> {
        connection.begin_with("BEGIN IMMEDIATE").await
    }

    /// Puts a task into the outbox under a key, and its row beside it.
    pub(super) async fn put_in(
        &self,
        tx: &mut SqliteConnection,
        ids: &IdKey,
        key: &str,
        draft: &Draft,
    ) -> Result<(), sqlx::Error> {
        tasks_and_lines(tx, self.sql, ids, &row_of(draft)).await?;
        let (routing_key, content) = (&draft.routing_key, &draft.content);
        let Some(due) = draft.due else {
            return hand_over(tx, self.sql, key, routing_key, content).await;
        };
        let put = query(self.sql.insert_outbox_at)
            .bind(key)
            .bind("")
            .bind(routing_key.as_str())
            .bind(&content.body[..])
            .bind(headers_to_json(&content.headers))
            .bind(properties_to_json(&content.properties))
            .bind(to_text(clamped(due)));
        put.execute(tx).await.map(drop)
    }

    #[expect(
        clippy::unused_async,
        reason = "the other database listens to its server"
    )]
    pub(super) async fn wake_now(&self) -> Result<OutboxWake, StoreError> {
        Ok(OutboxWake::silent())
    }
}
