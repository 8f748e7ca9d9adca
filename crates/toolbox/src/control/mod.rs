//! What people ask of workers: to cancel tasks, to hold them back, to pause a service, to stop.
//!
//! The platform writes [`Instruction`]s into a stream that every worker reads, the last [`KEPT`] of it when
//! it starts. Each worker folds them into a [`ControlState`]: the latest about a subject counts, so neither
//! the order nor repetitions of what is read matter. What still holds is written again in time.

mod state;

pub use state::{ControlState, Mark, Standing};

use crate::ids::{SessionId, TaskId, WorkerId};
use crate::names::ServiceName;
use crate::session::SessionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;
use uuid::Uuid;

/// How long the stream keeps what is written to it, and workers remember what they have read.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Instructions that one message holds at most: some 200 bytes each.
pub const MOST_PER_MESSAGE: usize = 500;

/// One thing that is asked of workers.
///
/// ```
/// use chrono::Utc;
/// use counterfoil_toolbox::control::{self, Instruction, Order};
///
/// let now = Utc::now();
/// let pause = Instruction {
///     id: uuid::Uuid::now_v7(),
///     at: now,
///     sent_at: now,
///     by: Some("anna".into()),
///     order: Order::PauseService { service: "export".parse()? },
/// };
/// let body = control::write(&[pause.clone()]); // for `Names::control`
/// assert_eq!(control::read(&body), (vec![pause], vec![]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// UUID v7. What is written again keeps its id.
    pub id: Uuid,
    /// When it was asked, by the clock of the platform's database. Of two about the same subject the
    /// later one counts, the greater id when they are of the same moment.
    pub at: DateTime<Utc>,
    /// When it was written to the stream, the last time that it was.
    pub sent_at: DateTime<Utc>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
    /// What is asked.
    #[serde(flatten)]
    pub order: Order,
}

/// What is asked.
///
/// ```
/// use counterfoil_toolbox::control::Order;
///
/// let order = Order::from_parts("revoke", "invoice-17", Some(0)).expect("they belong together");
/// assert_eq!((order.kind(), order.subject(), order.run()), ("revoke", "invoice-17", Some(0)));
/// assert!(order.lasts()); // a worker that starts tomorrow has to know it
/// assert_eq!(Order::from_parts("hold", "invoice-17", Some(0)), None); // all runs are held
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Order {
    /// The task must not start, and stop where it runs: in this run and those before.
    Revoke {
        /// The task.
        task_id: TaskId,
        /// A later run is not meant.
        run: i32,
    },
    /// The same for all tasks of a family, those included that are sent later.
    RevokeFamily {
        /// The first task of the family.
        root_id: TaskId,
        /// Later runs of its members are not meant.
        run: i32,
    },
    /// No subtask of this session may start, and those that run must stop: also those that are sent later.
    RevokeSession {
        /// The session.
        session_id: SessionId,
    },
    /// The same of one whose time was over. Unlike somebody who aborts it, that is no wish that whoever opens it
    /// ends.
    TimeOutSession {
        /// The session.
        session_id: SessionId,
    },
    /// What has become of a session: not asked of a worker, but the answer to one that sent an
    /// [`Inquiry`](crate::session::Inquiry) with the id of this.
    SessionIs {
        /// The session.
        session_id: SessionId,
        /// How it stands; `None`: the platform knows no such session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<SessionStatus>,
        /// How many of its subtasks were ever sent, as far as is known.
        #[serde(default)]
        sent: i64,
    },
    /// The task must not start until it is released.
    Hold {
        /// The task.
        task_id: TaskId,
    },
    /// It may start again.
    Release {
        /// The task.
        task_id: TaskId,
    },
    /// Nothing of this service starts until it is resumed.
    PauseService {
        /// The service.
        service: ServiceName,
    },
    /// The service goes on.
    ResumeService {
        /// The service.
        service: ServiceName,
    },
    /// The worker takes nothing new, finishes what it runs, and stays.
    Quiet {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker ends, as after SIGTERM.
    Stop {
        /// The worker.
        worker: WorkerId,
    },
}

impl Order {
    /// Puts it together from its [kind](Self::kind), [subject](Self::subject) and [run](Self::run).
    /// `None`: they do not belong together.
    #[must_use]
    pub fn from_parts(kind: &str, subject: &str, run: Option<i32>) -> Option<Self> {
        let task_id = || TaskId::new(subject).ok();
        let service = || ServiceName::new(subject).ok();
        let worker = || WorkerId::new(subject).ok();
        Some(match (kind, run) {
            ("revoke", Some(run)) => Self::Revoke {
                task_id: task_id()?,
                run,
            },
            ("revoke_family", Some(run)) => Self::RevokeFamily {
                root_id: task_id()?,
                run,
            },
            ("revoke_session", None) => Self::RevokeSession {
                session_id: SessionId::new(subject).ok()?,
            },
            ("time_out_session", None) => Self::TimeOutSession {
                session_id: SessionId::new(subject).ok()?,
            },
            // The rest of it is found out when it is published.
            ("session_is", None) => Self::SessionIs {
                session_id: SessionId::new(subject).ok()?,
                status: None,
                sent: 0,
            },
            ("hold", None) => Self::Hold {
                task_id: task_id()?,
            },
            ("release", None) => Self::Release {
                task_id: task_id()?,
            },
            ("pause_service", None) => Self::PauseService {
                service: service()?,
            },
            ("resume_service", None) => Self::ResumeService {
                service: service()?,
            },
            ("quiet", None) => Self::Quiet { worker: worker()? },
            ("stop", None) => Self::Stop { worker: worker()? },
            _ => return None,
        })
    }

    /// Its name on the wire and in the database.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Revoke { .. } => "revoke",
            Self::RevokeFamily { .. } => "revoke_family",
            Self::RevokeSession { .. } => "revoke_session",
            Self::TimeOutSession { .. } => "time_out_session",
            Self::SessionIs { .. } => "session_is",
            Self::Hold { .. } => "hold",
            Self::Release { .. } => "release",
            Self::PauseService { .. } => "pause_service",
            Self::ResumeService { .. } => "resume_service",
            Self::Quiet { .. } => "quiet",
            Self::Stop { .. } => "stop",
        }
    }

    /// Id or name of what it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Revoke { task_id, .. } | Self::Hold { task_id } | Self::Release { task_id } => {
                task_id.as_str()
            }
            Self::RevokeFamily { root_id, .. } => root_id.as_str(),
            Self::RevokeSession { session_id }
            | Self::TimeOutSession { session_id }
            | Self::SessionIs { session_id, .. } => session_id.as_str(),
            Self::PauseService { service } | Self::ResumeService { service } => service.as_str(),
            Self::Quiet { worker } | Self::Stop { worker } => worker.as_str(),
        }
    }

    /// The run of a task up to which it is meant; `None` where that means nothing.
    #[must_use]
    pub const fn run(&self) -> Option<i32> {
        match self {
            Self::Revoke { run, .. } | Self::RevokeFamily { run, .. } => Some(*run),
            Self::RevokeSession { .. }
            | Self::TimeOutSession { .. }
            | Self::SessionIs { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::PauseService { .. }
            | Self::ResumeService { .. }
            | Self::Quiet { .. }
            | Self::Stop { .. } => None,
        }
    }

    /// Whether it holds until something else ends it, so that workers which start later must learn of it.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        match self {
            Self::Revoke { .. }
            | Self::RevokeFamily { .. }
            | Self::RevokeSession { .. }
            | Self::TimeOutSession { .. }
            | Self::Hold { .. }
            | Self::PauseService { .. } => true,
            // They take something back, or are said to one process.
            Self::SessionIs { .. }
            | Self::Release { .. }
            | Self::ResumeService { .. }
            | Self::Quiet { .. }
            | Self::Stop { .. } => false,
        }
    }
}

/// Writes the body of a message. [`Instruction`] has an example.
#[must_use]
pub fn write(instructions: &[Instruction]) -> Vec<u8> {
    serde_json::to_vec(instructions).expect("ids, names, numbers and times are JSON")
}

/// Reads the body of a message: the instructions, and why others in it are not understood. A newer
/// platform may ask for what this program does not know.
///
/// ```
/// use counterfoil_toolbox::control;
///
/// let (understood, skipped) = control::read(br#"[{"kind": "levitate"}]"#);
/// assert!(understood.is_empty());
/// assert_eq!(skipped.len(), 1); // and why
/// ```
#[must_use]
pub fn read(body: &[u8]) -> (Vec<Instruction>, Vec<String>) {
    let items: Vec<&RawValue> = match serde_json::from_slice(body) {
        Ok(items) => items,
        Err(error) => return (Vec::new(), vec![error.to_string()]),
    };
    let (mut understood, mut skipped) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        match serde_json::from_str(item.get()) {
            Ok(instruction) => understood.push(instruction),
            Err(error) => skipped.push(error.to_string()),
        }
    }
    (understood, skipped)
}

#[cfg(test)]
mod tests;
