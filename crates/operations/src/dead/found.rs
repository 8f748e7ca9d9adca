//! What is found in a dead queue, or only in the list of the dead.

use crate::outcome::Subject;
use counterfoil_store::DeadLetter;
use counterfoil_store::record::DeadRecord;
use counterfoil_toolbox::ids::TaskId;
use uuid::Uuid;

/// A message of the queue that was chosen.
pub(super) struct Found {
    pub(super) tag: u64,
    /// Id of the record.
    pub(super) id: Uuid,
    pub(super) letter: DeadLetter,
}

impl Found {
    pub(super) fn subject(&self) -> Subject {
        let DeadLetter { task_id, name, .. } = &self.letter;
        let task_id = task_id.as_ref().map(TaskId::to_string);
        Subject {
            // Of the record where no task can be read.
            id: task_id.clone().unwrap_or_else(|| self.id.to_string()),
            task_id,
            name: name.as_deref().map(str::to_owned),
        }
    }
}

/// A record whose message was not found.
pub(super) fn of_record(record: DeadRecord) -> Subject {
    let task_id = record.task_id;
    Subject {
        id: task_id.clone().unwrap_or_else(|| record.id.to_string()),
        task_id,
        name: record.name,
    }
}
