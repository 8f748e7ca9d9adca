//! Events for Celery's monitors, `celery events` and Flower among them:
//! <https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference>.
//!
//! They are for whoever looks right now: sent without waiting for the broker, kept nowhere, and dropped rather than that
//! a task waits for them. The platform learns of tasks by reports of another kind, and does not read these.
//!
//! `event` is what is said, `task` what there is to say of tasks, `exception` an exception as Python prints it, `outbox`
//! where events wait to be sent, `sending` who sends them, and signs of life besides, `sent` that a task was sent.

mod event;
mod exception;
mod outbox;
mod sending;
mod sent;
mod task;

use crate::node::Node;
use chrono::Utc;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::transport::Publication;
use counterfoil_worker::extension::{Beside, Step, Subject};
use event::{Event, Origin};
pub(crate) use exception::repr;
use outbox::Outbox;
pub use sent::SentEvents;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a worker tells Celery's monitors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    outbox: Outbox,
    /// A worker sends them.
    are_sent: AtomicBool,
    /// The broker has refused the last ones, so there is no use in making any.
    are_refused: AtomicBool,
}

impl Events {
    /// Says soon that a task takes a step.
    pub(crate) fn tell(&self, node: &Node, task: &Subject<'_>, step: &Step<'_>) {
        if self.0.are_refused.load(Ordering::Relaxed) {
            return;
        }
        let (hostname, now) = (node.name(task.worker), Utc::now());
        for (kind, told) in task::told(task, step).into_iter().flatten() {
            let origin = Origin { hostname, node };
            self.0.outbox.push(Event::new(kind, origin, now, &told));
        }
    }

    /// Says soon that the worker sent a task.
    pub(crate) fn tell_sent(&self, node: &Node, worker: &WorkerId, task: &Publication) {
        if self.0.are_refused.load(Ordering::Relaxed) {
            return;
        }
        let hostname = node.name(worker);
        let told = sent::told(task, Origin { hostname, node }, Utc::now());
        if let Some(event) = told {
            self.0.outbox.push(event);
        }
    }

    /// Sends events, and signs of life of the worker, until that is over. `None`: another worker does.
    pub(crate) fn send(
        &self,
        node: &Node,
        worker: Beside,
    ) -> Option<impl Future<Output = ()> + use<>> {
        if self.0.are_sent.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(sending::send(self.clone(), node.clone(), worker))
    }
}

#[cfg(test)]
mod tests;
