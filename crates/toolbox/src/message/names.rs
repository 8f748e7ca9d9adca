//! Names of the headers that counterfoil adds to Celery's. All are optional and may be set by any
//! producer. One is read in the example of [`encode`](crate::message::encode()).

/// Manual re-runs so far.
pub const RUN: &str = "counterfoil-run";
/// How often the platform sent the task again by itself.
pub const RESCUE: &str = "counterfoil-rescue";
/// When the task was sent, in milliseconds since 1970: what tells two sendings of one task apart. Copies
/// that workers and the platform send keep it.
pub const SENT: &str = "counterfoil-sent";
/// Retries so far, counted and uncounted; absent: as many as `retries`.
pub const EXECUTIONS: &str = "counterfoil-executions";
/// How many copies workers have sent of this attempt because they put it off untried. It tells the copy of
/// a task from the message that it takes the place of, and that the platform knows that the task waits.
pub const PASSES: &str = "counterfoil-passes";
/// How many of those the worker made without a message of their own, right before it sent this
/// one.
pub const TRIES_BEFORE: &str = "counterfoil-tries-before";
/// How often the broker had delivered the task when a worker put it off untried. The copy that it sent
/// begins without deliveries, and a task that ends its workers must not run for ever by that. Those
/// that ended with a worker which stopped and gave it back count too, as they do for the broker.
pub const DELIVERIES_BEFORE: &str = "counterfoil-deliveries-before";
/// Counted retries that this task may have, instead of as many as its type.
pub const MAX_RETRIES: &str = "counterfoil-max-retries";
/// How often the platform sent the task again because its worker vanished with it.
pub const RESTARTS: &str = "counterfoil-restarts";
/// How many seconds the platform keeps the task once it is over: see [`crate::retention`].
pub const RETENTION: &str = "counterfoil-retention";
/// What an earlier execution left for the next one: JSON.
pub const CHECKPOINT: &str = "counterfoil-checkpoint";
/// Session that the task is part of.
pub const SESSION: &str = "counterfoil-session";
/// Who wanted the task, as the platform names its users.
pub const CREATOR: &str = "counterfoil-creator";
/// Object that the task is about, `type:id`.
pub const RELATED: &str = "counterfoil-related";
/// Name that is unique among the living tasks of one type.
pub const IDENTIFIER: &str = "counterfoil-identifier";
/// The task's result is (part of) the result of its family.
pub const IS_RESULT: &str = "counterfoil-is-result";
/// Why a worker sent the message to the dead queue: an error kind.
pub const REASON: &str = "counterfoil-reason";
/// One line that goes with the reason.
pub const REASON_TEXT: &str = "counterfoil-reason-text";
/// On an event for Celery's monitors: the version of the counterfoil whose worker sent it. The platform does not
/// read it, since workers of ours report to it by [`Event`](crate::event::Event).
pub const BY_COUNTERFOIL: &str = "counterfoil";
/// How often the broker delivered the message before, on quorum queues.
pub const DELIVERY_COUNT: &str = "x-delivery-count";
