//! From what rows of subtasks say to what sessions count: pure.

use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::{SessionId, TaskId};
use serde::Serialize;
use sqlx::FromRow;
use std::collections::BTreeMap;

/// What a session knows of a subtask, and what its row says now.
#[derive(Debug, Clone)]
pub(crate) struct News {
    pub(crate) session_id: String,
    pub(crate) task_id: String,
    /// `None`: the session does not wait for it.
    pub(crate) listed: Option<Listed>,
    /// Whether the session is not over.
    pub(crate) open: bool,
    pub(crate) known_status: TaskState,
    pub(crate) known_skipped: bool,
    pub(crate) known_counted: i32,
    pub(crate) known_uncounted: i32,
    pub(crate) state: TaskState,
    pub(crate) skipped: bool,
    /// Whether it may have been retried.
    pub(crate) came_back: bool,
}

/// The session's own row of a subtask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Where it is.
    At(String),
    /// It says already what has become of the subtask.
    Written,
}

/// How often a task was retried.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Retries {
    pub(crate) task_id: String,
    pub(crate) counted: i64,
    pub(crate) uncounted: i64,
}

impl News {
    fn stranger(&self) -> Option<(SessionId, TaskId)> {
        let ids = (SessionId::new(&self.session_id), TaskId::new(&self.task_id));
        self.open.then_some((ids.0.ok()?, ids.1.ok()?))
    }
}

/// What is written about a subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SubtaskChange {
    /// Of its row in the table of subtasks.
    pub(crate) place: String,
    #[serde(skip)]
    pub(crate) session_id: String,
    #[serde(skip)]
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
    pub(crate) revoked: i32,
    pub(crate) skipped: i32,
    pub(crate) counted: i32,
    pub(crate) uncounted: i32,
}

/// What is new to sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    pub(crate) changes: Vec<SubtaskChange>,
    pub(crate) sessions: Vec<Counts>,
    /// Tasks that call themselves subtasks of open sessions which do not list them.
    pub(crate) strange: Vec<(SessionId, TaskId)>,
}

/// What changes. How subtasks ended does not change any more once the session is over: its finalizer has been
/// told. How often they were retried may be heard of later, so that no order of events makes a difference.
pub(crate) fn count(news: Vec<News>, retries: Vec<Retries>) -> Counted {
    let clamped = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let retries = retries.into_iter();
    let retries = retries.map(|r| (r.task_id, (clamped(r.counted), clamped(r.uncounted))));
    let retries: BTreeMap<String, (i32, i32)> = retries.collect();
    let mut sessions = BTreeMap::<String, Counts>::new();
    let mut counted = Counted::default();
    for news in news {
        let Some(listed) = news.listed else {
            counted.strange.extend(news.stranger());
            continue;
        };
        let known = (news.known_status, news.known_skipped);
        let now = if news.open {
            (news.state, news.skipped)
        } else {
            known
        };
        let (retried, free) = retries.get(&news.task_id).copied().unwrap_or_default();
        // They only grow: who counts fewer has not heard of all.
        let retried = news.known_counted.max(retried);
        let free = news.known_uncounted.max(free);
        let under_way = !now.0.is_terminal() && !known.0.is_terminal();
        let same = (retried, free) == (news.known_counted, news.known_uncounted);
        if same && (under_way || now == known) {
            continue;
        }
        let counts = sessions.entry(news.session_id.clone()).or_default();
        counts.succeeded += i32::from(succeeded(now.0)) - i32::from(succeeded(known.0));
        counts.failed += i32::from(failed(now.0)) - i32::from(failed(known.0));
        counts.revoked += i32::from(revoked(now.0)) - i32::from(revoked(known.0));
        counts.skipped += i32::from(now.1) - i32::from(known.1);
        counts.counted += retried - news.known_counted;
        counts.uncounted += free - news.known_uncounted;
        let Listed::At(place) = listed else {
            continue;
        };
        counted.changes.push(SubtaskChange {
            place,
            session_id: news.session_id,
            task_id: news.task_id,
            status: now.0,
            skipped: now.1,
            counted: retried,
            uncounted: free,
        });
    }
    let sessions = sessions.into_iter();
    let sessions = sessions.map(|(id, counts)| Counts { id, ..counts });
    counted.sessions = sessions.collect();
    counted
}

fn succeeded(state: TaskState) -> bool {
    state == TaskState::Success
}

fn failed(state: TaskState) -> bool {
    state.is_terminal() && !succeeded(state)
}

fn revoked(state: TaskState) -> bool {
    state == TaskState::Revoked
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState::{Failure, Pending, Rejected, Revoked, Started, Success};

    fn news(known: TaskState, state: TaskState) -> News {
        News {
            session_id: "s".to_owned(),
            task_id: "t".to_owned(),
            listed: Some(Listed::At("(0,1)".to_owned())),
            open: true,
            known_status: known,
            known_skipped: false,
            known_counted: 1,
            known_uncounted: 0,
            state,
            skipped: false,
            came_back: false,
        }
    }

    fn counted(news: Vec<News>) -> (i32, i32, i32) {
        count(news, Vec::new())
            .sessions
            .first()
            .map_or((0, 0, 0), |counts| {
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
        let nothing = vec![
            news(Started, Started),
            news(Pending, Started),
            news(Success, Success),
        ];
        assert_eq!(count(nothing, Vec::new()), Counted::default());
    }

    #[test]
    fn a_session_that_is_over_hears_of_retries_only() {
        let late = News {
            open: false,
            ..news(Failure, Success)
        };
        let retries = Retries {
            task_id: "t".to_owned(),
            counted: 3,
            uncounted: 2,
        };
        let Counted {
            changes,
            sessions: counts,
            ..
        } = count(vec![late], vec![retries]);
        assert_eq!(changes[0].status, Failure);
        assert_eq!((counts[0].succeeded, counts[0].failed), (0, 0));
        assert_eq!((counts[0].counted, counts[0].uncounted), (2, 2));
    }

    #[test]
    fn subtasks_of_a_session_are_added_up() {
        let Counted {
            changes,
            sessions: counts,
            ..
        } = count(
            vec![
                news(Pending, Success),
                news(Pending, Failure),
                news(Pending, Success),
            ],
            Vec::new(),
        );
        assert_eq!((changes.len(), counts.len()), (3, 1));
        assert_eq!((counts[0].succeeded, counts[0].failed), (2, 1));
    }

    #[test]
    fn what_is_written_already_is_counted_and_not_written_again() {
        let written = News {
            listed: Some(Listed::Written),
            ..news(Pending, Success)
        };
        let counted = count(vec![written], Vec::new());
        assert!(counted.changes.is_empty());
        assert_eq!(counted.sessions[0].succeeded, 1);
    }

    #[test]
    fn who_is_not_listed_is_named_while_the_session_is_open_and_never_counted() {
        let stranger = News {
            listed: None,
            ..news(Pending, Success)
        };
        let late = News {
            open: false,
            ..stranger.clone()
        };
        let counted = count(vec![stranger, late], Vec::new());
        assert!(counted.changes.is_empty() && counted.sessions.is_empty());
        let names: Vec<_> = counted
            .strange
            .iter()
            .map(|(_, task)| task.as_str())
            .collect();
        assert_eq!(names, ["t"]);
    }
}
