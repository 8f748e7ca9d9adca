//! How a worker ended.

use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::names::QueueName;
use std::fmt;

/// How a worker ended. In every case, what it did not finish and report is delivered again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// It was asked to stop, and finished what it had.
    Drained,
    /// It was asked to stop, and these tasks did not finish in the time that they were given.
    Stopped {
        /// Tasks that were given back.
        left: Vec<TaskId>,
    },
    /// It was asked twice, and stopped at once.
    Killed {
        /// Tasks that were given back.
        left: Vec<TaskId>,
    },
    /// It never came to work: one of its queues does not exist. `counterfoil topology apply` makes
    /// it.
    NoQueue {
        /// The queue.
        queue: QueueName,
    },
    /// It never came to work: the broker does not let it consume a queue. Somebody has to mend
    /// something.
    Refused {
        /// The queue.
        queue: QueueName,
        /// What the broker said.
        reason: String,
    },
}

impl Exit {
    /// Exit code for the process: 0 after draining, 69 after a refusal, 78 when a queue is missing,
    /// 130 after a second signal.
    ///
    /// End the process with it (`std::process::exit`): returning from `main` would wait for
    /// blocking handlers that were given up.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Drained | Self::Stopped { .. } => 0,
            Self::Refused { .. } => 69,
            Self::NoQueue { .. } => 78,
            Self::Killed { .. } => 130,
        }
    }
}

/// For people, with what to do about it.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("drained"),
            Self::Stopped { left } => {
                write!(f, "stopped; tasks that were given back: {}", left.len())
            }
            Self::Killed { left } => {
                write!(
                    f,
                    "stopped at once; tasks that were given back: {}",
                    left.len()
                )
            }
            Self::NoQueue { queue } => write!(
                f,
                "queue {queue} does not exist: run `counterfoil topology apply`"
            ),
            Self::Refused { queue, reason } => {
                write!(f, "queue {queue} cannot be consumed: {reason}")
            }
        }
    }
}
