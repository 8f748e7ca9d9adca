//! Leadership as an advisory lock of a session of its own.

use crate::error::StoreError;
use crate::pool::Limits;
use crate::sql::postgres::TRY_LEAD;
use crate::store::Lead;
use async_trait::async_trait;
use sqlx::{Connection, PgConnection, query_as};

/// A session that holds the lock. When it ends, by drop or by accident, the server frees the lock.
#[derive(Debug)]
pub(super) struct Leadership {
    connection: PgConnection,
    limits: Limits,
}

impl Leadership {
    /// Takes the lock, if it is free.
    pub(super) async fn take(
        mut connection: PgConnection,
        name: &str,
        limits: Limits,
    ) -> Result<Option<Self>, StoreError> {
        const WHAT: &str = "become the leader";
        let configured = super::configure(&mut connection, limits.statement);
        limits.within(WHAT, configured).await?;
        let taken = query_as::<_, (bool,)>(TRY_LEAD)
            .bind(name)
            .fetch_one(&mut connection);
        let (taken,) = limits.within(WHAT, taken).await?;
        if !taken {
            limits.within(WHAT, connection.close()).await?;
            return Ok(None);
        }
        Ok(Some(Self { connection, limits }))
    }
}

#[async_trait]
impl Lead for Leadership {
    async fn still_leads(&mut self) -> Result<bool, StoreError> {
        // The lock lives as long as the session.
        let answer = self
            .limits
            .within("keep the leadership", self.connection.ping());
        answer.await.map(|()| true)
    }
}
