//! What is known of running tasks and has not been told yet.

use crate::held::Held;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::Progress;
use std::sync::Arc;

/// A running task's place. It means nothing once the task is over, even if the place is taken
/// again: a handler may keep its context for longer than it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    place: usize,
    generation: u64,
}

/// What has not been told about a task.
#[derive(Debug, Clone)]
pub(super) struct Unsent {
    pub(super) held: Arc<Held>,
    pub(super) executions: i32,
    pub(super) entered: Option<(TaskState, DateTime<Utc>)>,
    pub(super) progress: Option<(Progress, DateTime<Utc>)>,
}

/// The places of all running tasks.
#[derive(Debug, Default)]
pub(super) struct Lives {
    places: Vec<Option<Place>>,
    free: Vec<usize>,
    /// Those with something to tell. Some may be over by now.
    marked: Vec<Live>,
    generation: u64,
}

#[derive(Debug)]
struct Place {
    generation: u64,
    is_marked: bool,
    lost_lines: u64,
    /// What was told last of this execution: RECEIVED or STARTED.
    told: Option<TaskState>,
    unsent: Unsent,
}

impl Lives {
    /// A place for `held`.
    pub(super) fn open(&mut self, held: Arc<Held>) -> Live {
        self.generation += 1;
        let executions = held.envelope.lineage.executions;
        let place = Some(Place {
            generation: self.generation,
            is_marked: false,
            lost_lines: 0,
            told: None,
            unsent: Unsent {
                held,
                executions,
                entered: None,
                progress: None,
            },
        });
        let at = if let Some(at) = self.free.pop() {
            self.places[at] = place;
            at
        } else {
            self.places.push(place);
            self.places.len() - 1
        };
        Live {
            place: at,
            generation: self.generation,
        }
    }

    /// Gives the place back; what was not told is forgotten.
    pub(super) fn close(&mut self, live: Live) {
        if self.place(live).is_some() {
            self.places[live.place] = None;
            self.free.push(live.place);
        }
    }

    /// Notes something to tell. `false`: the task is over.
    pub(super) fn mark(&mut self, live: Live, note: impl FnOnce(&mut Unsent)) -> bool {
        let Some(place) = self.place(live) else {
            return false;
        };
        note(&mut place.unsent);
        if !std::mem::replace(&mut place.is_marked, true) {
            self.marked.push(live);
        }
        true
    }

    /// The execution is over, another will follow: what the old one still says is ignored.
    pub(super) fn next_execution(&mut self, live: Live) {
        if let Some(place) = self.place(live) {
            place.unsent.executions = place.unsent.executions.saturating_add(1);
            place.told = None;
        }
    }

    /// Whether the task runs, with this many executions behind it.
    pub(super) fn is_at(&mut self, live: Live, executions: i32) -> bool {
        self.get(live)
            .is_some_and(|unsent| unsent.executions == executions)
    }

    /// What is known of a running task.
    pub(super) fn get(&mut self, live: Live) -> Option<&Unsent> {
        self.place(live).map(|place| &place.unsent)
    }

    /// What was told last of the task's execution: RECEIVED or STARTED.
    pub(super) fn told(&mut self, live: Live) -> Option<TaskState> {
        self.place(live)?.told
    }

    /// What was not told about a running task; from now on it has been.
    pub(super) fn take(&mut self, live: Live) -> Option<Unsent> {
        let Place { unsent, told, .. } = self.place(live)?;
        *told = unsent.entered.map(|(state, _)| state).or(*told);
        Some(Unsent {
            held: unsent.held.clone(),
            executions: unsent.executions,
            entered: unsent.entered.take(),
            progress: unsent.progress.take(),
        })
    }

    /// Those that may have something to tell, but for those of services that `stays` keeps here.
    pub(super) fn take_marked(&mut self, stays: impl Fn(&str) -> bool) -> Vec<Live> {
        let mut marked = std::mem::take(&mut self.marked);
        marked.retain(|live| {
            let Some(place) = self.place(*live) else {
                return false;
            };
            place.is_marked = stays(&place.unsent.held.service);
            let stays = place.is_marked;
            if stays {
                self.marked.push(*live);
            }
            !stays
        });
        marked
    }

    /// One more log line was dropped.
    pub(super) fn count_lost_line(&mut self, live: Live) {
        if let Some(place) = self.place(live) {
            place.lost_lines += 1;
        }
    }

    /// How many log lines were dropped since this was last asked; `None`: none.
    pub(super) fn take_lost_lines(&mut self, live: Live) -> Option<u64> {
        let lost = &mut self.place(live)?.lost_lines;
        Some(std::mem::take(lost)).filter(|lost| *lost > 0)
    }

    fn place(&mut self, live: Live) -> Option<&mut Place> {
        let place = self.places.get_mut(live.place)?.as_mut()?;
        (place.generation == live.generation).then_some(place)
    }
}
