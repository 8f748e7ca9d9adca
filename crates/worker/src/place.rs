//! How an execution comes by its place among the handlers that run.

use crate::ended::Ended;
use crate::execute::Execution;
use crate::gate::{Gate, Next, Place, Turn};
use crate::handler::Slot;
use crate::registry::Registered;
use crate::shared::Shared;
use crate::slots::Permit;
use crate::tokens::Token;
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a task stays away that has waited here for a place in vain.
const COMES_AGAIN: Duration = Duration::from_secs(5);

/// How often a task comes too soon with a slot before it stands behind all others.
const ROUNDS: usize = 3;

impl Execution {
    /// A place among the handlers that run, or why it gets none.
    pub(crate) async fn wait_for_slot(&self, task: &Registered) -> Result<Slot, Ended> {
        let of_type = match task.gate() {
            Some(gate) => self.wait_among_its_type(&gate).await?,
            None => None,
        };
        let token = self.wait_for_token(task).await?;
        let (any, token) = self.wait_for_turn(task, token).await?;
        Ok(Slot {
            _any: any,
            _of_type: of_type,
            token,
        })
    }

    /// A slot at a time when the rate of its type allows one more to begin. It is asked with the slot in hand:
    /// those who wait in line for one must not begin all at once when they get it. While it is too soon the slot is
    /// of more use to others; only the next one of its type keeps it. Where the rate is changed meanwhile it is asked
    /// anew.
    async fn wait_for_turn(
        &self,
        task: &Registered,
        mut token: Option<Token>,
    ) -> Result<(Permit, Option<Token>), Ended> {
        let mut rounds = 0;
        loop {
            let Some(gate) = task.gate() else {
                return self.wait_for_slot_beside(task, token).await;
            };
            if rounds == ROUNDS {
                return Err(Ended::Limited(gate.stand_behind(Instant::now())));
            }
            if let Some(wait) = gate.is_far(Instant::now()) {
                return Err(Ended::Limited(wait));
            }
            let (slot, with) = self.wait_for_slot_beside(task, token).await?;
            let Some(gate) = task.gate() else {
                return Ok((slot, with));
            };
            let wait = match gate.begin(Instant::now()) {
                Turn::Now => return Ok((slot, with)),
                Turn::Later(wait) => return Err(Ended::Limited(wait)),
                Turn::Next(next) => match gate.while_it_holds(self.until_it_begins(&next)).await {
                    Some(begins) => {
                        begins?;
                        let both = (slot, with);
                        return self.may_begin().then_some(both).ok_or(Ended::Lost);
                    }
                    None => Duration::ZERO,
                },
                Turn::Soon(wait) => wait,
            };
            drop(slot);
            token = with;
            match gate.while_it_holds(self.pause(wait)).await {
                Some(waited) => {
                    waited?;
                    rounds += 1;
                }
                None => rounds = 0,
            }
        }
    }

    /// Waits until the next one of its type may begin.
    async fn until_it_begins(&self, next: &Next<'_>) -> Result<(), Ended> {
        while let Some(wait) = next.begin(Instant::now()) {
            self.pause(wait).await?;
        }
        Ok(())
    }

    pub(crate) async fn pause(&self, wait: Duration) -> Result<(), Ended> {
        let draining = self.shared.stop.draining();
        let waited = draining.run_until_cancelled(tokio::time::sleep(wait));
        waited.await.ok_or(Ended::Stopped)
    }

    /// Whether the task is this worker's, and what was asked about it is known.
    pub(crate) fn may_begin(&self) -> bool {
        self.shared.control.is_ready() && self.held.is_ours()
    }

    /// A place among those of its type, if there soon is one.
    async fn wait_among_its_type(&self, gate: &Gate) -> Result<Option<Place>, Ended> {
        let draining = self.shared.stop.draining();
        let place = draining.run_until_cancelled(gate.place()).await;
        place.ok_or(Ended::Stopped)?.map_err(Ended::Limited)
    }

    pub(crate) async fn wait_for_place(&self) -> Result<Permit, Ended> {
        let Shared { stop, slots, .. } = &*self.shared;
        loop {
            if stop.draining().is_cancelled() {
                return Err(Ended::Stopped);
            }
            let slot = match slots.try_take() {
                Some(slot) => slot,
                None => {
                    let waits = timeout(self.time_left()?, self.wait_in_line());
                    let waited = Box::pin(waits).await;
                    waited.unwrap_or(Err(Ended::Limited(COMES_AGAIN)))?
                }
            };
            if self.may_begin() {
                return Ok(slot);
            }
            // Meanwhile the place is of more use to others.
            drop(slot);
            self.until_may_begin().await?;
            self.time_left()?;
        }
    }

    async fn until_may_begin(&self) -> Result<(), Ended> {
        let may_begin = async {
            self.shared.control.until_ready().await;
            self.held.is_ours_soon().await
        };
        let draining = self.shared.stop.draining();
        match draining.run_until_cancelled(may_begin).await {
            Some(true) => Ok(()),
            Some(false) => Err(Ended::Lost),
            None => Err(Ended::Stopped),
        }
    }

    /// How long it may still wait for a place: the broker must not take it back while it runs. Too long
    /// already, it goes through the broker.
    pub(crate) fn time_left(&self) -> Result<Duration, Ended> {
        let Shared {
            limits, registry, ..
        } = &*self.shared;
        let task = registry.get(&self.held.envelope.name);
        let longest = task.map_or(limits.longest, |task| limits.wait_of(&self.held, task));
        let left = longest.checked_sub(self.held.in_hand_for());
        left.ok_or(Ended::Limited(COMES_AGAIN))
    }

    async fn wait_in_line(&self) -> Result<Permit, Ended> {
        let Shared {
            stop,
            slots,
            control,
            ..
        } = &*self.shared;
        let (live, executions) = (self.live, self.tally.executions);
        // Of one that was put off before it is told that it waits, until it begins: it may come here many times.
        if self.held.key.passes == 0 {
            let (state, reporter) = (TaskState::Received, &self.shared.reporter);
            reporter.entered(live, executions, state, Utc::now());
        }
        let slot = slots.take(self.shared.names.class_of(&self.held.queue));
        tokio::select! {
            biased;
            slot = stop.draining().run_until_cancelled(slot) => slot.ok_or(Ended::Stopped),
            objection = control.until_objection(&self.held) => Err(objection),
        }
    }
}
