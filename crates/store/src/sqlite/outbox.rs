//! Tasks that an application sends in a transaction of its own.

use super::write::tasks_and_lines;
use super::{Db, Sqlite};
use crate::error::StoreError;
use crate::identity::sqlite::living_namesake;
use crate::ids::IdKey;
use crate::outbox::{AppConnection, OutboxWake, key_of, row_of};
use crate::stored::{headers_to_json, properties_to_json};
use crate::time::{clamped, to_text};
use crate::values::required;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::producer::Draft;
use sqlx::{Connection, SqliteConnection, Transaction, query};
use std::sync::Arc;

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
        if let Some(identifier) = draft.identifier() {
            let identity = (draft.task.as_str(), identifier);
            let found = living_namesake(&mut *connection, identity, &draft.id);
            let found = self
                .limits
                .within("look for the same identity", found)
                .await?;
            if let Some(living) = found {
                return Err(StoreError::AlreadyScheduled {
                    name: draft.task.to_string(),
                    identifier: identifier.to_owned(),
                    living,
                });
            }
        }
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
        let content = &draft.content;
        let statement = match draft.due {
            None => self.sql.insert_outbox,
            Some(_) => self.sql.insert_outbox_at,
        };
        let put = query(statement)
            .bind(key)
            .bind("")
            .bind(draft.routing_key.as_str())
            .bind(&content.body[..])
            .bind(headers_to_json(&content.headers))
            .bind(properties_to_json(&content.properties));
        let put = match draft.due {
            None => put,
            Some(due) => put.bind(to_text(clamped(due))),
        };
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
