//! What a batch's subtasks have become, put together from what their rows say and what sessions know of them: pure.

use super::count::{Listed, News};
use counterfoil_toolbox::TaskState;
use serde::Serialize;
use sqlx::FromRow;
use std::collections::{BTreeSet, HashMap};

/// A subtask whose row a batch has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub(crate) struct Touched {
    pub(crate) session_id: String,
    pub(crate) task_id: String,
    /// What the row says now. `None`: it has not been looked up, or calls itself no part of this session.
    #[serde(skip)]
    #[sqlx(skip)]
    pub(crate) row: Option<Row>,
}

/// What the row of a subtask says that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(crate) struct Row {
    #[sqlx(try_from = "String")]
    pub(crate) state: TaskState,
    pub(crate) skipped: bool,
    /// Whether it may have been retried.
    pub(crate) came_back: bool,
}

/// The row of the subtask at this place of a list.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct NthRow {
    nth: i64,
    #[sqlx(flatten)]
    row: Row,
}

/// What its session had counted of the subtask at this place of a list.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Known {
    pub(crate) nth: i64,
    #[sqlx(flatten)]
    pub(crate) before: Before,
}

/// What a session had counted of a subtask.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Before {
    /// `None`: the first end that it was looked up with has been written there.
    place: Option<String>,
    #[sqlx(try_from = "String")]
    status: TaskState,
    skipped: bool,
    retried_counted: i32,
    retried_uncounted: i32,
}

/// A session while a batch is written.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Standing {
    id: String,
    /// Whether it is not over.
    open: bool,
    /// Whether what is missing of it counts as failed.
    written_off: bool,
}

impl Touched {
    fn ids(&self) -> (&str, &str) {
        (&self.session_id, &self.task_id)
    }

    /// Brings them in order, each once: with its row where that is known.
    pub(crate) fn each_once(touched: &mut Vec<Self>) {
        touched.sort_unstable_by(|one, other| {
            let order = one.ids().cmp(&other.ids());
            order.then(other.row.is_some().cmp(&one.row.is_some()))
        });
        touched.dedup_by(|next, first| next.ids() == first.ids());
    }
}

impl Row {
    /// Of a subtask that has no row: nobody has heard of it.
    const NONE: Self = Self {
        state: TaskState::Pending,
        skipped: false,
        came_back: false,
    };
}

impl NthRow {
    /// Adds what was looked up to what it was looked up for.
    pub(crate) fn add_to(rows: Vec<Self>, touched: &mut [Touched]) {
        for found in rows {
            let nth = usize::try_from(found.nth).ok();
            if let Some(touched) = nth.and_then(|nth| touched.get_mut(nth)) {
                touched.row = Some(found.row);
            }
        }
    }
}

/// Which of these have come to an end that their sessions may write as they look them up, if it is the first one: they go
/// on, and nobody has retried the subtask.
pub(crate) fn plain_ends(
    touched: &[Touched],
    sessions: &[Standing],
    retried: &BTreeSet<String>,
) -> Vec<Option<Row>> {
    let going_on = sessions.iter().filter(|one| one.open && !one.written_off);
    let going_on: BTreeSet<_> = going_on.map(|one| one.id.as_str()).collect();
    let plain = touched.iter().map(|subtask| {
        let row = subtask.row?;
        let is_plain = row.state.is_terminal()
            && !row.came_back
            && !retried.contains(&subtask.task_id)
            && going_on.contains(subtask.session_id.as_str());
        is_plain.then_some(row)
    });
    plain.collect()
}

/// What there is to count. Where a session was written off, what is missing of it has failed, whatever its row says.
/// A session that is unknown counts nothing.
pub(crate) fn news(touched: Vec<Touched>, known: Vec<Known>, sessions: Vec<Standing>) -> Vec<News> {
    let sessions: HashMap<_, _> = sessions.iter().map(|one| (one.id.as_str(), one)).collect();
    let known = known.into_iter();
    let mut known: HashMap<i64, Before> = known.map(|known| (known.nth, known.before)).collect();
    let touched = (0..).zip(touched);
    let news = touched.filter_map(|(nth, touched)| {
        let session = sessions.get(touched.session_id.as_str())?;
        Some(one(touched, known.remove(&nth), session))
    });
    news.collect()
}

fn one(touched: Touched, known: Option<Before>, session: &Standing) -> News {
    let known_status = known
        .as_ref()
        .map_or(TaskState::Pending, |known| known.status);
    let known_skipped = known.as_ref().is_some_and(|known| known.skipped);
    let row = touched.row.unwrap_or(Row {
        state: known_status,
        skipped: known_skipped,
        ..Row::NONE
    });
    let state = match session.written_off && !row.state.is_terminal() {
        true => TaskState::Failure,
        false => row.state,
    };
    News {
        session_id: touched.session_id,
        task_id: touched.task_id,
        open: session.open,
        known_status,
        known_skipped,
        known_counted: known.as_ref().map_or(0, |known| known.retried_counted),
        known_uncounted: known.as_ref().map_or(0, |known| known.retried_uncounted),
        listed: known.map(|known| known.place.map_or(Listed::Written, Listed::At)),
        state,
        skipped: row.skipped,
        came_back: row.came_back,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState::{Failure, Pending, Started, Success};

    fn touched(task_id: &str, state: Option<TaskState>) -> Touched {
        Touched {
            session_id: "s".to_owned(),
            task_id: task_id.to_owned(),
            row: state.map(|state| Row { state, ..Row::NONE }),
        }
    }

    fn known(nth: i64, status: TaskState) -> Known {
        let before = Before {
            place: Some(format!("(0,{nth})")),
            status,
            skipped: false,
            retried_counted: 2,
            retried_uncounted: 1,
        };
        Known { nth, before }
    }

    fn session(written_off: bool) -> Standing {
        Standing {
            id: "s".to_owned(),
            open: true,
            written_off,
        }
    }

    #[test]
    fn each_subtask_meets_what_its_session_knows_of_it() {
        let both = vec![touched("a", Some(Success)), touched("b", Some(Started))];
        let news = news(both, vec![known(1, Pending)], vec![session(false)]);
        let seen: Vec<_> = news
            .iter()
            .map(|news| {
                (
                    &*news.task_id,
                    news.listed.clone(),
                    news.known_counted,
                    news.state,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("a", None, 0, Success),
                ("b", Some(Listed::At("(0,1)".to_owned())), 2, Started)
            ]
        );
    }

    #[test]
    fn what_is_missing_when_the_time_is_over_has_failed_and_nothing_else() {
        for (row, was, wanted) in [
            (Some(Started), Pending, Failure),
            (None, Pending, Failure),
            (Some(Success), Pending, Success),
            // A row that is gone, as retention leaves it, changes nothing.
            (None, Success, Success),
        ] {
            let mut known = known(0, was);
            known.before.skipped = true;
            let news = news(vec![touched("a", row)], vec![known], vec![session(true)]);
            assert_eq!(news[0].state, wanted, "{row:?} {was}");
            // Where there is no row it counts as it did before.
            assert_eq!(news[0].skipped, row.is_none(), "{row:?} {was}");
        }
    }

    #[test]
    fn an_end_is_plain_while_its_session_goes_on_and_nobody_has_retried_the_subtask() {
        let plain = |subtask: Touched, session: Standing, retried: &[&str]| {
            let retried = retried.iter().map(|&id| id.to_owned()).collect();
            plain_ends(&[subtask], &[session], &retried)[0].is_some()
        };
        let ended = || touched("a", Some(Success));
        assert!(plain(ended(), session(false), &["b"]));
        assert!(!plain(ended(), session(false), &["a"]));
        assert!(!plain(ended(), session(true), &[]));
        let over = Standing {
            open: false,
            ..session(false)
        };
        assert!(!plain(ended(), over, &[]));
        let other = Standing {
            id: "other".to_owned(),
            ..session(false)
        };
        assert!(!plain(ended(), other, &[]));
        assert!(!plain(touched("a", Some(Started)), session(false), &[]));
        assert!(!plain(touched("a", None), session(false), &[]));
        let mut back = ended();
        back.row.as_mut().expect("it has one").came_back = true;
        assert!(!plain(back, session(false), &[]));
    }

    #[test]
    fn a_session_that_nobody_has_opened_counts_nothing() {
        assert!(news(vec![touched("a", Some(Success))], Vec::new(), Vec::new()).is_empty());
    }

    #[test]
    fn each_is_there_once_with_its_row_where_one_of_them_has_it() {
        let mut all = vec![
            touched("b", None),
            touched("a", None),
            touched("a", Some(Success)),
        ];
        Touched::each_once(&mut all);
        assert_eq!(all, [touched("a", Some(Success)), touched("b", None)]);
    }

    #[test]
    fn rows_that_were_looked_up_go_where_they_belong() {
        let mut all = vec![touched("a", None), touched("b", None)];
        let row = Row {
            state: Started,
            ..Row::NONE
        };
        NthRow::add_to(
            vec![NthRow { nth: 1, row }, NthRow { nth: 7, row }],
            &mut all,
        );
        assert_eq!(all, [touched("a", None), touched("b", Some(Started))]);
    }
}
