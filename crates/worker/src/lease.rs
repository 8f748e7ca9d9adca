//! Taking a task over from the broker before its handler begins: early acknowledgement.
//!
//! The platform is told first, and confirmed; then the broker may forget the task. From there on it is
//! this worker's alone: every sign of life names it, and when those end the daemon sends it again.

use crate::ended::Ended;
use crate::execute::{Execution, Retry};
use crate::held::Since;
use crate::publish::{Refused, Sent, until_answered};
use crate::registry::Registered;
use crate::shared::Shared;
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, FaultKind, Lease, TaskFault};
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::Publication;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before what was refused is told again.
const PAUSE: Duration = Duration::from_secs(2);

impl Execution {
    /// Takes the task over, and waits until it may begin by the rate of its type.
    pub(crate) async fn take_over_in_turn(&self, task: &Registered) -> Result<(), Ended> {
        self.take_over().await?;
        // Once more where the rate is changed meanwhile.
        while let Some(gate) = task.gate() {
            let wait = gate.begin_taken_over(Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            // Nothing else can be asked of a task that was told to begin.
            let revoked = self.held.until(|| {
                let objection = self.shared.control.objection(&self.held)?;
                matches!(objection, Ended::Revoked(_)).then_some(objection)
            });
            let waited = tokio::select! {
                biased;
                revoked = revoked => return Err(revoked),
                waited = gate.while_it_holds(self.pause(wait)) => waited,
            };
            if let Some(waited) = waited {
                waited?;
                break;
            }
        }
        match self.is_expired() {
            true => Err(Ended::Expired),
            false => Ok(()),
        }
    }

    /// Takes the task over. Afterwards it must be run: it was told that it begins.
    async fn take_over(&self) -> Result<(), Ended> {
        let (shared, held) = (&self.shared, &self.held);
        let lease = Lease {
            ms: shared.limits.lease_ms,
            restarts: held.envelope.restarts,
        };
        let since = Instant::now();
        let told = self.tell(lease).await;
        if told.is_ok() {
            hit(Point::StartedReported).await;
        }
        let taken = match told {
            Ok(()) => self.acknowledge(Since { since, lease }).await,
            Err(ended) => Err(ended),
        };
        // Expired or cancelled, it is over, and that is told. Whatever else keeps it from beginning, somebody
        // has it.
        if matches!(taken, Err(Ended::Stopped | Ended::Lost)) {
            self.take_back();
        }
        taken
    }

    /// Tells that the handler begins, until that is confirmed.
    async fn tell(&self, lease: Lease) -> Result<(), Ended> {
        let shared = &self.shared;
        let publication = Arc::new(self.started(lease));
        let (publisher, stop) = (&shared.senders.mandatory, shared.stop.killed());
        loop {
            let what = "the start of a task";
            match until_answered(publisher, &publication, stop, what).await {
                Ok(Sent::Confirmed) => return Ok(()),
                Ok(Sent::Impossible(why)) => return Err(Ended::Undecodable(why)),
                Ok(Sent::GivenUp) => return Err(Ended::Stopped),
                Err(Refused(reason)) => {
                    // The reporter learns of it too, and ends the worker if nobody mends it.
                    tracing::error!(reason, "the broker refuses that a task begins");
                    let (state, executions) = (TaskState::Received, self.tally.executions);
                    let reporter = &shared.reporter;
                    reporter.entered(self.live, executions, state, Utc::now());
                    let pause = tokio::time::sleep(PAUSE);
                    let draining = shared.stop.draining();
                    if draining.run_until_cancelled(pause).await.is_none() {
                        return Err(Ended::Stopped);
                    }
                }
            }
        }
    }

    /// Acknowledges it, on whichever delivery of it there is, unless it must not begin by now.
    async fn acknowledge(&self, since: Since) -> Result<(), Ended> {
        let Shared { control, stop, .. } = &*self.shared;
        loop {
            let ready = stop.draining().run_until_cancelled(control.until_ready());
            ready.await.ok_or(Ended::Stopped)?;
            match control.objection(&self.held) {
                Some(Ended::Revoked(revocation)) => return Err(Ended::Revoked(revocation)),
                // It has been told that it begins: whoever gets it next holds it back.
                Some(_) => return Err(Ended::Stopped),
                None if stop.draining().is_cancelled() => return Err(Ended::Stopped),
                None if self.is_expired() => return Err(Ended::Expired),
                None if since.is_over() => return Err(Ended::Lost),
                None if self.held.take_over(since) => return Ok(()),
                None => {}
            }
            // The delivery was lost meanwhile, and the broker has the task.
            if !self.held.is_ours_soon().await {
                return Err(Ended::Lost);
            }
        }
    }

    /// It may have been told that the handler begins, and it does not: the broker has the task.
    fn take_back(&self) {
        let why = "its worker could not begin it";
        let retry = Retry {
            counted: false,
            fault: TaskFault::new(FaultKind::WorkerLost, why),
            executions: self.tally.executions,
            arguments: None,
        };
        let event = self.retry_event(&retry, Duration::ZERO);
        self.shared.reporter.between(self.live, &self.held, event);
    }

    /// That the handler begins, and that from now on the worker answers for the task.
    fn started(&self, lease: Lease) -> Publication {
        let held = &self.held;
        let kind = EventKind::State(TaskState::Started);
        let reporter = &self.shared.reporter;
        let mut event = reporter.event(held, self.tally.executions, kind, Utc::now());
        event.lease = Some(lease);
        let json = serde_json::to_vec(&[event]).expect("an event is JSON");
        Publication {
            exchange: self.shared.names.events.clone(),
            routing_key: event_key(&held.service),
            content: Content::json(json),
        }
    }
}
