//! What a task is to those who send it and those who run it.

use crate::backoff::Backoff;
use crate::priority::Priority;
use crate::rate::Rate;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A type of task: a struct whose fields are the arguments.
///
/// The order of the fields is the order of positional arguments; fields that are `Option` or
/// `#[serde(default)]` may be left out.
///
/// ```
/// use counterfoil_toolbox::Task;
///
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct ExportProject { org_slug: String, project_slug: String }
///
/// impl Task for ExportProject {
///     const NAME: &'static str = "export.project";
///     type Output = String;
/// }
/// ```
pub trait Task: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// The name on the wire, `service.what`. It survives a rename of the struct.
    const NAME: &'static str;

    /// What the handler returns and the database keeps.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// How the task is retried and limited, unless the sender says otherwise.
    #[must_use]
    fn options() -> TaskOptions {
        TaskOptions::default()
    }
}

/// How a task is retried and limited.
///
/// ```
/// use counterfoil_toolbox::{Backoff, Rate, Task, TaskOptions};
/// use std::time::Duration;
///
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Fetch { page: u32 }
///
/// impl Task for Fetch {
///     const NAME: &'static str = "harvest.fetch";
///     type Output = String;
///
///     fn options() -> TaskOptions {
///         TaskOptions {
///             max_retries: 5,
///             backoff: Backoff { first: Duration::from_secs(10), ..Backoff::default() },
///             time_limit: Some(Duration::from_secs(60)),
///             rate_limit: Some(Rate::per_second(10)),
///             ..TaskOptions::default()
///         }
///     }
/// }
/// # assert_eq!(Fetch::options().max_retries, 5);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOptions {
    /// Counted retries after the first attempt. Default: 3.
    pub max_retries: u32,
    /// The class of tasks of this type, where the service has classes, unless the sender says otherwise:
    /// those that are sent from Rust under this type; Python and `counterfoil send` do not know it.
    /// Default: normal. Classes take
    /// turns for the places of workers; limits of a type (rate, concurrency) know no classes.
    pub priority: Priority,
    /// How long to wait before a retry. Default: 1 s, doubled each time, at most 10 min, jittered.
    pub backoff: Backoff,
    /// Longest that one execution may take before it is ended and counts as failed. `None`, the
    /// default: as the worker's settings say, 25 min unless changed; that is below the 30 min
    /// after which RabbitMQ takes an unacknowledged message back. A task that is acknowledged
    /// [early](Ack::Early) has no limit then. Zero is refused when the worker is built.
    ///
    /// A handler is ended at an await. An async one that blocks its thread past its limit cannot be ended: what it
    /// comes to stands, and the log and the task's own log say so.
    pub time_limit: Option<Duration>,
    /// When the handler of one execution is told that its time is nearly up, so that it can clean up
    /// or stop half-way: see `Context::soft_time_limit`. It must be shorter than the time limit.
    /// `None`, the default: it is not told. Zero is refused when the worker is built.
    pub soft_time_limit: Option<Duration>,
    /// How often executions may begin, on each worker. What comes too soon waits: less than a second
    /// in the worker, longer at the broker. It is no attempt. `None`, the default: no limit.
    ///
    /// Two are at least nine tenths of their time apart, of `10/s` 90 ms: so who begins a little late holds
    /// nobody up. That holds for tasks that are acknowledged [early](Ack::Early) too, however long the broker
    /// took to confirm; those that it kept waiting begin one after the other, each in its place among the
    /// handlers that run, and count as started meanwhile.
    pub rate_limit: Option<Rate>,
    /// How many executions may run at the same time, on each worker. The others wait as they do for
    /// [`rate_limit`](Self::rate_limit), without keeping other tasks from running. `None`, the
    /// default: as many as the worker runs of all its tasks together.
    pub max_concurrency: Option<u16>,
    /// How many executions may run at the same time, over all workers together: at most
    /// [`MOST_TOKENS`](crate::tokens::MOST_TOKENS). A task that is not let in waits at the broker,
    /// as if it had not been sent yet. It needs `counterfoil-sync`, which gives out the tokens that
    /// executions run by. Default: `None`, no limit.
    ///
    /// More than so many run only where a worker lost its connection: until it knows, and for at most
    /// three seconds more, in which it tries to get its token back. Then the execution is ended and
    /// repeated, which does not count as a retry. A blocking handler cannot be ended: let it look at
    /// its context's `cancelled`.
    pub max_concurrency_global: Option<u32>,
    /// When a worker acknowledges the task's message. Default: [`Ack::Late`].
    pub ack: Ack,
    /// How often a task that is [acknowledged early](Ack::Early) is begun again after its worker vanished.
    /// Once more, and it fails as `worker_lost` without being begun, and its message is dead. Default: 3.
    pub max_restarts: u32,
    /// How long the platform keeps a task of this type once it is over, with its history, result and log:
    /// from an hour to a hundred years, which is for ever. It travels with tasks that are sent from Rust
    /// under this type, unless the sender says otherwise. `None`, the default: as `[sync.retention]` of
    /// `counterfoil-sync` says.
    pub retention: Option<Duration>,
    /// Nobody waits for its result: callers in Python are told nothing, unless they say that they want it. The platform
    /// keeps it all the same. Default: false.
    pub ignore_result: bool,
}

/// When a worker acknowledges a message, and so who begins the task again when the worker dies.
///
/// ```
/// use counterfoil_toolbox::{Ack, TaskOptions};
///
/// // For a task that runs for hours. It needs `counterfoil-sync`, and may have no time limit.
/// let options = TaskOptions { ack: Ack::Early, ..TaskOptions::default() };
/// assert_eq!(options.time_limit, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// When the task is over and that is recorded: the broker begins it again, at once. It takes messages
    /// back after its consumer timeout (30 min unless changed), so no execution may take longer.
    #[default]
    Late,
    /// Before its handler begins, once the platform has been told: for tasks that may take longer than
    /// the broker waits. The worker says with every sign of life that it still has the task, which renews
    /// its lease (`worker.lease`). When the lease ends, `counterfoil-sync` sends the task again from its
    /// tracking copy: it needs that daemon, and a worker that dies is noticed one lease later.
    ///
    /// A worker that was cut off from the broker for longer than its lease, and a process that was stopped
    /// and goes on, may run a task beside its successor: what it reports then changes the history only.
    /// A retry always goes through the broker, after a second at least. A task that was published straight
    /// to its queue, past the task exchange, has no tracking copy: it is acknowledged late all the same.
    Early,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            max_retries: 3,
            priority: Priority::default(),
            backoff: Backoff::default(),
            time_limit: None,
            soft_time_limit: None,
            rate_limit: None,
            max_concurrency: None,
            max_concurrency_global: None,
            ack: Ack::Late,
            max_restarts: 3,
            retention: None,
            ignore_result: false,
        }
    }
}

/// How long a task may run at a broker that takes messages back after `consumer_timeout`. It looks
/// once a minute, and the message may have been here for a minute before its task is run again.
///
/// ```
/// use counterfoil_toolbox::task::longest_run;
/// use std::time::Duration;
///
/// let of_rabbitmq = Duration::from_secs(30 * 60);
/// assert_eq!(longest_run(of_rabbitmq), Duration::from_secs(28 * 60));
/// ```
#[must_use]
pub fn longest_run(consumer_timeout: Duration) -> Duration {
    consumer_timeout - (consumer_timeout / 10).min(Duration::from_secs(120))
}
