//! How a worker ended.

use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::names::QueueName;
use std::fmt;

/// How a worker ended. In every case, what it did not finish and report is delivered again.
///
/// ```
/// use counterfoil_worker::Exit;
///
/// fn is_worth_a_restart(exit: &Exit) -> bool {
///     match exit {
///         Exit::Hung { .. } => true, // a new process has its threads again
///         Exit::NoQueue { queue } => {
///             eprintln!("declare {queue} first");
///             false
///         }
///         _ => false,
///     }
/// }
///
/// assert!(is_worth_a_restart(&Exit::Hung { tasks: Vec::new() }));
/// assert!(!is_worth_a_restart(&Exit::Drained));
/// ```
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
    /// Half of its places or more are taken by blocking handlers that hang: they went on for more
    /// than ten seconds after their time limit. Only a new process gets rid of their threads.
    Hung {
        /// The tasks that they were to do. They have been retried, or have failed.
        tasks: Vec<TaskId>,
    },
    /// The broker refuses its events, and has done so for a while: what its tasks do cannot be
    /// recorded. Somebody has to mend something.
    Unheard {
        /// What the broker said.
        reason: String,
    },
    /// One of its queues does not exist, or was deleted and could not be declared again within some
    /// seconds. `counterfoil topology apply` makes it.
    NoQueue {
        /// The queue.
        queue: QueueName,
    },
    /// The broker does not let it consume a queue, or does so no longer. Somebody has to mend
    /// something.
    Refused {
        /// The queue.
        queue: QueueName,
        /// What the broker said.
        reason: String,
    },
}

impl Exit {
    /// Exit code for the process: 0 after draining, 1 when handlers hang, 69 after a refusal, 78 when a queue is missing,
    /// 130 after a second signal.
    ///
    /// End the process with it (`std::process::exit`): returning from `main` would wait for
    /// blocking handlers that were given up.
    ///
    /// ```
    /// use counterfoil_worker::Exit;
    ///
    /// let left = Vec::new();
    /// assert_eq!(Exit::Stopped { left: left.clone() }.code(), 0); // what it gave back runs elsewhere
    /// assert_eq!(Exit::Killed { left }.code(), 130);
    /// ```
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Drained | Self::Stopped { .. } => 0,
            Self::Hung { .. } => 1,
            Self::Unheard { .. } | Self::Refused { .. } => 69,
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
            Self::Hung { tasks } => {
                write!(
                    f,
                    "blocking handlers hang, so it has to be started anew; tasks: "
                )?;
                let ids: Vec<_> = tasks.iter().map(TaskId::as_str).collect();
                f.write_str(&ids.join(", "))
            }
            Self::Unheard { reason } => write!(f, "events are refused: {reason}"),
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
