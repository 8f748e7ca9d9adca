//! The platform database in an SQLite file: one connection writes, others read beside it.

mod celery;
mod counted;
mod file_lock;
mod outbox;
mod sessions;
mod soon;
mod write;

use crate::asking::implement_asking;
use crate::batch::{Applied, Batch, Resent};
use crate::books::implement_books;
use crate::calls::{
    DeadColumns, LostTaskColumns, OwnersColumns, ParkedColumns, StoredTaskColumns,
    UnroutableColumns, implement_store, row_limit,
};
use crate::celery::{Keeping, implement_celery_tables};
use crate::control::{ControlFilter, ControlRow};
use crate::error::{StoreError, sqlite_class};
use crate::filter::{DeadFilter, ParkedFilter, TaskFilter, TaskOrder, UnroutableFilter};
use crate::ids::IdKey;
use crate::json::JsonText;
use crate::lists::{Places, Root, Way, implement_lists};
use crate::options::StoreOptions;
use crate::outbox::implement_outbox;
use crate::owners::Owners;
use crate::pool::Limits;
use crate::record::{
    CanaryRow, DeadRecord, DeadRow, EventRow, LogRow, LostTask, ParkedRow, ResultRow, ServiceCount,
    StateCount, StoredTask, TaskRow, UnroutableTask, WorkerRow,
};
use crate::retention::implement_retention;
use crate::schedule::implement_schedules;
use crate::sessions::{
    AbortingSession, SessionFilter, SessionRow, Sessions, SubtaskRow, implement_sessions,
};
use crate::sql::{SQLITE, Statements};
use crate::store::{LeaderGuard, Store};
use crate::text::{INDEXED, cleaned};
use crate::time::to_text;
use crate::values::required;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use file_lock::FileLock;
use secrecy::ExposeSecret;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool, query, query_as};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uuid::Uuid;

type Db = sqlx::Sqlite;

/// Longest that bringing the schema up to date may take.
const MIGRATION: Duration = Duration::from_secs(600);

/// An SQLite file.
pub(crate) struct Sqlite {
    path: PathBuf,
    readers: SqlitePool,
    /// One connection: SQLite has one writer at a time, and waiting here is fair.
    writer: SqlitePool,
    limits: Limits,
    sql: &'static Statements,
    ids: Option<IdKey>,
    /// How results are kept for callers in Python, if they are.
    celery: OnceLock<Keeping>,
}

implement_sessions!(Sqlite);
implement_store!(Sqlite);
implement_lists!(Sqlite);
implement_retention!(Sqlite);
implement_books!(Sqlite);
implement_asking!(Sqlite);
implement_celery_tables!(
    Sqlite,
    [
        SQLITE.make_celery_taskmeta,
        SQLITE.make_celery_tasksetmeta,
        SQLITE.index_celery_taskmeta,
        SQLITE.index_celery_tasksetmeta,
    ]
);
implement_outbox!(Sqlite, crate::identity::sqlite::living_namesake);
implement_schedules!(Sqlite);
crate::family::implement_families!(Sqlite);
crate::glances::implement_glances!(Sqlite);
crate::feed::implement_feed!(Sqlite);
crate::rollup::implement_rollups!(Sqlite);
crate::operators::implement_operators!(Sqlite);
crate::request_keys::implement_request_keys!(Sqlite);
crate::missing::implement_missing!(Sqlite);
crate::identity::implement_identities!(Sqlite);

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sqlite").field(&self.limits.server).finish()
    }
}

impl Sqlite {
    pub(crate) async fn connect(options: &StoreOptions) -> Result<Self, StoreError> {
        let url = options.url.expose_secret();
        let connect = SqliteConnectOptions::from_str(url)
            .map_err(|error| StoreError::BadUrl {
                why: error.to_string(),
            })?
            .busy_timeout(options.statement_timeout)
            .disable_statement_logging();
        let path = connect.get_filename().to_owned();
        if path.as_os_str().is_empty() || url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::BadUrl {
                why: "it names no file; a database in memory is one per connection".to_owned(),
            });
        }
        let limits = Limits {
            server: format!("SQLite file {}", path.display()).into(),
            statement: options.statement_timeout,
            acquire: options.acquire_timeout,
            classify: sqlite_class,
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(options.acquire_timeout + options.statement_timeout)
            .connect_lazy_with(
                connect
                    .clone()
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // A commit is on the disk when it returns: messages are acknowledged then.
                    .synchronous(SqliteSynchronous::Full),
            );
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(connect.pragma("query_only", "on"));
        let store = Self {
            path,
            readers,
            writer,
            limits,
            sql: &SQLITE,
            ids: options.id_secret.as_ref().map(IdKey::new),
            celery: OnceLock::new(),
        };
        store.open().await?;
        Ok(store)
    }

    /// Makes the file where there is none, and switches it to write-ahead logging: under a lock,
    /// since SQLite refuses that switch to the second of two who try.
    async fn open(&self) -> Result<(), StoreError> {
        const WHAT: &str = "open the database";
        let _lock = self.lock("setup").await?;
        let held = self.limits.acquire(WHAT, &self.writer).await?;
        held.settle(Ok(()))?;
        self.ping().await
    }

    async fn lock(&self, name: &str) -> Result<FileLock, StoreError> {
        FileLock::wait(self.lock_path(name), MIGRATION, &self.limits.server).await
    }

    /// A file beside the database: `counterfoil.db-setup.lock`.
    fn lock_path(&self, name: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("-{name}.lock"));
        path.into()
    }

    fn migrator() -> Migrator {
        let mut migrator = sqlx::migrate!("./migrations/sqlite");
        migrator.dangerous_set_table_name("counterfoil_migrations");
        migrator
    }

    async fn migrate_now(&self) -> Result<(), StoreError> {
        const WHAT: &str = "migrate the database";
        // sqlx takes no lock of its own here.
        let _lock = self.lock("setup").await?;
        let mut held = self.limits.acquire(WHAT, &self.writer).await?;
        let migrator = Self::migrator();
        let done = tokio::time::timeout(MIGRATION, migrator.run_direct(None, &mut *held, false));
        let done = match done.await {
            Ok(done) => done
                .map_err(|error| StoreError::migration(&self.limits.server, sqlite_class, error)),
            Err(_) => Err(StoreError::Deadline {
                operation: WHAT,
                server: Arc::clone(&self.limits.server),
                after: MIGRATION,
            }),
        };
        held.settle(done)
    }

    #[expect(
        clippy::unused_async,
        reason = "history is partitioned on PostgreSQL only"
    )]
    async fn prepare_months_now(&self) -> Result<(), StoreError> {
        Ok(())
    }

    #[expect(
        clippy::unused_async,
        reason = "history is partitioned on PostgreSQL only"
    )]
    async fn drop_empty_months_now(&self) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn only_ask_now(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut asked = Batch::new();
        asked.controls.clone_from(&batch.controls);
        self.write(&asked).await.map(drop)
    }

    async fn add_up_now(&self, limit: i64) -> Result<usize, StoreError> {
        const WHAT: &str = "add up numbers for charts";
        let mut held = self.limits.acquire(WHAT, &self.writer).await?;
        let added = counted::add_up(&mut held, self.sql, limit);
        let added = self.limits.within(WHAT, added).await;
        held.settle(added)
    }

    async fn write(&self, batch: &Batch) -> Result<Applied, StoreError> {
        const WHAT: &str = "write a batch";
        let ids = required(self.ids.as_ref(), &self.limits.server)?;
        let mut held = self.limits.acquire(WHAT, &self.writer).await?;
        let written = write::batch(&mut held, (self.sql, ids, self.celery.get()), batch);
        let written = self.limits.within(WHAT, written).await;
        held.settle(written)
    }

    #[expect(clippy::unused_async, reason = "the other database asks its server")]
    async fn lead(&self, name: &str) -> Result<Option<LeaderGuard>, StoreError> {
        // The name becomes part of a path.
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let lock = FileLock::try_take(&self.lock_path(&format!("lead-{name}")))?;
        Ok(lock.map(LeaderGuard::new))
    }

    async fn close_all(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    const fn writers(&self) -> &SqlitePool {
        &self.writer
    }

    fn time(at: DateTime<Utc>) -> String {
        to_text(crate::time::clamped(at))
    }

    fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
        let texts: Vec<&str> = texts.collect();
        serde_json::to_string(&texts).expect("texts are JSON")
    }
}
