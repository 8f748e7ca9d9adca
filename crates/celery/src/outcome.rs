//! A task's result as Celery names it: `[[id, parent], children]`.

use counterfoil_toolbox::TaskId;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// What somebody may wait for, once a signature was called. Written as JSON, it is what Celery makes a result of again
/// (`celery.result.result_from_tuple`): a handler may return it.
///
/// ```
/// use counterfoil_celery::Awaited;
/// use serde_json::json;
///
/// let pages = ["p1", "p2"].map(|id| Awaited::task(id.parse().expect("a valid id")));
/// let all = Awaited::Group("g".parse()?, pages.to_vec());
/// assert_eq!(serde_json::to_value(&all)?, json!([["g", null], [[["p1", null], null], [["p2", null], null]]]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// The result of one task: of a chain its last step, of a chord its body.
    Task {
        /// Its id.
        id: TaskId,
        /// What comes before it in its chain.
        parent: Option<Box<Awaited>>,
    },
    /// Those of a group, which has an id of its own.
    Group(TaskId, Vec<Awaited>),
}

impl Awaited {
    /// The result of a task that nothing comes before.
    #[must_use]
    pub fn task(id: TaskId) -> Self {
        Self::Task { id, parent: None }
    }

    /// Id of the task, or of the group.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        match self {
            Self::Task { id, .. } | Self::Group(id, _) => id,
        }
    }

    /// As Celery writes it (`AsyncResult.as_tuple`, `GroupResult.as_tuple`).
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Task { id, parent } => {
                let parent = parent.as_ref().map(|parent| parent.to_json());
                json!([[id, parent], null])
            }
            Self::Group(id, members) => {
                let members: Vec<_> = members.iter().map(Self::to_json).collect();
                json!([[id, null], members])
            }
        }
    }
}

impl Serialize for Awaited {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
