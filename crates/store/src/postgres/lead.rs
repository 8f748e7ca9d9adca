//! Leadership as an advisory lock of a session of its own.

use crate::error::StoreError;
use crate::pool::Limits;
use crate::sql::postgres::{STILL_LEADS, TRY_LEAD};
use crate::store::Lead;
use async_trait::async_trait;
use sqlx::{Connection, PgConnection, query_as};
use uuid::Uuid;

/// A session that holds the lock. When it ends, by drop or by accident, the server frees the lock.
#[derive(Debug)]
pub(super) struct Leadership {
    connection: PgConnection,
    /// What the session is marked with.
    mark: String,
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
        let mark = Uuid::now_v7().to_string();
        let taken = query_as::<_, (bool, String)>(TRY_LEAD)
            .bind(name)
            .bind(&mark)
            .fetch_one(&mut connection);
        let (taken, _) = limits.within(WHAT, taken).await?;
        if !taken {
            limits.within(WHAT, connection.close()).await?;
            return Ok(None);
        }
        Ok(Some(Self {
            connection,
            mark,
            limits,
        }))
    }
}

#[async_trait]
impl Lead for Leadership {
    async fn still_leads(&mut self) -> Result<bool, StoreError> {
        // The lock lives as long as the session.
        let answer = query_as::<_, (bool,)>(STILL_LEADS)
            .bind(&self.mark)
            .fetch_one(&mut self.connection);
        let (same,) = self.limits.within("keep the leadership", answer).await?;
        if !same {
            tracing::error!(
                "the session that leads was given to somebody else: let the pooler before the database keep sessions \
                 (PgBouncer: pool_mode = session), or go past it"
            );
        }
        Ok(same)
    }
}
