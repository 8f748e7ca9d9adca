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
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use task::task_at;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the database is asked what is due: one look into an index.
const LOOK: Duration = Duration::from_secs(1);

/// Schedules that are read together.
const AT_ONCE: u32 = 100;

/// How soon a schedule is looked at again that does not fire until people have mended it. Meanwhile it must
/// not stand before the others.
const AGAIN: Duration = Duration::from_secs(30);

/// Fires schedules.
#[derive(Debug)]
pub(crate) struct Scheduler {
    store: Arc<dyn Store>,
    /// Schedules that do not fire until people have mended them, and when each was looked at last.
    broken: HashMap<String, Instant>,
}

impl Scheduler {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            broken: HashMap::new(),
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
        let broken = self.broken.iter();
        let left_out = broken.filter(|(_, looked_at)| looked_at.elapsed() < AGAIN);
        let left_out: Vec<_> = left_out.map(|(name, _)| name.clone()).collect();
        let due = self.store.due_schedules(&left_out, AT_ONCE).await?;
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
                    let fired = match self.store.fire(&firing).await {
                        Err(error) if !error.is_transient() => {
                            self.is_broken(&row, &error);
                            continue;
                        }
                        fired => fired?,
                    };
                    self.broken.remove(&row.name);
                    if fired && skipped > 0 {
                        tracing::warn!(
                            key = row.name,
                            count = skipped,
                            "a schedule missed times that are not made up for"
                        );
                    }
                }
                Err(error) => self.is_broken(&row, &error),
            }
        }
        Ok(StillLeads::Yes)
    }

    /// It cannot be read, since somebody wrote it past the command, or what it sends cannot be kept.
    fn is_broken(&mut self, row: &ScheduleRow, error: &(dyn Error + 'static)) {
        let before = self.broken.insert(row.name.clone(), Instant::now());
        if before.is_none() {
            let error = ErrorChain(error);
            tracing::error!(key = row.name, %error, "a schedule does not fire until somebody mends it");
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
