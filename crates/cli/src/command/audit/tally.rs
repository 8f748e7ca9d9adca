//! All tasks, each counted in one place.

use super::balance::{Facts, Place};
use crate::failure::Failure;
use counterfoil_store::{DeadFilter, ParkedFilter, Store};
use serde::Serialize;

/// How many tasks there are, and where. What is dead is among those that are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) scheduled: i64,
    pub(super) over: i64,
    pub(super) waiting: i64,
    pub(super) delayed: i64,
    pub(super) running: i64,
    pub(super) held: i64,
    pub(super) unroutable: i64,
    /// Messages in dead queues.
    pub(super) dead: usize,
    /// Messages that could not be read, beside all tasks. At most 10,000 are counted.
    pub(super) parked: usize,
}

impl Tally {
    pub(super) async fn new(store: &dyn Store, facts: &Facts) -> Result<Self, Failure> {
        let mut tally = Self::default();
        for open in &facts.open {
            *match open.place {
                Place::Unroutable => &mut tally.unroutable,
                Place::Held => &mut tally.held,
                Place::Delayed => &mut tally.delayed,
                Place::Waiting | Place::Returned | Place::Anywhere => &mut tally.waiting,
                Place::Running => &mut tally.running,
            } += 1;
        }
        let counts = store.counts_by_state(None).await?.into_iter();
        let over = counts.filter(|count| count.state.is_terminal());
        tally.over = over.map(|count| count.tasks).sum();
        tally.scheduled = tally.over
            + tally.waiting
            + tally.delayed
            + tally.running
            + tally.held
            + tally.unroutable;
        tally.dead = store.dead_records(&DeadFilter::default()).await?.len();
        tally.parked = store.parked(&ParkedFilter::default()).await?.len();
        Ok(tally)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            scheduled,
            over,
            waiting,
            delayed,
            running,
            held,
            unroutable,
            dead,
            parked,
        } = self;
        write!(
            f,
            "{scheduled} scheduled = {over} over + {waiting} waiting + {delayed} delayed + {running} running + \
             {held} held + {unroutable} unroutable; beside them {dead} dead letters and {parked} parked messages"
        )
    }
}
