//! Tasks that an application sends in a transaction of its own, and hearing of them.

use super::write::tasks_and_lines;
use super::{Db, Postgres};
use crate::error::StoreError;
use crate::identity::postgres::living_namesake;
use crate::ids::IdKey;
use crate::outbox::{AppConnection, Listening, OutboxWake, key_of, row_of};
use crate::stored::{headers_to_json, properties_to_json};
use crate::time::clamped;
use crate::values::required;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::producer::Draft;
use sqlx::{Connection, PgConnection, Transaction, query};
use std::sync::Arc;

impl Postgres {
    pub(super) async fn draft_now(
        &self,
        connection: AppConnection<'_>,
        draft: &Draft,
    ) -> Result<(), StoreError> {
        let ids = required(self.ids.as_ref(), &self.limits.server)?;
        let theirs = connection.kind();
        let AppConnection::Postgres(connection) = connection else {
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
        connection: &mut PgConnection,
    ) -> Result<Transaction<'_, Db>, sqlx::Error> {
        connection.begin().await
    }

    /// Puts a task into the outbox under a key, and its row beside it.
    pub(super) async fn put_in(
        &self,
        tx: &mut PgConnection,
        ids: &IdKey,
        key: &str,
        draft: &Draft,
    ) -> Result<(), sqlx::Error> {
        tasks_and_lines(tx, self.sql, ids, &row_of(draft)).await?;
        let content = &draft.content;
        let routing_key = draft.routing_key.as_str();
        let headers = headers_to_json(&content.headers);
        let properties = properties_to_json(&content.properties);
        let put = match draft.due {
            None => query(self.sql.insert_outbox)
                .bind(vec![key])
                .bind(vec![""])
                .bind(vec![routing_key])
                .bind(vec![&content.body[..]])
                .bind(vec![headers])
                .bind(vec![properties]),
            Some(due) => query(self.sql.insert_outbox_at)
                .bind(key)
                .bind("")
                .bind(routing_key)
                .bind(&content.body[..])
                .bind(headers)
                .bind(properties)
                .bind(clamped(due)),
        };
        put.execute(tx).await.map(drop)
    }

    pub(super) async fn wake_now(&self) -> Result<OutboxWake, StoreError> {
        let listening = Listening::open(self.connect.clone(), self.limits.clone());
        Ok(OutboxWake::listening(listening.await?))
    }
}
