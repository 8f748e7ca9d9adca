//! Tasks that are sent at fixed times. A time fires once, however many daemons run and whatever
//! crashes: what it sends goes into the outbox in the transaction that moves the schedule on.

mod calendar;
mod plan;
mod task;

pub use calendar::{Calendar, InvalidCalendar};
pub use task::{InvalidSchedule, task_now};

use crate::leader::Leading;
use chrono::{DateTime, Utc};
use counterfoil_store::ScheduleRow;
use counterfoil_store::{Firing, Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use plan::Plan;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use task::task_at;
use tokio::time::MissedTickBehavior;

/// How often the database is asked what is due: one look into an index.
const LOOK: Duration = Duration::from_secs(1);

/// Schedules that are read together.
const AT_ONCE: u32 = 100;

/// Fires schedules.
#[derive(Debug)]
pub(crate) struct Scheduler {
    store: Arc<dyn Store>,
    /// Schedules of which it was told that they cannot be read.
    told: HashSet<String>,
}

impl Scheduler {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            told: HashSet::new(),
        }
    }

    /// Fires until the leadership is lost.
    ///
    /// # Cancel safety
    /// Nothing is fired twice, and nothing is missed.
    pub(crate) async fn run(mut self, leading: &Leading) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_told = false;
        loop {
            look.tick().await;
            match self.round(leading).await {
                Ok(StillLeads::Yes) => is_told = false,
                Ok(StillLeads::No) => return,
                Err(error) => {
                    if !is_told {
                        let error = ErrorChain(&error);
                        tracing::warn!(%error, "schedules wait; they are looked at until they fire");
                    }
                    is_told = true;
                }
            }
        }
    }

    async fn round(&mut self, leading: &Leading) -> Result<StillLeads, StoreError> {
        let due = self.store.due_schedules(AT_ONCE).await?;
        if due.is_empty() {
            return Ok(StillLeads::Yes);
        }
        if !leading.still().await {
            return Ok(StillLeads::No);
        }
        let now = self.store.clock().await?;
        for row in due {
            match firing(&row, now) {
                Ok((firing, skipped)) => {
                    self.told.remove(&row.name);
                    let fired = match self.store.fire(&firing).await {
                        // Those behind it are no worse for it.
                        Err(error) if !error.is_transient() => {
                            let error = ErrorChain(&error);
                            tracing::error!(key = row.name, %error, "a schedule does not fire");
                            continue;
                        }
                        fired => fired?,
                    };
                    if fired && skipped > 0 {
                        tracing::warn!(
                            key = row.name,
                            count = skipped,
                            "a schedule missed times that are not made up for"
                        );
                    }
                }
                Err(error) => self.tell(&row, &error),
            }
        }
        Ok(StillLeads::Yes)
    }

    /// A row that somebody wrote past the command.
    fn tell(&mut self, row: &ScheduleRow, error: &InvalidSchedule) {
        if self.told.insert(row.name.clone()) {
            let error = ErrorChain(error);
            tracing::error!(key = row.name, %error, "a schedule cannot be read, and does not fire");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StillLeads {
    Yes,
    No,
}

/// What the schedule does now, and how many times it leaves out.
fn firing(row: &ScheduleRow, now: DateTime<Utc>) -> Result<(Firing, usize), InvalidSchedule> {
    let calendar = Calendar::new(&row.cron, &row.time_zone)?;
    let was = row.next_at.unwrap_or(now);
    let plan = Plan::new(&calendar, was, now, row.catch_up);
    let tasks = plan.ticks.iter().map(|tick| task_at(row, *tick, now));
    let firing = Firing {
        name: row.name.clone(),
        was,
        next: plan.next,
        last: plan.ticks.last().copied(),
        tasks: tasks.collect::<Result<_, _>>()?,
    };
    Ok((firing, plan.skipped))
}
