//! Why the daemon ended, or did not start.

use counterfoil_store::StoreError;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::TransportError;
use std::time::Duration;

/// The daemon cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The broker refuses this user, this virtual host or one of the queues.
    #[error("the broker does not let the daemon in")]
    Broker(#[source] TransportError),
    /// A queue that the daemon reads is not there.
    #[error("queue {queue} does not exist: run `counterfoil topology apply`")]
    NoQueue {
        /// The missing queue.
        queue: QueueName,
    },
    /// The schema is older than this daemon.
    #[error("the database lacks {} (the first: {first}): run `counterfoil init`", migrations(*.missing))]
    NotMigrated {
        /// How many migrations are missing.
        missing: usize,
        /// The oldest of them.
        first: String,
    },
    /// The database refuses what the daemon has to do.
    #[error("the database refuses the daemon's work")]
    Database(#[source] StoreError),
    /// The database refused at the start.
    #[error("the database does not let the daemon in")]
    DatabaseAtStart(#[source] StoreError),
    /// The transport was closed by whoever owns it.
    #[error("the connection to the broker was closed for good")]
    BrokerClosed,
    /// The health checks cannot be served.
    #[error("health checks cannot be served at {bind}")]
    HealthBind {
        /// The configured address.
        bind: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database was away when the daemon stopped. The broker has what was not written.
    #[error("what was in hand could not be written within {after:?}; the broker has it still")]
    NotFlushed {
        /// How long was tried.
        after: Duration,
    },
    /// A part of the daemon panicked.
    #[error("a part of the daemon panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl SyncError {
    /// The exit code of a process that ends with this error: 1 failed, 69 broker or database
    /// refused for good, 78 configuration or topology.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoQueue { .. } | Self::NotMigrated { .. } => 78,
            Self::Broker(_) | Self::DatabaseAtStart(_) | Self::Database(_) | Self::BrokerClosed => {
                69
            }
            Self::HealthBind { .. } | Self::NotFlushed { .. } | Self::Panicked(_) => 1,
        }
    }
}

fn migrations(count: usize) -> String {
    match count {
        1 => "1 migration".to_owned(),
        n => format!("{n} migrations"),
    }
}
