//! One delivery, from a message to a settled task, as small steps. Read `consume.rs`
//! and `lanes.rs` first.
//!
//! `intake.rs` reads the message, `place.rs` waits for a place, `run.rs` runs the handler, `outcome.rs`
//! decides what follows, `perform.rs` does it.

use crate::ended::Ended;
use crate::extension::Step;
use crate::give_back::give_back_unread;
use crate::held::{Held, Unusable};
use crate::intake::take_in;
use crate::metrics::Up;
use crate::outcome::{Facts, decide};
use crate::panic;
use crate::registry::Registered;
use crate::report::Live;
use crate::retry::Tally;
use crate::run::{Start, run};
use crate::shared::Shared;
use chrono::Utc;
use counterfoil_toolbox::chance;
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::event::TaskFault;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::message::Payload;
use counterfoil_toolbox::task::{Ack, TaskOptions};
use counterfoil_toolbox::topology::SERVICE_DELIVERY_LIMIT;
use counterfoil_toolbox::transport::Delivery;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// With this begins the `origin` of what our producers send.
const OUR_ORIGIN: &str = "counterfoil";

/// What Celery may cut off the time for which the levels hold a task. A worker whose clock is behind waits for no more.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Takes one delivery to its end. Handlers are caught by themselves; should the worker's own code panic, the broker
/// gets the message back, and what always panics ends dead (`give_back.rs`).
pub(crate) async fn execute(shared: Arc<Shared>, delivery: Delivery) {
    let mut here = Some(delivery);
    let taking_in = async {
        hit(Point::Delivered).await;
        take_in(&shared, &mut here).await
    };
    let held = match AssertUnwindSafe(taking_in).catch_unwind().await {
        Ok(Some(held)) => held,
        Ok(None) => return,
        Err(payload) => {
            let note = panic::note_of(payload);
            return Box::pin(give_back_unread(&shared, here, &note)).await;
        }
    };
    let mut execution = Execution::of(shared, held);
    let seen_through = AssertUnwindSafe(execution.see_through())
        .catch_unwind()
        .await;
    if let Err(payload) = seen_through {
        let note = panic::note_of(payload);
        Box::pin(execution.give_back_after(&note)).await;
    }
}

/// A task that this worker sees through, over as many executions as it can do without the broker.
pub(crate) struct Execution {
    pub(crate) shared: Arc<Shared>,
    pub(crate) held: Arc<Held>,
    pub(crate) live: Live,
    /// Retries behind the current execution.
    pub(crate) tally: Tally,
    /// Why the current execution is not the message's first one.
    pub(crate) again: Option<Retry>,
    /// How long the handler ran, if it did.
    pub(crate) ran_for: Option<Duration>,
    /// Since when this worker has had the message.
    pub(crate) since: Instant,
    /// It counts as in hand.
    _in_hand: Up,
}

/// An execution that is repeated.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    pub(crate) counted: bool,
    pub(crate) fault: TaskFault,
    /// Number of the execution that failed.
    pub(crate) executions: i32,
    /// With these arguments. `None`: with those that it had.
    pub(crate) arguments: Option<Box<Payload>>,
}

/// What follows a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another execution.
    Again,
    /// Nothing.
    Over,
}

impl Execution {
    /// The first one of a task in hand.
    pub(crate) fn of(shared: Arc<Shared>, held: Arc<Held>) -> Self {
        Self {
            live: shared.reporter.open(&held),
            tally: Tally::of(&held),
            _in_hand: shared.metrics.hold(),
            shared,
            held,
            again: None,
            ran_for: None,
            since: Instant::now(),
        }
    }

    async fn see_through(&mut self) {
        let executions = self.tally.executions;
        self.shared.tell(&self.held, executions, &Step::Received);
        loop {
            let ended = self.attempt().await;
            let revoked = self.shared.control.revocation(&self.held);
            let no_options = TaskOptions::default();
            let registered = self.shared.registry.get(&self.held.envelope.name);
            let facts = Facts {
                options: registered.map_or(&no_options, |task| &task.options),
                max_retries: self.held.envelope.max_retries,
                retries: self.tally.retries,
                executions: self.tally.executions,
                max_result_bytes: self.shared.limits.result_bytes,
                is_leaving: self.shared.stop.leaving().is_cancelled(),
                revoked: revoked.as_ref(),
                chance: chance::fraction(),
            };
            match self.perform(decide(ended, facts)).await {
                Next::Again => {}
                Next::Over => return,
            }
        }
    }

    /// Runs the handler, unless there is a reason not to.
    async fn attempt(&mut self) -> Ended {
        self.ran_for = None;
        let (shared, held) = (self.shared.clone(), self.held.clone());
        let payload = match &held.payload {
            Ok(payload) => payload,
            Err(Unusable::Undecodable(why)) => return Ended::Undecodable(why.clone()),
            Err(Unusable::Refused(why)) => return Ended::Refused(why.clone()),
        };
        match shared.control.objection(&held) {
            // Nobody wants it any more, whether it is known here or not.
            Some(Ended::HeldBack(_)) | None if self.is_expired() => return Ended::Expired,
            // Held back at once, it would come back as if it had waited for its time.
            Some(held @ Ended::HeldBack(_)) => {
                return self.too_early().map_or(held, Ended::TooEarly);
            }
            Some(objection) => return objection,
            None => {}
        }
        let Some(task) = shared.registry.get(&held.envelope.name) else {
            let name = &held.envelope.name;
            return Ended::Unknown(format!("this worker knows no task `{name}`"));
        };
        if let Some(ended) = self.comes_in_vain(task) {
            return ended;
        }
        if let Some(rest) = self.rest_of_delay() {
            tokio::time::sleep(rest).await;
        }
        let slot = match self.wait_for_slot(task).await {
            Ok(slot) => slot,
            Err(ended) => return ended,
        };
        if self.is_expired() {
            return Ended::Expired;
        }
        if let Some(objection) = shared.control.objection(&held) {
            return objection;
        }
        // Boxed, as is the wait in line: most tasks need neither, and their futures are copied about.
        if shared.limits.ack_of(&held, task) == Ack::Early
            && let Err(ended) = Box::pin(self.take_over_in_turn(task)).await
        {
            return ended;
        }
        let (live, executions) = (self.live, self.tally.executions);
        let (ended, took) = run(Start {
            shared: &shared,
            held: &held,
            live,
            executions,
            task,
            payload,
            slot,
        })
        .await;
        hit(Point::HandlerDone).await;
        self.ran_for = took;
        if let (Some(gate), Some(took)) = (task.gate(), took) {
            gate.ran_for(took);
        }
        if matches!(ended, Ended::Dispossessed) && !held.is_ours() {
            // The broker has given the task to others too, or will.
            return Ended::Lost;
        }
        ended
    }

    /// Why it is not run now, by what its message says.
    fn comes_in_vain(&self, task: &Registered) -> Option<Ended> {
        if let Some(restarts) = task.too_often_restarted(&self.held.envelope) {
            return Some(Ended::LostTooOften(restarts));
        }
        // The broker counts those of one message; a copy that was put off has others behind it.
        let deliveries = self.held.lineage(self.tally.executions).deliveries;
        if deliveries > SERVICE_DELIVERY_LIMIT {
            return Some(Ended::CrashedTooOften(deliveries));
        }
        self.too_early().map(Ended::TooEarly)
    }

    pub(crate) fn is_expired(&self) -> bool {
        let expires = self.held.envelope.expires;
        expires.is_some_and(|expires| expires <= Utc::now())
    }

    /// How long until the task is due, when it came before its time: producers without delay
    /// levels leave the waiting to the worker. What came through the levels has waited by the
    /// broker's clock, which is the one that counts.
    pub(crate) fn too_early(&self) -> Option<Duration> {
        self.until_due().filter(|_| !self.has_waited())
    }

    /// How long until a task of Celery's is due that came through the levels: Celery cuts the time for which they hold it to
    /// whole seconds, and has its workers wait for the rest. What we send waits for too long rather.
    fn rest_of_delay(&self) -> Option<Duration> {
        let rest = self.until_due().filter(|_| self.has_waited())?;
        let origin = self.held.envelope.origin.as_deref();
        let is_ours = origin.is_some_and(|origin| origin.starts_with(OUR_ORIGIN));
        let is_copy = self.tally.executions > 0 || self.held.key.passes > 0;
        (rest <= LONGEST_REST && !is_ours && !is_copy).then_some(rest)
    }

    fn until_due(&self) -> Option<Duration> {
        let eta = self.held.envelope.eta.filter(|_| self.again.is_none())?;
        let wait = (eta - Utc::now()).to_std().ok()?;
        (!wait.is_zero()).then_some(wait)
    }

    fn has_waited(&self) -> bool {
        without_delay(&self.held.routing_key) != self.held.routing_key
    }
}
