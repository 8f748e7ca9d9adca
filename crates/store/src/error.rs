//! What can go wrong with the platform database, and what the caller should do about it.

use counterfoil_toolbox::ids::TaskId;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use std::sync::Arc;
use std::time::Duration;

/// insufficient_privilege; SQLite has no users.
const NOT_ALLOWED: &str = "42501";

/// A cause that keeps the database driver's types out of the public interface.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An operation on the platform database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no database that this crate can open. The URL itself is never printed.
    #[error("the database URL is not valid: {why}")]
    BadUrl {
        /// The rule that it breaks.
        why: String,
    },
    /// The options name no secret for public ids, and rows are to be written.
    #[error("no secret for public ids is configured, so no task can be written to {server}")]
    NoIdSecret {
        /// The database, without password.
        server: Arc<str>,
    },
    /// A transaction of another kind of database than this store's.
    #[error("the transaction is one of {theirs}, but the tasks are in {server}")]
    OtherDatabase {
        /// Kind of the transaction's database.
        theirs: &'static str,
        /// The database, without password.
        server: Arc<str>,
    },
    /// A task of this type with this identifier lives: the new one was not scheduled.
    #[error("task {living} of type {name} has the identifier {identifier:?} and is not over yet")]
    AlreadyScheduled {
        /// Type of both.
        name: String,
        /// Their identifier.
        identifier: String,
        /// The one that lives.
        living: TaskId,
    },
    /// The database refused or broke off an operation.
    #[error("could not {operation} on {server}")]
    Database {
        /// What was tried, as a verb and its object.
        operation: &'static str,
        /// The database, without password.
        server: Arc<str>,
        /// Whether to wait, to look for bad data, or to give up.
        kind: FaultClass,
        /// SQLSTATE, or SQLite's extended result code.
        code: Option<Box<str>>,
        /// What the driver said.
        source: BoxError,
    },
    /// The database did not answer in time. Whether it did the work is unknown; everything that
    /// this crate writes may be written again.
    #[error("could not {operation} on {server}: no answer within {after:?}")]
    Deadline {
        /// What was tried, as a verb and its object.
        operation: &'static str,
        /// The database, without password.
        server: Arc<str>,
        /// How long was waited.
        after: Duration,
    },
    /// The schema could not be brought up to date.
    #[error("could not migrate {server}")]
    Migrate {
        /// The database, without password.
        server: Arc<str>,
        /// Whether trying again may help.
        kind: FaultClass,
        /// SQLSTATE, or SQLite's extended result code, when a statement failed.
        code: Option<Box<str>>,
        /// The migration that failed, and why.
        source: BoxError,
    },
    /// Results cannot be kept in the tables of Celery.
    #[error("results cannot be kept for Celery on {server}: {why}")]
    CeleryTables {
        /// The database, without password.
        server: Arc<str>,
        /// What is in the way, and what to do about it.
        why: String,
        /// Whether it is a right that the database's user lacks.
        forbidden: bool,
    },
    /// The lock file beside an SQLite database could not be used.
    #[error("could not lock {path}")]
    LockFile {
        /// Path of the lock file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What an error asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// Wait and try the same again; the data is not at fault.
    Transient,
    /// Something in the data cannot be stored: look for the culprit and set it aside.
    BadData,
    /// Neither waiting nor other data helps: configuration, permissions, schema.
    Fatal,
}

impl StoreError {
    /// What the error asks of the caller.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Database { kind, .. } | Self::Migrate { kind, .. } => *kind,
            Self::Deadline { .. } => FaultClass::Transient,
            Self::BadUrl { .. }
            | Self::NoIdSecret { .. }
            | Self::OtherDatabase { .. }
            | Self::CeleryTables { .. }
            | Self::AlreadyScheduled { .. }
            | Self::LockFile { .. } => FaultClass::Fatal,
        }
    }

    /// Whether the same call may succeed later: connection, resources, locks, deadlines.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.class() == FaultClass::Transient
    }

    /// Whether the database took longer than a call may take: less at once may get through.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        // 57014: the server's own statement_timeout.
        matches!(self, Self::Deadline { .. }) || self.code() == Some("57014")
    }

    /// Whether one of the records cannot be stored, whatever the state of the database.
    #[must_use]
    pub fn is_bad_data(&self) -> bool {
        self.class() == FaultClass::BadData
    }

    /// Whether the database's user may not do this: it does once somebody grants it, or connects as another user.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::CeleryTables { forbidden, .. } if *forbidden)
            || self.code() == Some(NOT_ALLOWED)
    }

    /// SQLSTATE or SQLite's extended result code, when the database gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Database { code, .. } | Self::Migrate { code, .. } => code.as_deref(),
            Self::BadUrl { .. }
            | Self::NoIdSecret { .. }
            | Self::OtherDatabase { .. }
            | Self::CeleryTables { .. }
            | Self::AlreadyScheduled { .. }
            | Self::Deadline { .. }
            | Self::LockFile { .. } => None,
        }
    }

    pub(crate) fn database(
        operation: &'static str,
        server: &Arc<str>,
        classify: fn(&str) -> FaultClass,
        source: sqlx::Error,
    ) -> Self {
        Self::Database {
            operation,
            server: Arc::clone(server),
            kind: class_of(&source, classify),
            code: code_of(&source),
            source: said(source),
        }
    }

    /// Whatever made a statement fail tells of what class it is.
    pub(crate) fn migration(
        server: &Arc<str>,
        classify: fn(&str) -> FaultClass,
        source: MigrateError,
    ) -> Self {
        let failed = failed_statement(&source);
        Self::Migrate {
            server: Arc::clone(server),
            kind: failed.map_or(FaultClass::Fatal, |error| class_of(error, classify)),
            code: failed.and_then(code_of),
            source: said_of_migration(source),
        }
    }
}

/// What a statement of a migration failed with.
fn failed_statement(error: &MigrateError) -> Option<&sqlx::Error> {
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        Some(error)
    } else {
        None
    }
}

fn said(error: sqlx::Error) -> BoxError {
    match error.as_database_error() {
        Some(refusal) => words(refusal).into(),
        None => error.into(),
    }
}

fn said_of_migration(error: MigrateError) -> BoxError {
    let refusal = failed_statement(&error).and_then(sqlx::Error::as_database_error);
    let Some(words) = refusal.map(words) else {
        return error.into();
    };
    if let MigrateError::ExecuteMigration(_, version) = error {
        return format!("migration {version}: {words}").into();
    }
    words.into()
}

/// The database's own words and code. The driver's text for PostgreSQL ends with a line of PostgreSQL's source,
/// which is taken for one of the statement.
fn words(refusal: &dyn DatabaseError) -> String {
    match refusal.code() {
        Some(code) => format!("{} ({code})", refusal.message()),
        None => refusal.message().to_owned(),
    }
}

fn code_of(error: &sqlx::Error) -> Option<Box<str>> {
    let code = error.as_database_error()?.code()?;
    Some(code.as_ref().into())
}

/// Class of an error of the driver; `classify` knows the codes of its database.
pub(crate) fn class_of(error: &sqlx::Error, classify: fn(&str) -> FaultClass) -> FaultClass {
    use sqlx::Error as E;
    match error {
        E::Database(error) => error
            .code()
            .map_or(FaultClass::Fatal, |code| classify(&code)),
        // A closed socket, a broken protocol: the next connection may do better.
        E::Io(_)
        | E::Tls(_)
        | E::Protocol(_)
        | E::PoolTimedOut
        | E::PoolClosed
        | E::WorkerCrashed
        | E::BeginFailed => FaultClass::Transient,
        // Raised before anything is sent: a value does not fit its type on the wire.
        E::Encode(_) => FaultClass::BadData,
        E::Migrate(error) => {
            failed_statement(error).map_or(FaultClass::Fatal, |error| class_of(error, classify))
        }
        E::Configuration(_)
        | E::InvalidArgument(_)
        | E::RowNotFound
        | E::TypeNotFound { .. }
        | E::ColumnIndexOutOfBounds { .. }
        | E::ColumnNotFound(_)
        | E::ColumnDecode { .. }
        | E::Decode(_)
        | E::AnyDriverError(_)
        | E::InvalidSavePointStatement => FaultClass::Fatal,
        _ => FaultClass::Fatal,
    }
}

/// Class of an SQLSTATE.
pub(crate) fn postgres_class(sqlstate: &str) -> FaultClass {
    match sqlstate.get(..2) {
        // Connection, resources and disk, operator intervention and time-outs, system errors,
        // read-only or aborted transactions, serialization and deadlocks, locks.
        Some("08" | "53" | "57" | "58" | "25" | "40" | "55") => FaultClass::Transient,
        // Values out of range or of bad syntax, constraints, limits, cardinality.
        Some("22" | "23" | "54" | "21") => FaultClass::BadData,
        _ => FaultClass::Fatal,
    }
}

/// Class of SQLite's extended result code; its low byte is the primary code.
pub(crate) fn sqlite_class(code: &str) -> FaultClass {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, SCHEMA
        Ok(5..=10 | 13..=15 | 17) => FaultClass::Transient,
        // TOOBIG, CONSTRAINT, MISMATCH
        Ok(18..=20) => FaultClass::BadData,
        Ok(_) | Err(_) => FaultClass::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadlock_a_full_disk_and_a_restart_are_waited_for() {
        for code in [
            "40P01", "40001", "53100", "57P03", "57014", "08006", "25006", "55P03", "58030",
        ] {
            assert_eq!(postgres_class(code), FaultClass::Transient, "{code}");
        }
        for code in ["5", "517", "13", "10", "14"] {
            assert_eq!(sqlite_class(code), FaultClass::Transient, "{code}");
        }
    }

    #[test]
    fn text_that_a_column_cannot_hold_is_the_datas_fault() {
        for code in ["22P05", "22021", "23514", "54000", "21000"] {
            assert_eq!(postgres_class(code), FaultClass::BadData, "{code}");
        }
        for code in ["18", "19", "2067", "275"] {
            assert_eq!(sqlite_class(code), FaultClass::BadData, "{code}");
        }
    }

    #[test]
    fn a_wrong_password_or_a_missing_table_is_neither() {
        for code in ["28P01", "3D000", "42P01", "42501", ""] {
            assert_eq!(postgres_class(code), FaultClass::Fatal, "{code}");
        }
        for code in ["1", "26", "x"] {
            assert_eq!(sqlite_class(code), FaultClass::Fatal, "{code}");
        }
    }
}
