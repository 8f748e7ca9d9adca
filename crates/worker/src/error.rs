//! What can be wrong with a worker before it starts.

use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::text::InvalidText;
use counterfoil_toolbox::tokens::MOST_TOKENS;
use std::time::Duration;

/// A worker that cannot be built: everything that is wrong with it, at once.
///
/// ```
/// # use counterfoil_testkit::MemoryPlatform;
/// # use counterfoil_worker::{Context, TaskError, Worker};
/// use counterfoil_worker::BuildFault;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let platform = MemoryPlatform::new().await?;
/// let error = platform.worker().build().expect_err("there are no handlers");
/// assert_eq!(error.faults, [BuildFault::NoHandlers]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the worker cannot be built: {}", list(.faults))]
pub struct BuildError {
    /// What is wrong, in the order in which it was said.
    pub faults: Vec<BuildFault>,
}

fn list(faults: &[BuildFault]) -> String {
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// One thing that is wrong with a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildFault {
    /// No handler was registered.
    #[error("it has no handlers")]
    NoHandlers,
    /// Two handlers were registered for one name.
    #[error("two handlers for task {name}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The name of a task breaks a rule.
    #[error(transparent)]
    Name(#[from] InvalidText),
    /// Two values of one type were given as state.
    #[error("two values of type {type_name} as state")]
    State {
        /// The type.
        type_name: &'static str,
    },
    /// Nothing says which queue a task comes from.
    #[error(
        "no queue for task {name}: its first segment is no service, so list the queues ([worker] queues)"
    )]
    NoQueue {
        /// The task.
        name: String,
    },
    /// A queue is listed twice.
    #[error("queue {queue} is listed twice")]
    QueueTwice {
        /// The queue.
        queue: QueueName,
    },
    /// A setting makes no sense.
    #[error("setting {setting} {why}")]
    Setting {
        /// Its name in the configuration.
        setting: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The handler would be told that its time is nearly up when it is over.
    #[error(
        "the soft time limit of task {name} is {soft:?}, and its time limit is {limit:?}: the soft one has to be shorter"
    )]
    SoftTimeLimit {
        /// The task.
        name: String,
        /// Its soft limit.
        soft: Duration,
        /// Its limit.
        limit: Duration,
    },
    /// No execution of a task could do anything.
    #[error(
        "the {limit} of task {name} is 0s: give it more than nothing, or leave it out (`None`)"
    )]
    NoTime {
        /// The task.
        name: String,
        /// Which limit.
        limit: &'static str,
    },
    /// No execution of a task could ever begin.
    #[error("max_concurrency of task {name} is 0, so it could never run")]
    NoConcurrency {
        /// The task.
        name: String,
    },
    /// A limit over all workers that cannot be kept.
    #[error(
        "task {name} may run {limit} times at the same time over all workers, but only 1 to \
         {MOST_TOKENS} is possible"
    )]
    GlobalLimit {
        /// The task.
        name: String,
        /// Its limit.
        limit: u32,
    },
    /// The broker would take the token back while the task is still running.
    #[error(
        "task {name} is limited over all workers and acknowledged early, so it needs a time limit of at \
         most {longest:?}: the broker takes back the token by which it runs"
    )]
    LongToken {
        /// The task.
        name: String,
        /// The longest limit that is possible.
        longest: Duration,
    },
    /// The broker would take the message back while the task is still running.
    #[error(
        "the time limit of task {name} ({whose}) is {limit:?}, and at most {longest:?} is possible where \
         the broker takes messages back after {consumer_timeout:?}: acknowledge it early \
         (`ack: Ack::Early` in its options), lower the limit, or raise the broker's consumer_timeout (and [broker] consumer_timeout with it)"
    )]
    TimeLimit {
        /// The task.
        name: String,
        /// Where the limit comes from.
        whose: &'static str,
        /// The limit.
        limit: Duration,
        /// The longest limit that is possible.
        longest: Duration,
        /// The broker's limit.
        consumer_timeout: Duration,
    },
}
