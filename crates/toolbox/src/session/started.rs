//! What comes of starting a session.

use super::opening::{BadOpening, MOST_SUBTASKS};
use super::status::SessionStatus;
use crate::ids::{SessionId, TaskId};
use crate::producer::SendError;
use crate::transport::PublishError;

/// A session that was not started: nothing of it was sent, or not all of it, as the variants tell. What an earlier
/// execution of the same task sent is sent.
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::sync::Arc;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Harvest { page: u32 }
/// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Publish { session: Option<counterfoil_toolbox::session::SessionSummary> }
/// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
/// use counterfoil_toolbox::session::{Session, SessionError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
/// let session = Session::new("harvest", Publish { session: None })?;
/// match producer.start_session(session).await {
///     Ok(started) => println!("{}", started.id),
///     Err(SessionError::Send(error)) if error.is_transient() => eprintln!("later: {error}"),
///     // It may be open; then it times out, and its finalizer runs.
///     Err(error @ SessionError::NotOpened { .. }) => eprintln!("{error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The finalizer or a subtask cannot be sent as it is, or the broker is away.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The platform would not take it.
    #[error(transparent)]
    Bad(#[from] BadOpening),
    /// There are too many subtasks.
    #[error(
        "a session may have {MOST_SUBTASKS} subtasks at most, and this one has {0}; split it up"
    )]
    TooMany(usize),
    /// The finalizer and all ids together are too large for one message.
    #[error("the session's opening is {0} bytes long; at most 16 MiB can be sent")]
    TooLarge(usize),
    /// Nobody confirmed that the platform was told of the session, so no subtask was sent. It may be open
    /// all the same, and its finalizer run when its time is over.
    #[error("session {id} may not have been opened, and no subtask of it was sent")]
    NotOpened {
        /// Id of the session.
        id: SessionId,
        /// What the broker said.
        source: PublishError,
    },
    /// Nobody confirmed that the platform was asked what an earlier execution of the task has made of it, so this one sent
    /// nothing of it. The earlier one may have opened it, and sent some of its subtasks. Only a worker's context says so.
    #[error(
        "it could not be asked what became of session {id}, so this execution sent nothing of it"
    )]
    NotAsked {
        /// Id of the session.
        id: SessionId,
        /// What the broker said.
        source: PublishError,
    },
    /// The execution has opened a session of equal content already, and neither a key nor anything else tells them
    /// apart: see [`Session::key`](super::Session::key). Nothing of the second was sent. Only a worker's context says
    /// so.
    #[error(
        "this execution has opened a session {action:?} of equal content before; give each of them a key of its own (Session::key)"
    )]
    EqualContent {
        /// What the session is for.
        action: Box<str>,
    },
    /// It is open, and the broker went away before all of its subtasks were sent, or confirmed. A retry of the task sends
    /// all of them, also those that were sent: they may run twice, and count once. If nobody does, those that are missing
    /// count as failed when the session's time is over. Only a worker's context says so; other senders find them in
    /// [`StartedSession::unsent`].
    #[error(
        "session {id} was opened, but {unsent} of its {total} subtasks were not sent; a retry of this task sends all of them"
    )]
    Unsent {
        /// Id of the session.
        id: SessionId,
        /// How many were not sent, or are not known to be.
        unsent: usize,
        /// How many it has.
        total: usize,
        /// What was in the way of the first of them.
        source: SendError,
    },
    /// It was aborted before all of its subtasks were sent. No more of them are. Only a worker's context says so;
    /// other senders go on, and none of what they send is run.
    #[error("session {id} was aborted before all of its subtasks were sent")]
    Aborted {
        /// Id of the session.
        id: SessionId,
    },
    /// Its time was over while its subtasks were being sent, and no more of them are: its finalizer is told how many
    /// that were. Only a worker's context says so; what other senders go on to send is not run. A retry of the task
    /// learns what became of it: see [`StartedSession::status`].
    #[error("the time of session {id} was over before all of its subtasks were sent")]
    TimedOut {
        /// Id of the session.
        id: SessionId,
    },
}

/// A session that the platform knows of.
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::sync::Arc;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Harvest { page: u32 }
/// # impl counterfoil_toolbox::Task for Harvest { const NAME: &'static str = "harvest.page"; type Output = u32; }
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Publish { session: Option<counterfoil_toolbox::session::SessionSummary> }
/// # impl counterfoil_toolbox::Task for Publish { const NAME: &'static str = "harvest.publish"; type Output = (); }
/// use counterfoil_toolbox::producer::{RawTask, SendOptions};
/// use counterfoil_toolbox::session::Session;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let producer = Producer::new(Arc::new(broker.clone()), names.clone());
/// let pages = |page| Harvest { page };
/// let session = Session::new("harvest", Publish { session: None })?.subtasks((0..3).map(pages))?;
/// let started = producer.start_session(session).await?;
/// for (id, error) in &started.unsent {
///     eprintln!("{id}: {error}"); // it may be sent once more, under its id and with `SendOptions::session`
/// }
/// assert_eq!((started.subtasks.len(), started.unsent.len()), (3, 0));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct StartedSession {
    /// Id of the session.
    pub id: SessionId,
    /// How it stands: [`SessionStatus::Ongoing`], unless an earlier execution of the task that opens it had opened
    /// it, and it has ended since. Nothing was sent then. Its finalizer has been told how it ended, as it would have
    /// been without the repetition, so most handlers need not care. One whose time was over may be done once more
    /// by opening it under another [key](super::Session::key), which is another session. That happens by itself where nothing
    /// of it was sent, but not if an id of its tasks was the sender's choice: they have failed under those ids, and would
    /// end another session with them. Who wants them done needs other ids, too.
    pub status: SessionStatus,
    /// Id of its finalizer, which is sent when it ends.
    pub finalizer: TaskId,
    /// Ids of its subtasks, in order.
    pub subtasks: Vec<TaskId>,
    /// Subtasks that were not sent, or of which nobody knows. From a worker's context only such as sending them once
    /// more would not mend: a full queue refused them, say. For all others that is an [error](SessionError::Unsent).
    /// The session waits for them until its time is over, then they count as failed. Sending one again under its id and
    /// [`SendOptions::session`](crate::producer::SendOptions::session) is safe.
    pub unsent: Vec<(TaskId, SendError)>,
}
