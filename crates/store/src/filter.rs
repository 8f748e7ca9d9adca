//! Which rows are wanted.

use crate::calls::row_limit;
use crate::record::TaskRow;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;

/// Which tasks are wanted. Everything that is set must hold.
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
    /// A subtask of this session.
    pub session: Option<String>,
    /// Sent at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Sent before this time.
    pub until: Option<DateTime<Utc>>,
    /// With this text in one of the places where people look for it.
    ///
    /// From three characters: a part of the error message, of the identifier, or of the name of the worker that has
    /// the task in hand, and what the creator's name begins with. From eight: what the task id or the public id
    /// begins with. Of any length: a part of the type; the whole identifier, creator, task id or public id; the
    /// whole id of the related object, also with its type (`project:17`). ASCII letters of either case count as the
    /// same in parts. Arguments and results are not looked at. Blank text is none.
    pub text: Option<String>,
    /// In which order. Default: newest first.
    pub order: TaskOrder,
    /// After this row, in that order: the next page.
    pub after: Option<Cursor>,
    /// Before this row, in that order: the previous page. The rows nearest to it, unless `after` is set, too.
    pub before: Option<Cursor>,
    /// At most so many, up to 10,000. Default: 50.
    pub limit: u32,
}

/// The order of a list of tasks: by the time of sending, then by public id. Other columns have no index that could
/// serve one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskOrder {
    /// The last that was sent comes first.
    #[default]
    NewestFirst,
    /// The first that was sent comes first.
    OldestFirst,
}

impl TaskOrder {
    const fn reversed(self) -> Self {
        match self {
            Self::NewestFirst => Self::OldestFirst,
            Self::OldestFirst => Self::NewestFirst,
        }
    }
}

impl TaskFilter {
    /// In which order rows are read, so that those of the page come first.
    pub(crate) const fn walk(&self) -> TaskOrder {
        if self.is_backwards() {
            self.order.reversed()
        } else {
            self.order
        }
    }

    /// Whether rows are read from the end of the page to its beginning.
    pub(crate) const fn is_backwards(&self) -> bool {
        self.before.is_some() && self.after.is_none()
    }

    /// The row than which all are older.
    pub(crate) const fn older_than(&self) -> Option<&Cursor> {
        match self.order {
            TaskOrder::NewestFirst => self.after.as_ref(),
            TaskOrder::OldestFirst => self.before.as_ref(),
        }
    }

    /// The row than which all are newer.
    pub(crate) const fn newer_than(&self) -> Option<&Cursor> {
        match self.order {
            TaskOrder::NewestFirst => self.before.as_ref(),
            TaskOrder::OldestFirst => self.after.as_ref(),
        }
    }

    /// How many rows a page may have.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(row_limit(self.limit)).unwrap_or(usize::MAX)
    }

    /// The service whose tasks are wanted: a name begins with its service, and so does the index.
    pub(crate) fn service_or_that_of_name(&self) -> Option<&str> {
        let of_name = self.name.as_deref().map(service_of);
        self.service.as_deref().or(of_name)
    }

    /// Whether a row has all that is wanted but for the text.
    pub(crate) fn admits(&self, row: &TaskRow) -> bool {
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, value: Option<&T>) -> bool {
            wanted.is_none() || wanted == value
        }
        let related = self.related.as_ref();
        let place = Cursor::after(row);
        is(self.state.as_ref(), Some(&row.state))
            && is(self.name.as_deref(), Some(&*row.name))
            && is(self.service.as_deref(), Some(&*row.service))
            && is(self.creator.as_deref(), row.creator_id.as_deref())
            && is(self.identifier.as_deref(), row.identifier.as_deref())
            && is(self.session.as_deref(), row.session_id.as_deref())
            && related.is_none_or(|(kind, id)| {
                row.related_content_type.as_ref() == Some(kind)
                    && row.related_object_id.as_ref() == Some(id)
            })
            && self.root.as_deref().is_none_or(|root| {
                row.task_id.as_str() == root || row.root_id.as_deref() == Some(root)
            })
            && self.since.is_none_or(|since| row.created_date >= since)
            && self.until.is_none_or(|until| row.created_date < until)
            && self.older_than().is_none_or(|than| place < *than)
            && self.newer_than().is_none_or(|than| place > *than)
    }
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
            session: None,
            since: None,
            until: None,
            text: None,
            order: TaskOrder::NewestFirst,
            after: None,
            before: None,
            limit: 50,
        }
    }
}

/// First segment of a task's name: the service that owns it.
pub(crate) fn service_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// A place in a list: the row at which a page begins or ends.
///
/// Prints as text for URLs and reads back from it. The id of a session may be any text, so encode it there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
        // Of a task, a session, a dead letter or a parked message.
        let is_id = !id.is_empty() && id.len() <= LONGEST_ID && !id.chars().any(char::is_control);
        Ok(Self {
            created_date: DateTime::from_timestamp_micros(micros).ok_or(BadCursor)?,
            id: is_id.then(|| id.to_owned()).ok_or(BadCursor)?,
        })
    }
}

/// Longest id of a row of any list, in bytes.
const LONGEST_ID: usize = 155;

/// The text is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the cursor of a page")]
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
    /// After this row of the page before; see [`DeadRow::place`](crate::record::DeadRow::place).
    pub after: Option<Cursor>,
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
    /// After this row of the page before; see [`ParkedRow::place`](crate::record::ParkedRow::place).
    pub after: Option<Cursor>,
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
        let of_a_session = Cursor {
            created_date: DateTime::UNIX_EPOCH,
            id: "harvest-2026 of 11/28".to_owned(),
        };
        assert_eq!(of_a_session.to_string().parse(), Ok(of_a_session));
        let long = format!("1-{}", "a".repeat(156));
        for text in [
            "",
            "1",
            "x-abc",
            "1-",
            "1-a\0b",
            &long,
            "99999999999999999999-abc",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }
}
