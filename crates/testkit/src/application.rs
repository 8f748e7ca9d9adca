//! An application on the platform's database, with transactions of its own.

use counterfoil_store::AppConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::str::FromStr;
use std::time::Duration;

/// Most connections of one.
const CONNECTIONS: u32 = 8;

/// Longest wait for another writer of an SQLite file.
const BUSY: Duration = Duration::from_secs(60);

/// An application beside the platform. Cheap to clone.
///
/// ```no_run
/// use counterfoil_testkit::{Application, Database};
///
/// # async fn example() -> anyhow::Result<()> {
/// # let database = Database::fresh().await?;
/// let shop = Application::connect(database.url()).await?;
/// shop.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY)").await?;
/// let transaction = shop.begin().await?; // `transaction.connection()` goes to `Store::send_in`
/// transaction.rollback().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Application(Pool);

#[derive(Debug, Clone)]
enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Application {
    /// One on the database at `url`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)?.busy_timeout(BUSY);
            let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
            return Ok(Self(Pool::Sqlite(pool.connect_with(options).await?)));
        }
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        Ok(Self(Pool::Postgres(pool.connect(url).await?)))
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// When the database refuses it or does not answer.
    pub async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        match &self.0 {
            Pool::Postgres(pool) => statement.execute(pool).await.map(|_| ())?,
            Pool::Sqlite(pool) => statement.execute(pool).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(&self) -> anyhow::Result<AppTransaction> {
        Ok(match &self.0 {
            Pool::Postgres(pool) => AppTransaction::Postgres(pool.begin().await?),
            Pool::Sqlite(pool) => AppTransaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
        })
    }
}

/// A transaction of an application; dropped, it is rolled back.
#[derive(Debug)]
pub enum AppTransaction {
    /// In PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
    /// In SQLite.
    Sqlite(Transaction<'static, Sqlite>),
}

impl AppTransaction {
    /// The connection that it is on.
    pub fn connection(&mut self) -> AppConnection<'_> {
        match self {
            Self::Postgres(transaction) => transaction.into(),
            Self::Sqlite(transaction) => transaction.into(),
        }
    }

    /// Commits it.
    ///
    /// # Errors
    /// When the database refuses it or does not answer.
    pub async fn commit(self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(transaction) => transaction.commit().await?,
            Self::Sqlite(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    /// Takes back what was done in it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rollback(self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(transaction) => transaction.rollback().await?,
            Self::Sqlite(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}
