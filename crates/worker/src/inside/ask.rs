//! What can be asked of a worker while it runs.

use super::{HeldTask, Inside};
use crate::consumers;
use chrono::Utc;
use counterfoil_toolbox::message::HeaderValue;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::Item;
use counterfoil_toolbox::{Rate, TaskId, TaskName};
use std::collections::HashSet;
use std::time::Duration;

/// What becomes of a task that is revoked while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileItRuns {
    /// It goes on; should it be tried again, that comes to nothing.
    GoesOn,
    /// It is cancelled.
    IsEnded,
}

/// The worker knows no task of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker knows no such task")]
pub struct NoSuchTask;

impl Inside {
    /// Lets these tasks come to nothing on this worker, now and for the next three hours: of the last 50,000 it is
    /// remembered, in memory. What people ask of all workers goes by the platform instead. Returns those in hand.
    pub fn revoke(&self, tasks: &[TaskId], running: WhileItRuns) -> Vec<HeldTask> {
        self.0.control.revoke(tasks, Utc::now());
        let mut in_hand = self.tasks();
        let tasks: HashSet<_> = tasks.iter().collect();
        in_hand.retain(|task| tasks.contains(&task.envelope().id));
        match running {
            WhileItRuns::GoesOn => self.0.guard.look_again(),
            WhileItRuns::IsEnded => self.terminate(&in_hand),
        }
        in_hand
    }

    /// Lets tasks come to nothing that bear one of these values under a stamp of Celery's, now and for the next three
    /// hours: of the last 50,000 values it is remembered, in memory. Those that run go on.
    pub fn revoke_stamped(&self, stamp: &str, values: &[HeaderValue]) {
        self.0.control.revoke_stamped(stamp, values, Utc::now());
        self.0.guard.look_again();
    }

    /// Cancels these tasks if they run. Nothing is remembered of it once they are over.
    pub fn terminate(&self, tasks: &[HeldTask]) {
        let tasks: Vec<_> = tasks.iter().map(HeldTask::envelope).collect();
        self.0.control.terminate(&tasks, Utc::now());
        self.0.guard.look_again();
    }

    /// Ids that were revoked on this worker, the oldest first.
    #[must_use]
    pub fn revoked(&self) -> Vec<TaskId> {
        self.0.control.revoked_here(Utc::now())
    }

    /// Lets so many handlers more run at the same time, and holds as many more deliveries of each queue. Returns how
    /// many may run now.
    pub fn grow(&self, by: u16) -> u16 {
        let before = self.concurrency();
        let now = self.0.slots.grow(by);
        self.changed_places(before, now)
    }

    /// The same for fewer; at least one may run. Those that run already go on.
    pub fn shrink(&self, by: u16) -> u16 {
        let before = self.concurrency();
        let now = self.0.slots.shrink(by);
        self.changed_places(before, now)
    }

    fn changed_places(&self, before: u16, now: u16) -> u16 {
        let by = i32::from(now) - i32::from(before);
        self.0.consumers.change_prefetch(by);
        self.0.metrics.has_slots(now);
        self.0.hung.has_places(now);
        now
    }

    /// Lets executions of a type begin so often; `None`: as often as they can. Those that wait here for their turn do so by
    /// the new limit at once; those that wait at the broker come when they were to come, within five minutes.
    ///
    /// # Errors
    /// [`NoSuchTask`].
    pub fn limit_rate(&self, task: &TaskName, rate: Option<Rate>) -> Result<(), NoSuchTask> {
        let task = self.0.registry.get(task).ok_or(NoSuchTask)?;
        task.limit_rate(rate);
        Ok(())
    }

    /// Lets executions of a type that begin from now on take so long; `None`: as the worker's settings say. What the
    /// sender of a task says goes before it.
    ///
    /// # Errors
    /// [`NoSuchTask`].
    pub fn limit_time(
        &self,
        task: &TaskName,
        hard: Option<Duration>,
        soft: Option<Duration>,
    ) -> Result<(), NoSuchTask> {
        let task = self.0.registry.get(task).ok_or(NoSuchTask)?;
        task.limit_time(hard, soft);
        Ok(())
    }

    /// Consumes another queue, which has to be there. Should it be deleted, `items` are declared again; none: what the
    /// worker's settings say of it. Where it is lost for good, it is left, and the log says why. `false`: it does consume it
    /// already, or is about to end.
    pub fn consume(&self, queue: QueueName, items: Vec<Item>) -> bool {
        tracing::info!(%queue, "asked to consume one more queue");
        consumers::add(&self.0, queue, items)
    }

    /// Takes nothing more out of a queue; what is in hand is finished. `false`: it did not consume it.
    pub fn leave(&self, queue: &QueueName) -> bool {
        tracing::info!(%queue, "asked to leave a queue");
        self.0.consumers.leave(queue)
    }

    /// Ends the worker as a signal does: it takes nothing new, and running tasks may finish.
    pub fn drain(&self) {
        self.0.stop.drain();
    }
}
