//! Where tests get a database: one server for all of them, and a fresh database for each.

use std::env;

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::elsewhere;
use crate::node::PostgresNode;

/// Names the URL of the shared PostgreSQL, with a database to connect to.
pub const DATABASE_URL: &str = "COUNTERFOIL_TEST_DATABASE_URL";

/// An empty PostgreSQL database that belongs to one test. Dropping it deletes it.
///
/// ```no_run
/// use counterfoil_testkit::Database;
///
/// # async fn example() -> anyhow::Result<()> {
/// let database = Database::fresh().await?; // deleted when it is dropped
/// println!("{}", database.url());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Database {
    /// Where databases are made and deleted.
    server_url: String,
    name: String,
    url: String,
}

impl Database {
    /// A fresh database on the server that the environment names, else on a private node of this
    /// process, which ends with it.
    ///
    /// # Errors
    /// When no server can be reached or started.
    pub async fn fresh() -> anyhow::Result<Self> {
        // A static is never dropped: the node's watchdog ends it with this process.
        static NODE: OnceCell<PostgresNode> = OnceCell::const_new();
        if let Ok(server_url) = env::var(DATABASE_URL) {
            return Self::create(server_url).await;
        }
        Self::of(NODE.get_or_try_init(PostgresNode::start).await?).await
    }

    /// A fresh database on a private node, for a test that kills or stops it.
    ///
    /// # Errors
    /// When the node is down.
    pub async fn of(node: &PostgresNode) -> anyhow::Result<Self> {
        Self::create(node.url("postgres")).await
    }

    async fn create(server_url: String) -> anyhow::Result<Self> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let url = with_database(&server_url, &name)?;
        execute(&server_url, format!("CREATE DATABASE {name}")).await?;
        Ok(Self {
            server_url,
            name,
            url,
        })
    }

    /// The URL of this database, for the server's superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Deletes the database now and says whether that worked; dropping does the same in silence.
    /// Sessions that are still open are ended.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn close(mut self) -> anyhow::Result<()> {
        match self.take_deletion() {
            Some(deletion) => execute(&self.server_url, deletion).await,
            None => Ok(()),
        }
    }

    /// What deletes the database; nothing the second time.
    fn take_deletion(&mut self) -> Option<String> {
        let name = std::mem::take(&mut self.name);
        (!name.is_empty()).then(|| format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(deletion) = self.take_deletion() else {
            return;
        };
        let server_url = std::mem::take(&mut self.server_url);
        // In silence: the test may be about a server that is gone.
        let _ = elsewhere::wait_for(async move { execute(&server_url, deletion).await });
    }
}

/// Runs a statement of this file, in which the only variable part is a name made of hexadecimal digits.
async fn execute(server_url: &str, statement: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server_url).await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// `server_url` with another database, its parameters kept.
fn with_database(server_url: &str, database: &str) -> anyhow::Result<String> {
    let (location, parameters) = match server_url.split_once('?') {
        Some((location, parameters)) => (location, format!("?{parameters}")),
        None => (server_url, String::new()),
    };
    let (scheme, rest) = location
        .split_once("://")
        .context("the database URL has no scheme")?;
    let server = rest.split('/').next().unwrap_or_default();
    Ok(format!("{scheme}://{server}/{database}{parameters}"))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_keeps_server_and_parameters() -> anyhow::Result<()> {
        let url = "postgresql://user:password@host:5433/postgres?sslmode=disable";
        let expected = "postgresql://user:password@host:5433/fresh?sslmode=disable";
        assert_eq!(with_database(url, "fresh")?, expected);
        assert_eq!(
            with_database("postgresql://host", "fresh")?,
            "postgresql://host/fresh"
        );
        Ok(())
    }
}
