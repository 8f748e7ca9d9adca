//! Families: a task, and everything that was scheduled under it.

use crate::error::StoreError;
use crate::record::{ResultRow, StateCount};
use async_trait::async_trait;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;

/// The state of a family of tasks in these states: FAILURE if any failed; else the one that all are in; else, when
/// all are over, REJECTED or REVOKED, as one of them is; else STARTED. `None`: there are none.
///
/// ```
/// use counterfoil_store::family_status;
/// use counterfoil_toolbox::TaskState::{Failure, Pending, Revoked, Started, Success};
///
/// assert_eq!(family_status([Success, Success]), Some(Success));
/// assert_eq!(family_status([Success, Pending]), Some(Started));
/// assert_eq!(family_status([Success, Pending, Failure]), Some(Failure));
/// assert_eq!(family_status([Success, Revoked]), Some(Revoked));
/// ```
#[must_use]
pub fn family_status(states: impl IntoIterator<Item = TaskState>) -> Option<TaskState> {
    let join = |all: TaskState, state: TaskState| match (all, state) {
        (TaskState::Failure, _) | (_, TaskState::Failure) => TaskState::Failure,
        (all, state) if all == state => all,
        (TaskState::Rejected, over) | (over, TaskState::Rejected) if over.is_terminal() => {
            TaskState::Rejected
        }
        (all, state) if all.is_terminal() && state.is_terminal() => TaskState::Revoked,
        _ => TaskState::Started,
    };
    states.into_iter().reduce(join)
}

/// The part of [`Store`](crate::Store) that is about them.
#[async_trait]
pub trait Families {
    /// How many tasks of the family with this first task are in each state; see [`family_status`].
    async fn family_counts(&self, root_id: &TaskId) -> Result<Vec<StateCount>, StoreError>;

    /// The results of a family: the outcomes of those of its tasks that were sent
    /// [so](counterfoil_toolbox::message::Envelope::is_result), each of the run that its row shows, in the
    /// order of their sending: the first 10,000.
    async fn family_results(&self, root_id: &TaskId) -> Result<Vec<ResultRow>, StoreError>;
}

/// Implements [`Families`].
macro_rules! implement_families {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::family::Families for $store {
            async fn family_counts(&self, root_id: &TaskId) -> Result<Vec<StateCount>, StoreError> {
                let counts = query_as(self.sql.family_counts).bind(root_id.as_str());
                self.all("count the tasks of a family", counts).await
            }

            async fn family_results(&self, root_id: &TaskId) -> Result<Vec<ResultRow>, StoreError> {
                let results = query_as(self.sql.family_results).bind(root_id.as_str());
                self.all("read the results of a family", results).await
            }
        }
    };
}

pub(crate) use implement_families;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_the_state_that_all_have_unless_one_failed() {
        use TaskState::{Failure, Pending, Progress, Rejected, Revoked, Started, Success};
        for (states, family) in [
            (&[][..], None),
            (&[Pending], Some(Pending)),
            (&[Revoked, Revoked], Some(Revoked)),
            (&[Progress, Progress], Some(Progress)),
            (&[Success, Revoked], Some(Revoked)),
            (&[Success, Revoked, Success], Some(Revoked)),
            (&[Success, Rejected, Revoked], Some(Rejected)),
            (&[Success, Revoked, Pending], Some(Started)),
            (&[Pending, Started, Pending], Some(Started)),
            // What differs once stays different.
            (&[Success, Pending, Success], Some(Started)),
            (&[Failure, Pending], Some(Failure)),
            (&[Success, Success, Failure], Some(Failure)),
        ] {
            assert_eq!(family_status(states.iter().copied()), family, "{states:?}");
            let backwards = states.iter().rev().copied();
            assert_eq!(family_status(backwards), family, "{states:?}");
        }
    }
}
