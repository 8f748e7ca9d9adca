//! Hearing of what is put into the outbox.

use crate::error::StoreError;
use crate::pool::Limits;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::query;

/// The channel of the database's trigger.
const CHANNEL: &str = "counterfoil_outbox";

/// Wakes up when something is put into the outbox. What it misses is found by looking.
#[derive(Debug)]
pub struct OutboxWake(Option<Listening>);

impl OutboxWake {
    /// One that hears of it.
    pub(crate) const fn listening(listening: Listening) -> Self {
        Self(Some(listening))
    }

    /// One for a database that tells nobody.
    pub(crate) const fn silent() -> Self {
        Self(None)
    }

    /// Whether it ever wakes up.
    #[must_use]
    pub const fn hears(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until there is something new; for ever where the database tells nobody.
    ///
    /// # Errors
    /// The connection is lost: make a new one.
    ///
    /// # Cancel safety
    /// Nothing is missed.
    pub async fn news(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(listening) => listening.news().await,
            None => std::future::pending().await,
        }
    }

    /// Whether it would still wake up.
    ///
    /// # Errors
    /// The connection is lost: make a new one.
    pub async fn check(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(listening) => listening.check().await,
            None => Ok(()),
        }
    }
}

/// A connection of its own to a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: PgListener,
    limits: Limits,
}

impl Listening {
    pub(crate) async fn open(
        connect: PgConnectOptions,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        const WHAT: &str = "listen to the outbox";
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(limits.acquire)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(connect);
        let listener = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let listener = limits.within_time(WHAT, limits.acquire, listener).await?;
        Ok(Self { listener, limits })
    }

    async fn news(&mut self) -> Result<(), StoreError> {
        // A connection that was lost and made again may have missed something: look.
        match self.listener.try_recv().await {
            Ok(_) => {}
            Err(error) => return Err(self.limits.error("listen to the outbox", error)),
        }
        // Many at once are one reason to look.
        while self.listener.next_buffered().is_some() {}
        Ok(())
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        let asked = query("SELECT 1").execute(&mut self.listener);
        let asked = self.limits.within("listen to the outbox", asked).await;
        asked.map(drop)
    }
}
