//! What lists answer, and how a page is put together.

use crate::filter::{Cursor, TaskFilter, TaskOrder};
use crate::record::TaskRow;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::TaskState;
use std::time::Duration;

/// Most that is counted one by one.
pub(crate) const MOST_COUNTED: u64 = 10_000;
/// How long a count may take.
pub(crate) const SOON: Duration = Duration::from_millis(300);
/// How many tasks are looked at when that was not enough.
pub(crate) const LOOKED_AT: i64 = 20_000;

/// A page of tasks, and whether all that there is was looked at for it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskPage {
    /// The tasks, in the order that was asked for.
    pub tasks: Vec<TaskRow>,
    /// `Some`: looking through all tasks would have taken too long, so only the nearest 20,000 were looked at, and not
    /// enough of them matched. The next ones to look at are those beyond this place: it goes where the cursor of
    /// the page went, [`after`](TaskFilter::after) unless that was [`before`](TaskFilter::before).
    pub cut_at: Option<Cursor>,
}

impl TaskPage {
    pub(crate) const fn whole(tasks: Vec<TaskRow>) -> Self {
        Self {
            tasks,
            cut_at: None,
        }
    }
}

/// Whether the first task of a family is among those that a statement finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Too,
    Apart,
}

/// Where a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Places {
    /// In error messages.
    Errors,
    /// Everywhere else.
    Others,
    /// In both.
    All,
}

/// How rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As the planner thinks best.
    Planners,
    /// All that match first, where indexes tell them; then in order.
    Bitmaps,
}

/// How many there are, as far as it is worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// So many, up to 10,000.
    Exactly(u64),
    /// About so many, as the database's statistics tell.
    About(u64),
    /// More than so many.
    MoreThan(u64),
    /// Counting took too long, and nothing else tells.
    Unknown,
}

impl Counted {
    /// What was counted, `None` when it took too long; `estimate` is needed in that case, and when there are more
    /// than are counted.
    pub(crate) const fn of(counted: Option<u64>, estimate: Option<u64>) -> Self {
        match (counted, estimate) {
            (Some(counted), _) if counted <= MOST_COUNTED => Self::Exactly(counted),
            (Some(_), Some(estimate)) if estimate > MOST_COUNTED => Self::About(estimate),
            (Some(_), _) => Self::MoreThan(MOST_COUNTED),
            (None, Some(estimate)) => Self::About(estimate),
            (None, None) => Self::Unknown,
        }
    }
}

/// How many tasks are in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivingCount {
    /// The state; none of those in which tasks end.
    pub state: TaskState,
    /// How many tasks.
    pub tasks: Counted,
}

/// Whether tasks are read type by type: the index has those of one type in the order of sending, and those of a
/// service, or of all types with some text in them, in none. Where few tasks can match anyway, other indexes serve.
pub(crate) fn goes_by_types(filter: &TaskFilter) -> bool {
    filter.state.is_none_or(|state| state == TaskState::Success)
        && filter.creator.is_none()
        && filter.identifier.is_none()
        && filter.related.is_none()
        && filter.root.is_none()
        && filter.session.is_none()
}

/// Those of the types (service and type) that a filter asks for.
pub(crate) fn wanted_types(filter: &TaskFilter, kinds: &mut Vec<(String, String)>) {
    let service = filter.service_or_that_of_name();
    kinds.retain(|(of, name)| {
        service.is_none_or(|service| service == of)
            && filter.name.as_ref().is_none_or(|wanted| wanted == name)
    });
}

/// Rows from one or several readings as one page.
pub(crate) fn in_order(mut rows: Vec<TaskRow>, filter: &TaskFilter) -> Vec<TaskRow> {
    let place = |row: &TaskRow| (row.created_date, row.id.clone());
    match filter.walk() {
        TaskOrder::NewestFirst => rows.sort_by_key(|row| std::cmp::Reverse(place(row))),
        TaskOrder::OldestFirst => rows.sort_by_key(place),
    }
    rows.dedup_by(|one, other| one.id == other.id);
    rows.truncate(filter.most());
    if filter.is_backwards() {
        rows.reverse();
    }
    rows
}

/// From when on tasks are looked at, in the order of reading.
pub(crate) fn start(filter: &TaskFilter) -> DateTime<Utc> {
    let place = |cursor: &Cursor| cursor.created_date;
    match filter.walk() {
        TaskOrder::NewestFirst => {
            let ends = [filter.older_than().map(place), filter.until];
            ends.into_iter()
                .flatten()
                .min()
                .unwrap_or(crate::time::latest())
        }
        TaskOrder::OldestFirst => {
            let ends = [filter.newer_than().map(place), filter.since];
            ends.into_iter()
                .flatten()
                .max()
                .unwrap_or(DateTime::UNIX_EPOCH)
        }
    }
}

/// A filter for the same tasks, but none that was sent after `time`.
pub(crate) fn not_after(filter: &TaskFilter, time: DateTime<Utc>) -> TaskFilter {
    // Until then, and not at that time.
    let beyond = time + TimeDelta::microseconds(1);
    TaskFilter {
        until: Some(filter.until.map_or(beyond, |until| until.min(beyond))),
        ..filter.clone()
    }
}

/// The same as [`start`] knows, but nothing beyond `edge`; and the place beyond it, unless nothing is wanted there.
pub(crate) fn up_to(filter: &TaskFilter, edge: DateTime<Utc>) -> (TaskFilter, Option<Cursor>) {
    // Public ids are letters and greater than this.
    let place = |created_date| Cursor {
        created_date,
        id: "0".to_owned(),
    };
    match filter.walk() {
        TaskOrder::NewestFirst => {
            let goes_on = filter.since.is_none_or(|since| since < edge);
            let near = TaskFilter {
                since: filter.since.max(Some(edge)),
                ..filter.clone()
            };
            (near, goes_on.then(|| place(edge)))
        }
        TaskOrder::OldestFirst => {
            let beyond = edge + TimeDelta::microseconds(1);
            let goes_on = filter.until.is_none_or(|until| until > beyond);
            (not_after(filter, edge), goes_on.then(|| place(beyond)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_how_good_it_is() {
        for (counted, estimate, said) in [
            (Some(0), None, Counted::Exactly(0)),
            (Some(10_000), Some(7), Counted::Exactly(10_000)),
            (Some(10_001), Some(250_000), Counted::About(250_000)),
            // Statistics of yesterday.
            (Some(10_001), Some(9_000), Counted::MoreThan(10_000)),
            (Some(10_001), None, Counted::MoreThan(10_000)),
            (None, Some(9_000), Counted::About(9_000)),
            (None, None, Counted::Unknown),
        ] {
            assert_eq!(Counted::of(counted, estimate), said);
        }
    }

    #[test]
    fn a_list_goes_on_where_it_was_cut() {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let mut filter = TaskFilter {
            since: Some(time(50)),
            until: Some(time(90)),
            ..TaskFilter::default()
        };
        assert_eq!(start(&filter), time(90));
        let (near, beyond) = up_to(&filter, time(70));
        assert_eq!((near.since, near.until), (Some(time(70)), Some(time(90))));
        filter.after = beyond;
        assert_eq!(start(&filter), time(70));
        let (near, beyond) = up_to(&filter, time(40));
        assert_eq!(near.since, Some(time(50)), "not beyond what was asked for");
        assert_eq!(beyond, None, "and nothing is left out");

        filter.order = TaskOrder::OldestFirst;
        filter.after = None;
        assert_eq!(start(&filter), time(50));
        let (near, beyond) = up_to(&filter, time(60));
        assert!(near.until > Some(time(60)), "with those of that time");
        let beyond = beyond.expect("more is wanted");
        assert!(Some(beyond.created_date) == near.until && *beyond.id < *"a");
        let (near, beyond) = up_to(&filter, time(95));
        assert_eq!((near.until, beyond), (Some(time(90)), None));
    }
}
