//! How an execution comes by its place among the handlers that run.

use crate::execute::Execution;
use crate::gate::{Gate, Place, Turn};
use crate::handler::Slot;
use crate::outcome::Ended;
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

impl Execution {
    /// A place among the handlers that run, or why it gets none.
    pub(crate) async fn wait_for_slot(&self, task: &Registered) -> Result<Slot, Ended> {
        let Some(gate) = &task.gate else {
            let token = self.wait_for_token(task).await?;
            let (any, token) = self.wait_for_slot_beside(task, token).await?;
            return Ok(Slot {
                _any: any,
                _of_type: None,
                token,
            });
        };
        let of_type = self.wait_among_its_type(gate).await?;
        let token = self.wait_for_token(task).await?;
        let (any, token) = self.wait_for_turn(task, gate, token).await?;
        Ok(Slot {
            _any: any,
            _of_type: of_type,
            token,
        })
    }

    /// A slot at a time when the rate of its type allows one more to begin. The turn is taken last, so that
    /// those who wait in line for a slot do not begin all at once when they get one.
    async fn wait_for_turn(
        &self,
        task: &Registered,
        gate: &Gate,
        token: Option<Token>,
    ) -> Result<(Permit, Option<Token>), Ended> {
        if let Some(wait) = gate.is_far(Instant::now()) {
            return Err(Ended::Limited(wait));
        }
        let (slot, token) = self.wait_for_slot_beside(task, token).await?;
        let wait = match gate.turn(Instant::now()) {
            Turn::Now => return Ok((slot, token)),
            Turn::Later(wait) => return Err(Ended::Limited(wait)),
            Turn::Soon(wait) => wait,
        };
        // Meanwhile the slot is of more use to others.
        drop(slot);
        self.pause(wait).await?;
        if let Some(slot) = self.shared.slots.try_take()
            && self.may_begin()
        {
            return Ok((slot, token));
        }
        let (slot, token) = self.wait_for_slot_beside(task, token).await?;
        match gate.turn(Instant::now()) {
            Turn::Now => Ok((slot, token)),
            Turn::Later(wait) => Err(Ended::Limited(wait)),
            // Giving it away once more, it might never have both.
            Turn::Soon(wait) => {
                self.pause(wait).await?;
                let both = (slot, token);
                self.may_begin().then_some(both).ok_or(Ended::Lost)
            }
        }
    }

    async fn pause(&self, wait: Duration) -> Result<(), Ended> {
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
                    let waits = timeout(self.longest_wait(), self.wait_in_line());
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

    /// How long it may wait for a place: the broker must not take it back while it runs.
    fn longest_wait(&self) -> Duration {
        let Shared {
            limits, registry, ..
        } = &*self.shared;
        let task = registry.get(&self.held.envelope.name);
        task.map_or(limits.longest, |task| limits.wait_of(&self.held, task))
    }

    async fn wait_in_line(&self) -> Result<Permit, Ended> {
        let Shared {
            stop,
            slots,
            control,
            ..
        } = &*self.shared;
        let (live, executions) = (self.live, self.tally.executions);
        let (state, reporter) = (TaskState::Received, &self.shared.reporter);
        reporter.entered(live, executions, state, Utc::now());
        let slot = slots.take(self.shared.names.class_of(&self.held.queue));
        tokio::select! {
            slot = stop.draining().run_until_cancelled(slot) => slot.ok_or(Ended::Stopped),
            objection = control.until_objection(&self.held) => Err(objection),
        }
    }
}
