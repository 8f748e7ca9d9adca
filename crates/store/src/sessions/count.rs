//! From what rows of subtasks say to what sessions count: pure.

use counterfoil_toolbox::TaskState;
use serde::Serialize;
use sqlx::FromRow;
use std::collections::BTreeMap;

/// What a session knows of a subtask, and what its row says now.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct News {
    pub(crate) session_id: String,
    pub(crate) task_id: String,
    /// Whether the session is not over.
    pub(crate) open: bool,
    #[sqlx(try_from = "String")]
    pub(crate) known_status: TaskState,
    pub(crate) known_skipped: bool,
    pub(crate) known_counted: i32,
    pub(crate) known_uncounted: i32,
    #[sqlx(try_from = "String")]
    pub(crate) state: TaskState,
    pub(crate) skipped: bool,
    pub(crate) counted: i64,
    pub(crate) uncounted: i64,
}

/// What is written about a subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SubtaskChange {
    pub(crate) session_id: String,
    pub(crate) task_id: String,
    pub(crate) status: TaskState,
    pub(crate) skipped: bool,
    pub(crate) counted: i32,
    pub(crate) uncounted: i32,
}

/// What is added to the counters of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) id: String,
    pub(crate) succeeded: i32,
    pub(crate) failed: i32,
    pub(crate) skipped: i32,
    pub(crate) counted: i32,
    pub(crate) uncounted: i32,
}

/// What changes. How subtasks ended does not change any more once the session is over: its finalizer has been
/// told. How often they were retried may be heard of later, so that no order of events makes a difference.
pub(crate) fn count(news: Vec<News>) -> (Vec<SubtaskChange>, Vec<Counts>) {
    let mut sessions = BTreeMap::<String, Counts>::new();
    let mut changes = Vec::new();
    for news in news {
        let known = (news.known_status, news.known_skipped);
        let now = if news.open {
            (news.state, news.skipped)
        } else {
            known
        };
        // They only grow: who counts fewer has not heard of all.
        let clamped = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
        let counted = news.known_counted.max(clamped(news.counted));
        let uncounted = news.known_uncounted.max(clamped(news.uncounted));
        if now == known && (counted, uncounted) == (news.known_counted, news.known_uncounted) {
            continue;
        }
        let counts = sessions.entry(news.session_id.clone()).or_default();
        counts.succeeded += i32::from(succeeded(now.0)) - i32::from(succeeded(known.0));
        counts.failed += i32::from(failed(now.0)) - i32::from(failed(known.0));
        counts.skipped += i32::from(now.1) - i32::from(known.1);
        counts.counted += counted - news.known_counted;
        counts.uncounted += uncounted - news.known_uncounted;
        changes.push(SubtaskChange {
            session_id: news.session_id,
            task_id: news.task_id,
            status: now.0,
            skipped: now.1,
            counted,
            uncounted,
        });
    }
    let counts = sessions.into_iter();
    let counts = counts.map(|(id, counts)| Counts { id, ..counts });
    (changes, counts.collect())
}

fn succeeded(state: TaskState) -> bool {
    state == TaskState::Success
}

fn failed(state: TaskState) -> bool {
    state.is_terminal() && !succeeded(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState::{Failure, Pending, Rejected, Revoked, Started, Success};

    fn news(known: TaskState, state: TaskState) -> News {
        News {
            session_id: "s".to_owned(),
            task_id: "t".to_owned(),
            open: true,
            known_status: known,
            known_skipped: false,
            known_counted: 1,
            known_uncounted: 0,
            state,
            skipped: false,
            counted: 1,
            uncounted: 0,
        }
    }

    fn counted(news: Vec<News>) -> (i32, i32, i32) {
        let (_, counts) = count(news);
        counts.first().map_or((0, 0, 0), |counts| {
            (counts.succeeded, counts.failed, counts.skipped)
        })
    }

    #[test]
    fn what_a_subtask_became_is_added_and_what_it_was_taken_off() {
        for (known, state, wanted) in [
            (Pending, Success, (1, 0, 0)),
            (Started, Failure, (0, 1, 0)),
            (Started, Revoked, (0, 1, 0)),
            (Pending, Rejected, (0, 1, 0)),
            (Pending, Started, (0, 0, 0)),
            (Failure, Success, (1, -1, 0)),
            (Failure, Started, (0, -1, 0)),
            (Success, Success, (0, 0, 0)),
        ] {
            assert_eq!(counted(vec![news(known, state)]), wanted, "{known} {state}");
        }
        let skipped = News {
            skipped: true,
            ..news(Pending, Success)
        };
        assert_eq!(counted(vec![skipped]), (1, 0, 1));
    }

    #[test]
    fn nothing_new_changes_nothing() {
        let (changes, counts) = count(vec![news(Started, Started), news(Success, Success)]);
        assert!(changes.is_empty() && counts.is_empty());
    }

    #[test]
    fn a_session_that_is_over_hears_of_retries_only() {
        let late = News {
            open: false,
            counted: 3,
            uncounted: 2,
            ..news(Failure, Success)
        };
        let (changes, counts) = count(vec![late]);
        assert_eq!(changes[0].status, Failure);
        assert_eq!((counts[0].succeeded, counts[0].failed), (0, 0));
        assert_eq!((counts[0].counted, counts[0].uncounted), (2, 2));
    }

    #[test]
    fn subtasks_of_a_session_are_added_up() {
        let (changes, counts) = count(vec![
            news(Pending, Success),
            news(Pending, Failure),
            news(Pending, Success),
        ]);
        assert_eq!((changes.len(), counts.len()), (3, 1));
        assert_eq!((counts[0].succeeded, counts[0].failed), (2, 1));
    }
}
