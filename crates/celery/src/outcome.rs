//! A task's result as Celery names it: `[[id, parent], children]`.

use counterfoil_toolbox::TaskId;
use serde_json::{Value, json};

/// What somebody may wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The result of one task.
    Task(TaskId),
    /// Those of a group.
    Group(TaskId, Vec<Awaited>),
}

impl Awaited {
    /// As Celery writes it (`AsyncResult.as_tuple`, `GroupResult.as_tuple`).
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Task(id) => json!([[id, null], null]),
            Self::Group(id, members) => {
                let members: Vec<_> = members.iter().map(Self::to_json).collect();
                json!([[id, null], members])
            }
        }
    }
}
