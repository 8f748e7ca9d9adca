//! Which rows are wanted.

use crate::record::TaskRow;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;

/// Which tasks are wanted. Everything that is set must hold; newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFilter {
    /// In this state.
    pub state: Option<TaskState>,
    /// Of this type.
    pub name: Option<String>,
    /// Owned by this service.
    pub service: Option<String>,
    /// Wanted by this user.
    pub creator: Option<String>,
    /// With this identifier, which is unique among the living tasks of one type.
    pub identifier: Option<String>,
    /// About this object: type and id.
    pub related: Option<(String, String)>,
    /// In the family of this task, the task itself included.
    pub root: Option<String>,
    /// Sent at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// After this row of the page before.
    pub after: Option<Cursor>,
    /// At most so many, up to 10,000. Default: 50.
    pub limit: u32,
}

impl Default for TaskFilter {
    fn default() -> Self {
        Self {
            state: None,
            name: None,
            service: None,
            creator: None,
            identifier: None,
            related: None,
            root: None,
            since: None,
            after: None,
            limit: 50,
        }
    }
}

/// First segment of a task's name: the service that owns it.
pub(crate) fn service_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// A place in a list of tasks: the row after which the next page begins.
///
/// Prints as text for URLs and reads back from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) created_date: DateTime<Utc>,
    pub(crate) id: String,
}

impl Cursor {
    /// The place of `row`.
    #[must_use]
    pub fn after(row: &TaskRow) -> Self {
        Self {
            created_date: row.created_date,
            id: row.id.clone(),
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.created_date.timestamp_micros(), self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (micros, id) = text.split_once('-').ok_or(BadCursor)?;
        let micros = micros.parse().map_err(|_| BadCursor)?;
        let is_public_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        Ok(Self {
            created_date: DateTime::from_timestamp_micros(micros).ok_or(BadCursor)?,
            id: is_public_id.then(|| id.to_owned()).ok_or(BadCursor)?,
        })
    }
}

/// The text is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the cursor of a page of tasks")]
pub struct BadCursor;

/// Which dead letters are wanted, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadFilter {
    /// In the dead queue of this service.
    pub service: Option<String>,
    /// Of this task, or the record with this id.
    pub id: Option<String>,
    /// Died for this reason: an error kind, or the broker's word.
    pub reason: Option<String>,
    /// Of this type.
    pub name: Option<String>,
    /// Died at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// At most so many; 0: 10,000, the most that is given.
    pub limit: u32,
}

/// Which tasks that found no queue are wanted, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnroutableFilter {
    /// Whose key leads to the queue of this service.
    pub service: String,
    /// Only those that the platform never sent again.
    pub first_time_only: bool,
    /// After this task of the page before.
    pub after: Option<Cursor>,
    /// At most so many; 0: 10,000, the most that is given.
    pub limit: u32,
}

/// Which parked messages are wanted, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParkedFilter {
    /// Read from this queue.
    pub queue: Option<String>,
    /// Of this task, or the record with this id.
    pub id: Option<String>,
    /// At most so many; 0: 10,000, the most that is given.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_from_its_text_and_nothing_else_does() {
        let cursor = Cursor {
            created_date: DateTime::from_timestamp_micros(1_764_000_000_123_456).expect("a time"),
            id: "abc234".to_owned(),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "x-abc", "1-", "1-a'b", "99999999999999999999-abc"] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }
}
