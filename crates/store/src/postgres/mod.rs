//! The platform database on a PostgreSQL server.

mod asked;
mod celery;
mod lead;
mod letters;
mod outbox;
mod sessions;
mod signs;
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
use crate::error::{StoreError, postgres_class};
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
use crate::sql::postgres::{
    DROP_EMPTY_MONTHS, MAKE_TASK_ID_SEQUENCE, MAKE_TASKSET_ID_SEQUENCE, PREPARE_MONTHS,
};
use crate::sql::{POSTGRES, Statements};
use crate::store::{LeaderGuard, Store};
use crate::text::{INDEXED, cleaned};
use crate::values::required;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use secrecy::ExposeSecret;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, query, query_as};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uuid::Uuid;

type Db = sqlx::Postgres;

/// Longest that bringing the schema up to date may take, the wait for others who do it included.
const MIGRATION: Duration = Duration::from_secs(600);
/// How many months of history are made room for in advance.
const MONTHS_AHEAD: i32 = 2;
/// How often a batch is written again at once when another writer was in its way.
const COLLISIONS: usize = 5;

/// A PostgreSQL database. Its options hold the password, so `Debug` does not show them.
pub(crate) struct Postgres {
    connect: PgConnectOptions,
    pool: PgPool,
    limits: Limits,
    sql: &'static Statements,
    ids: Option<IdKey>,
    /// How results are kept for callers in Python, if they are.
    celery: OnceLock<Keeping>,
}

implement_sessions!(Postgres);
implement_store!(Postgres);
implement_lists!(Postgres);
implement_retention!(Postgres);
implement_books!(Postgres);
implement_asking!(Postgres);
implement_celery_tables!(
    Postgres,
    [
        MAKE_TASK_ID_SEQUENCE,
        MAKE_TASKSET_ID_SEQUENCE,
        POSTGRES.make_celery_taskmeta,
        POSTGRES.make_celery_tasksetmeta,
        POSTGRES.index_celery_taskmeta,
        POSTGRES.index_celery_tasksetmeta,
    ]
);
implement_outbox!(Postgres, crate::identity::postgres::living_namesake);
implement_schedules!(Postgres);
crate::family::implement_families!(Postgres);
crate::glances::implement_glances!(Postgres);
crate::feed::implement_feed!(Postgres);
crate::rollup::implement_rollups!(Postgres);
crate::operators::implement_operators!(Postgres);
crate::request_keys::implement_request_keys!(Postgres);
crate::missing::implement_missing!(Postgres);
crate::identity::implement_identities!(Postgres);

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Postgres")
            .field(&self.limits.server)
            .finish()
    }
}

impl Postgres {
    /// Connects when it is first asked something.
    pub(crate) fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let connect = PgConnectOptions::from_str(options.url.expose_secret())
            // The parser's own words could repeat parts of the URL.
            .map_err(|_| StoreError::BadUrl {
                why: "its host, port, database or parameters cannot be read".to_owned(),
            })?
            .disable_statement_logging();
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("counterfoil"),
        };
        let limits = Limits {
            server: server_name(&connect).into(),
            statement: options.statement_timeout,
            acquire: options.acquire_timeout,
            classify: postgres_class,
        };
        let statement_timeout = options.statement_timeout;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.acquire_timeout)
            .after_connect(move |connection, _| {
                Box::pin(async move { configure(connection, statement_timeout).await })
            })
            .connect_lazy_with(connect.clone());
        Ok(Self {
            connect,
            pool,
            limits,
            sql: &POSTGRES,
            ids: options.id_secret.as_ref().map(IdKey::new),
            celery: OnceLock::new(),
        })
    }

    /// Connects once, and says at once what keeps it from that.
    pub(crate) async fn reach(&self) -> Result<(), StoreError> {
        const WHAT: &str = "reach the database";
        let connection = self.lone_connection(WHAT).await?;
        self.limits.within(WHAT, connection.close()).await
    }

    /// A connection outside of the pool: its locks must not be inherited by others.
    async fn lone_connection(&self, operation: &'static str) -> Result<PgConnection, StoreError> {
        let connection = self.connect.connect();
        self.limits
            .within_time(operation, self.limits.acquire, connection)
            .await
    }

    fn migrator() -> Migrator {
        let mut migrator = sqlx::migrate!("./migrations/postgres");
        migrator.dangerous_set_table_name("counterfoil_migrations");
        migrator
    }

    async fn migrate_now(&self) -> Result<(), StoreError> {
        const WHAT: &str = "migrate the database";
        let mut connection = self.lone_connection(WHAT).await?;
        let migrator = Self::migrator();
        // sqlx holds an advisory lock meanwhile, so others wait here.
        let done = migrator.run_direct(None, &mut connection, false);
        match tokio::time::timeout(MIGRATION, done).await {
            Ok(done) => done.map_err(|error| {
                StoreError::migration(&self.limits.server, postgres_class, error)
            })?,
            Err(_) => {
                return Err(StoreError::Deadline {
                    operation: WHAT,
                    server: Arc::clone(&self.limits.server),
                    after: MIGRATION,
                });
            }
        }
        self.limits.within(WHAT, connection.close()).await
    }

    async fn prepare_months_now(&self) -> Result<(), StoreError> {
        let statement = query(PREPARE_MONTHS).bind(MONTHS_AHEAD);
        self.execute("prepare the coming months", statement).await
    }

    async fn drop_empty_months_now(&self) -> Result<usize, StoreError> {
        const WHAT: &str = "drop empty months of history";
        // It writes, whatever `all` is called for elsewhere.
        let dropped = self
            .all(WHAT, query_as::<_, (i32,)>(DROP_EMPTY_MONTHS))
            .await?;
        let dropped = dropped
            .first()
            .map_or(0, |(dropped,)| dropped.unsigned_abs());
        Ok(usize::try_from(dropped).unwrap_or(usize::MAX))
    }

    async fn only_ask_now(&self, batch: &Batch) -> Result<(), StoreError> {
        let asked = asked::asked(self.sql, &batch.controls);
        self.execute("ask workers for something", asked).await
    }

    async fn add_up_now(&self, limit: i64) -> Result<usize, StoreError> {
        let statement = query_as::<_, (i64,)>(self.sql.flow.add_up_rollups);
        let statement = statement.bind(crate::rollup::spans()).bind(limit);
        // It writes, whatever `all` is called for elsewhere.
        let taken = self.all("add up numbers for charts", statement).await?;
        let taken = taken.first().map_or(0, |(taken,)| taken.unsigned_abs());
        Ok(usize::try_from(taken).unwrap_or(usize::MAX))
    }

    async fn write(&self, batch: &Batch) -> Result<Applied, StoreError> {
        const WHAT: &str = "write a batch";
        let ids = required(self.ids.as_ref(), &self.limits.server)?;
        let mut collisions = 0;
        loop {
            let mut held = self.limits.acquire(WHAT, &self.pool).await?;
            let written = write::batch(&mut held, (self.sql, ids, self.celery.get()), batch);
            let written = self.limits.within(WHAT, written).await;
            match held.settle(written) {
                Err(error) if collisions < COLLISIONS && is_collision(&error) => collisions += 1,
                done => return done,
            }
        }
    }

    async fn lead(&self, name: &str) -> Result<Option<LeaderGuard>, StoreError> {
        let connection = self.lone_connection("become the leader").await?;
        let lead = lead::Leadership::take(connection, name, self.limits.clone()).await?;
        Ok(lead.map(LeaderGuard::new))
    }

    async fn close_all(&self) {
        self.pool.close().await;
    }

    const fn readers(&self) -> &PgPool {
        &self.pool
    }

    const fn writers(&self) -> &PgPool {
        &self.pool
    }

    const fn time(at: DateTime<Utc>) -> DateTime<Utc> {
        at
    }

    fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
        texts.map(str::to_owned).collect()
    }
}

/// Whether another writer was in the way for a moment: a deadlock, a serialization failure, or a
/// row that both were about to insert. PostgreSQL's `ON CONFLICT` knows one unique key; when two
/// writers insert the same task at the same instant, the other key (the public id) may complain.
fn is_collision(error: &StoreError) -> bool {
    matches!(error.code(), Some("40P01" | "40001" | "23505"))
}

/// The server, for messages.
fn server_name(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("PostgreSQL at {}, database {database}", socket.display()),
        None => {
            let (host, port) = (options.get_host(), options.get_port());
            format!("PostgreSQL at {host}:{port}, database {database}")
        }
    }
}

/// Sets the session's limits. Not as options of the connection: poolers in between refuse those.
async fn configure(
    connection: &mut PgConnection,
    statement_timeout: Duration,
) -> Result<(), sqlx::Error> {
    query(crate::sql::postgres::CONFIGURE)
        .bind(format!("{}ms", statement_timeout.as_millis()))
        .execute(connection)
        .await?;
    Ok(())
}
