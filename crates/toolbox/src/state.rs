//! States of a task, the chart by which they follow each other, and the order in which they merge.
//!
//! The runtime is strict: a worker moves only along [`TaskState::may_become`]. The mirror is
//! patient: it takes events in any order and keeps the one with the highest [`StateKey`].

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// State of a task: Celery's words, plus `UNROUTABLE`, `REJECTED` and `PROGRESS`.
///
/// ```
/// use counterfoil_toolbox::TaskState;
///
/// assert!(TaskState::Started.may_become(TaskState::Retry));
/// assert!(!TaskState::Success.may_become(TaskState::Retry));
/// assert!(TaskState::Revoked.is_terminal() && !TaskState::Retry.is_terminal());
/// assert_eq!(TaskState::Success.as_str(), "SUCCESS");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskState {
    /// Scheduled, waiting for a worker or for its time.
    Pending,
    /// No service owns its routing key; the message is kept and sent again when one does.
    Unroutable,
    /// The queue was full and the sender was told.
    Rejected,
    /// A worker holds it but has not started it.
    Received,
    /// A handler is running.
    Started,
    /// A handler is running and told how far it is.
    Progress,
    /// It failed or was throttled, and will run again at a known time.
    Retry,
    /// It will not run again: error, crash, time limit, bad arguments.
    Failure,
    /// Cancelled, expired or aborted.
    Revoked,
    /// A handler returned its result.
    Success,
}

impl TaskState {
    /// Every state, in the order of a task's life.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Unroutable,
        Self::Rejected,
        Self::Received,
        Self::Started,
        Self::Progress,
        Self::Retry,
        Self::Failure,
        Self::Revoked,
        Self::Success,
    ];

    /// Place within one delivery of one execution: the higher one wins. Written into the database.
    ///
    /// A refusal ranks with the sending that was refused: whether the task was sent again since, the ids of both
    /// tell (see [`sending_id`](crate::sent::sending_id)).
    #[must_use]
    pub const fn rank(self) -> i16 {
        match self {
            Self::Pending | Self::Rejected => 10,
            Self::Unroutable => 15,
            Self::Received => 25,
            Self::Started => 30,
            Self::Progress => 40,
            Self::Retry => 50,
            Self::Failure => 70,
            Self::Revoked => 80,
            Self::Success => 90,
        }
    }

    /// How firmly the state holds within one lineage: a success is final, and beats a revocation.
    #[must_use]
    pub const fn sticky(self) -> i16 {
        match self {
            Self::Success => 2,
            Self::Revoked => 1,
            Self::Pending
            | Self::Unroutable
            | Self::Rejected
            | Self::Received
            | Self::Started
            | Self::Progress
            | Self::Retry
            | Self::Failure => 0,
        }
    }

    /// Whether the task is over: nothing more happens unless somebody runs it again, or sends one that was
    /// rejected once more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failure | Self::Revoked | Self::Rejected
        )
    }

    /// Whether a task in this state may become `next`, within one run.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use TaskState as S;
        match self {
            S::Pending => matches!(
                next,
                S::Unroutable | S::Rejected | S::Received | S::Started | S::Failure | S::Revoked
            ),
            // The platform sent it again: back to the queue of the service that appeared.
            S::Unroutable => matches!(next, S::Pending | S::Revoked),
            // Failure before a start: unknown task, bad arguments.
            // Pending: its worker has put it off, or gave it back.
            S::Received => matches!(
                next,
                S::Pending | S::Started | S::Failure | S::Revoked | S::Received
            ),
            // Back to Received or Started: the worker died and the broker delivered again. Back to
            // Pending: it died with a task that only it had, and the platform sent that again.
            S::Started | S::Progress => matches!(
                next,
                S::Pending
                    | S::Progress
                    | S::Success
                    | S::Failure
                    | S::Retry
                    | S::Revoked
                    | S::Received
                    | S::Started
            ),
            S::Retry => matches!(next, S::Received | S::Started | S::Failure | S::Revoked),
            // Its sender tried again, under the same id.
            S::Rejected => matches!(next, S::Pending),
            S::Success | S::Failure | S::Revoked => false,
        }
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Unroutable => "UNROUTABLE",
            Self::Rejected => "REJECTED",
            Self::Received => "RECEIVED",
            Self::Started => "STARTED",
            Self::Progress => "PROGRESS",
            Self::Retry => "RETRY",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Success => "SUCCESS",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for TaskState {
    type Err = crate::text::InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                crate::text::InvalidText::new("task state", text, "no state has this name")
            })
    }
}

impl TryFrom<String> for TaskState {
    type Error = crate::text::InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Which attempt of a task something belongs to: what its message says, and how often the worker
/// that has it tried since.
///
/// Shown to people as `<rescue>.<retries>.<deliveries>`.
///
/// ```
/// use counterfoil_toolbox::state::Lineage;
///
/// let attempt = Lineage { rescue: 1, executions: 2, deliveries: 3, ..Lineage::default() };
/// assert_eq!(attempt.to_string(), "1.2.3");
/// assert!(attempt > Lineage { deliveries: 99, ..Lineage::default() }); // a rescue counts more
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Lineage {
    /// Manual re-runs so far.
    #[serde(default)]
    pub run: i32,
    /// How often the platform sent the task again by itself.
    #[serde(default)]
    pub rescue: i32,
    /// Retries behind the message, counted and uncounted.
    #[serde(default)]
    pub executions: i32,
    /// How often the broker delivered this message before (`x-delivery-count`).
    #[serde(default)]
    pub deliveries: i32,
    /// Retries since that delivery, made by its worker without another message. The next delivery
    /// begins with none, whatever the one before came to: so it counts less than `deliveries`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: i32,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &i32) -> bool {
    *count == 0
}

impl Lineage {
    /// Retries so far, with and without a message of their own.
    #[must_use]
    pub const fn retries(&self) -> i32 {
        self.executions.saturating_add(self.tries)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.rescue, self.retries(), self.deliveries)
    }
}

/// The total order by which events of one task merge: the row shows the highest.
///
/// `(run, rescue, sticky, executions, deliveries, tries, rank, event_id)`. Taking the maximum is
/// commutative, associative and idempotent, so events may come in any order, any number of times.
///
/// ```
/// use counterfoil_toolbox::{TaskState, state::{Lineage, StateKey}};
/// use uuid::Uuid;
///
/// let key = |state| StateKey::new(Lineage::default(), state, Uuid::now_v7());
/// let (success, late) = (key(TaskState::Success), key(TaskState::Started));
/// assert_eq!(success.max(late), success); // what overtook it is not undone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// See [`Lineage::run`].
    pub run: i32,
    /// See [`Lineage::rescue`].
    pub rescue: i32,
    /// See [`TaskState::sticky`].
    pub sticky: i16,
    /// See [`Lineage::executions`].
    pub executions: i32,
    /// See [`Lineage::deliveries`].
    pub deliveries: i32,
    /// See [`Lineage::tries`].
    pub tries: i32,
    /// See [`TaskState::rank`].
    pub rank: i16,
    /// Breaks ties, and names the event that won.
    pub event_id: Uuid,
}

impl StateKey {
    /// The key of an event that puts a task into `state`.
    #[must_use]
    pub const fn new(lineage: Lineage, state: TaskState, event_id: Uuid) -> Self {
        Self {
            run: lineage.run,
            rescue: lineage.rescue,
            sticky: state.sticky(),
            executions: lineage.executions,
            deliveries: lineage.deliveries,
            tries: lineage.tries,
            rank: state.rank(),
            event_id,
        }
    }

    /// The attempt that this key belongs to.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        Lineage {
            run: self.run,
            rescue: self.rescue,
            executions: self.executions,
            deliveries: self.deliveries,
            tries: self.tries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rescue: i32, executions: i32, deliveries: i32, state: TaskState) -> StateKey {
        let lineage = Lineage {
            run: 0,
            rescue,
            executions,
            deliveries,
            tries: 0,
        };
        StateKey::new(lineage, state, Uuid::nil())
    }

    #[test]
    fn ranks_rise_along_a_tasks_life_and_a_refusal_ranks_with_what_was_refused() {
        let of_lives = TaskState::ALL.iter().filter(|s| **s != TaskState::Rejected);
        assert!(of_lives.map(|s| s.rank()).is_sorted_by(|a, b| a < b));
        assert_eq!(TaskState::Rejected.rank(), TaskState::Pending.rank());
    }

    #[test]
    fn terminal_states_lead_nowhere_unless_refused_and_all_others_lead_to_a_terminal_one() {
        for state in TaskState::ALL {
            let next: Vec<_> = TaskState::ALL
                .into_iter()
                .filter(|n| state.may_become(*n))
                .collect();
            if state == TaskState::Rejected {
                assert_eq!(next, [TaskState::Pending], "sent once more");
                continue;
            }
            assert_eq!(state.is_terminal(), next.is_empty(), "{state}");
            assert!(
                state.is_terminal() || next.iter().any(|n| n.is_terminal()),
                "{state}"
            );
        }
    }

    #[test]
    fn names_read_back_as_the_same_state() {
        for state in TaskState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("DONE".parse::<TaskState>().is_err());
    }

    #[test]
    fn a_late_success_beats_a_failure_of_the_same_lineage_but_not_a_newer_rescue() {
        use TaskState::{Failure, Started, Success};
        assert!(key(0, 0, 0, Success) > key(0, 3, 1, Failure));
        assert!(key(0, 0, 0, Success) < key(1, 0, 0, Started));
    }

    #[test]
    fn a_later_attempt_beats_whatever_an_earlier_one_reported() {
        use TaskState::{Failure, Started};
        assert!(key(0, 1, 0, Started) > key(0, 0, 5, Failure));
        assert!(key(0, 1, 1, Started) > key(0, 1, 0, Failure));
    }

    #[test]
    fn a_delivery_beats_whatever_the_worker_of_the_one_before_retried_by_itself() {
        use TaskState::{Failure, Started};
        let lost = Lineage {
            tries: 2,
            ..Lineage::default()
        };
        let lost = StateKey::new(lost, Started, Uuid::max());
        assert!(key(0, 0, 1, Failure) > lost);
        assert!(lost > key(0, 0, 0, Failure));
        assert_eq!(lost.lineage().to_string(), "0.2.0");
    }

    #[test]
    fn a_success_outlasts_a_revocation_and_a_revocation_outlasts_a_failure() {
        use TaskState::{Failure, Revoked, Success};
        assert!(key(0, 0, 0, Success) > key(0, 2, 0, Revoked));
        assert!(key(0, 0, 0, Revoked) > key(0, 2, 0, Failure));
    }
}
