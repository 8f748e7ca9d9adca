//! What keeps people from doing something, or from being answered.

use counterfoil_store::StoreError;
use counterfoil_sync::schedule::InvalidSchedule;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::session::SessionStatus;
use counterfoil_toolbox::text::InvalidText;
use counterfoil_toolbox::transport::{PublishError, TransportError};

/// Something could not be done, or not be found out.
///
/// What is wrong with one of many things is no error but its [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker, asked about a queue or read from.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The broker, written to: it takes nothing at all, so the others were not tried.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Tasks were sent again, and the database was not told. Done once more, the same runs are sent once more.
    #[error(
        "the last tasks were sent again, but could not be recorded; done once more, the same runs are sent once more"
    )]
    RunsNotRecorded(#[source] StoreError),
    /// Messages of a dead queue were dealt with, and the database was not told. They are still in the queue; done
    /// once more, the same happens to them once more.
    #[error("the last messages could not be recorded and are still in the dead queue")]
    LettersNotRecorded(#[source] StoreError),
    /// The database's user may not record what would be sent or taken out of a dead queue, so nothing was.
    #[error(
        "the database user {user} may only read and ask, so nothing was done; connect as counterfoil_sync (deploy/README.md, Roles of the database)"
    )]
    OnlyAsks {
        /// The user.
        user: String,
    },
    /// A text is no id.
    #[error(transparent)]
    InvalidId(#[from] InvalidText),
    /// Somebody else deals with this dead queue right now.
    #[error("somebody else is at work on {queue}")]
    AtWork {
        /// The dead queue.
        queue: QueueName,
    },
    /// No worker with this id, or with one that begins so, was ever heard of.
    #[error("no worker {id:?} was ever heard of")]
    NoWorker {
        /// As it was written.
        id: String,
    },
    /// Several workers have ids that begin so.
    #[error("{count} workers have ids that begin with {id:?}")]
    ManyWorkers {
        /// As it was written.
        id: String,
        /// How many.
        count: usize,
        /// The whole id of one of them.
        first: String,
    },
    /// The worker is not heard of any more.
    #[error("worker {worker} is gone: it was last heard of {since_s} s ago")]
    WorkerGone {
        /// Its id.
        worker: String,
        /// How long ago it was last heard of, in seconds.
        since_s: i64,
    },
    /// There is no such session.
    #[error("no session has the id {:?}", .session.as_str())]
    NoSession {
        /// The id.
        session: SessionId,
    },
    /// The session is over already.
    #[error("session {session} is over: {status}")]
    SessionOver {
        /// Its id.
        session: SessionId,
        /// How it ended.
        status: SessionStatus,
    },
    /// There is no schedule of this name.
    #[error("there is no schedule {name:?}")]
    NoSchedule {
        /// The name.
        name: String,
    },
    /// The schedule cannot fire as it is written.
    #[error(transparent)]
    InvalidSchedule(#[from] InvalidSchedule),
}

/// What an [`OperationError`] means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// What was asked about does not exist.
    NotFound,
    /// It cannot be done to it as it is now.
    Conflict,
    /// What was asked cannot be meant.
    Invalid,
    /// Broker or database cannot be used: perhaps later, perhaps once somebody has mended something.
    Unavailable,
}

impl OperationError {
    /// What it means for whoever asked.
    ///
    /// ```
    /// use counterfoil_operations::{ErrorClass, OperationError};
    ///
    /// let missing = OperationError::NoSchedule { name: "nightly".to_owned() };
    /// assert_eq!(missing.class(), ErrorClass::NotFound);
    /// assert_eq!(missing.to_string(), r#"there is no schedule "nightly""#);
    /// ```
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            // A text that a column cannot hold: waiting does not help.
            Self::Store(error) if error.is_bad_data() => ErrorClass::Invalid,
            Self::Store(_)
            | Self::Transport(_)
            | Self::Publish(_)
            | Self::OnlyAsks { .. }
            | Self::RunsNotRecorded(_)
            | Self::LettersNotRecorded(_) => ErrorClass::Unavailable,
            Self::InvalidId(_) | Self::ManyWorkers { .. } | Self::InvalidSchedule(_) => {
                ErrorClass::Invalid
            }
            Self::NoWorker { .. } | Self::NoSession { .. } | Self::NoSchedule { .. } => {
                ErrorClass::NotFound
            }
            Self::AtWork { .. } | Self::WorkerGone { .. } | Self::SessionOver { .. } => {
                ErrorClass::Conflict
            }
        }
    }
}
