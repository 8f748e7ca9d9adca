//! A database of one test, of either kind.

use crate::Database;
use anyhow::Context;
use counterfoil_store::{Store, StoreOptions, connect};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::sync::Arc;
use tempfile::TempDir;

/// Key of the public ids in tests.
const ID_SECRET: &str = "only for tests";

/// A fresh, migrated database that belongs to one test and goes away with this value.
#[derive(Debug)]
pub struct StoreSite {
    store: Arc<dyn Store>,
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A folder with the file.
    Sqlite(#[expect(dead_code, reason = "deletes the folder when it is dropped")] TempDir),
    Postgres(#[expect(dead_code, reason = "deletes the database when it is dropped")] Database),
}

impl StoreSite {
    /// An SQLite file in a temporary folder.
    ///
    /// # Errors
    /// When it cannot be made or migrated.
    pub async fn sqlite() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}/platform.db", folder.path().display());
        Self::migrated(url, Place::Sqlite(folder)).await
    }

    /// A database on the PostgreSQL server of the tests.
    ///
    /// # Errors
    /// When there is no server, or the schema cannot be made.
    pub async fn postgres() -> anyhow::Result<Self> {
        let database = Database::fresh().await?;
        let url = database.url().to_owned();
        Self::migrated(url, Place::Postgres(database)).await
    }

    async fn migrated(url: String, place: Place) -> anyhow::Result<Self> {
        let store = connect(&options(&url)).await?;
        store.migrate().await?;
        Ok(Self { store, url, place })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// URL of the database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Another store on the same database, as another process would have it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn another(&self) -> anyhow::Result<Arc<dyn Store>> {
        Ok(connect(&options(&self.url)).await?)
    }

    /// Runs one statement past the store, as another application on the same database would.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        match &self.place {
            Place::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&self.url).await?;
                statement.execute(&mut connection).await?;
            }
            Place::Postgres(_) => {
                let mut connection = PgConnection::connect(&self.url).await?;
                statement.execute(&mut connection).await?;
            }
        }
        Ok(())
    }

    /// The one text that a query selects, read past the store.
    ///
    /// # Errors
    /// When the database refuses it or finds no row.
    pub async fn text(&self, query: &str) -> anyhow::Result<Option<String>> {
        select_text(&self.url, query).await
    }

    /// A fresh, empty database of the same kind, not migrated: its URL and what keeps it alive.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn empty(&self) -> anyhow::Result<(String, Box<dyn std::any::Any + Send>)> {
        match &self.place {
            Place::Sqlite(_) => {
                let folder = tempfile::tempdir()?;
                let url = format!("sqlite://{}/platform.db", folder.path().display());
                Ok((url, Box::new(folder)))
            }
            Place::Postgres(_) => {
                let database = Database::fresh().await?;
                Ok((database.url().to_owned(), Box::new(database)))
            }
        }
    }
}

/// Options of a store on `url`, with few connections: tests run side by side.
fn options(url: &str) -> StoreOptions {
    let mut options = StoreOptions::new(url).id_secret(ID_SECRET);
    options.connections = 3;
    options.acquire_timeout = crate::patience(options.acquire_timeout);
    options
}

/// The one text that a query selects in the database at this URL, as another application would read it.
///
/// # Errors
/// When the database refuses it or finds no row.
pub async fn select_text(url: &str, query: &str) -> anyhow::Result<Option<String>> {
    let query = AssertSqlSafe(query.to_owned());
    let found: Option<(Option<String>,)> = match url.starts_with("sqlite") {
        true => {
            let mut connection = SqliteConnection::connect(url).await?;
            sqlx::query_as(query)
                .fetch_optional(&mut connection)
                .await?
        }
        false => {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::query_as(query)
                .fetch_optional(&mut connection)
                .await?
        }
    };
    Ok(found.context("the query found no row")?.0)
}
