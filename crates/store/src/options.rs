//! Which database, and how long to wait for it.

use crate::error::StoreError;
use crate::store::Store;
use counterfoil_toolbox::config::DatabaseSettings;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;

/// How to reach the platform database. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `postgresql://user:password@host:port/database` or `sqlite://path/to/file.db`.
    pub url: SecretString,
    /// Key of the public ids. Default: none; then rows can be read but not written.
    pub id_secret: Option<SecretString>,
    /// Most connections at a time. Default: 10. SQLite: of those that read; one more writes.
    pub connections: u32,
    /// Longest that one statement may take. Default: 30 s.
    pub statement_timeout: Duration,
    /// Longest wait for a connection, new or from the pool. Default: 5 s.
    pub acquire_timeout: Duration,
}

impl StoreOptions {
    /// Options with defaults for everything but the URL.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            id_secret: None,
            connections: 10,
            statement_timeout: Duration::from_secs(30),
            acquire_timeout: Duration::from_secs(5),
        }
    }

    /// Sets the key of the public ids.
    #[must_use]
    pub fn id_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.id_secret = Some(secret.into());
        self
    }
}

/// Those of a configuration.
///
/// ```
/// use counterfoil_store::StoreOptions;
/// use counterfoil_toolbox::config::DatabaseSettings;
///
/// let settings = DatabaseSettings { pool: 3, ..DatabaseSettings::default() };
/// assert_eq!(StoreOptions::from(&settings).connections, 3);
/// ```
impl From<&DatabaseSettings> for StoreOptions {
    fn from(settings: &DatabaseSettings) -> Self {
        Self {
            connections: settings.pool,
            statement_timeout: settings.statement_timeout,
            ..Self::new(settings.url.clone()).id_secret(settings.id_secret.clone())
        }
    }
}

/// Opens the platform database and asks it for an answer. An SQLite file that is not there is
/// made. The schema is not touched: see [`Store::migrate`].
///
/// # Errors
/// [`StoreError::BadUrl`], or whatever keeps the database from answering. Nothing is tried twice.
pub async fn connect(options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    if is_postgres(options) {
        // A pool goes on trying until its time is over, and does not say why it was in vain.
        crate::postgres::Postgres::open(options)?.reach().await?;
    }
    let store = open(options).await?;
    store.ping().await?;
    Ok(store)
}

/// Like [`connect`], but a server that is away is no error: for a process that waits for it.
///
/// # Errors
/// [`StoreError::BadUrl`], or what keeps an SQLite file from being opened.
pub async fn open(options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    let url = options.url.expose_secret();
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some(_) if is_postgres(options) => {
            let store = crate::postgres::Postgres::open(options)?;
            Ok(Arc::new(store))
        }
        Some("sqlite") => Ok(Arc::new(crate::sqlite::Sqlite::connect(options).await?)),
        Some(scheme) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Err(StoreError::BadUrl {
                why: format!("{scheme:?} is neither postgresql nor sqlite"),
            })
        }
        Some(_) | None => Err(StoreError::BadUrl {
            why: "it does not begin with postgresql:// or sqlite://".to_owned(),
        }),
    }
}

fn is_postgres(options: &StoreOptions) -> bool {
    let url = options.url.expose_secret();
    ["postgres:", "postgresql:"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}
