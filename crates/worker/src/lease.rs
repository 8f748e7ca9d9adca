//! Taking a task over from the broker before its handler begins: early acknowledgement.
//!
//! The platform is told first, and confirmed; then the broker may forget the task. From there on it is
//! this worker's alone: every sign of life names it, and when those end the daemon sends it again.

use crate::execute::{Execution, Retry};
use crate::outcome::Ended;
use crate::publish::{Sent, until_confirmed};
use chrono::Utc;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, FaultKind, Lease, TaskFault};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::Publication;
use std::time::Duration;

impl Execution {
    /// Takes the task over.
    pub(crate) async fn take_over(&self) -> Result<(), Ended> {
        let (shared, held) = (&self.shared, &self.held);
        let lease = Lease {
            ms: shared.limits.lease_ms,
            restarts: held.envelope.restarts,
        };
        let publication = self.started(lease);
        let stop = shared.stop.killed();
        let publisher = &shared.senders.mandatory;
        match until_confirmed(publisher, publication, stop, "the start of a task").await {
            Sent::Confirmed => {}
            Sent::Impossible(why) => return Err(Ended::Undecodable(why)),
            Sent::GivenUp => return Err(Ended::Stopped),
        }
        loop {
            if held.take_over(lease) {
                return Ok(());
            }
            // The delivery was lost meanwhile, and the broker has the task.
            if !held.is_ours_soon().await {
                self.take_back();
                return Err(Ended::Lost);
            }
        }
    }

    /// It was told that the handler begins, and it does not.
    fn take_back(&self) {
        let why = "its delivery was lost before it began";
        let retry = Retry {
            counted: false,
            fault: TaskFault::new(FaultKind::WorkerLost, why),
            executions: self.tally.executions,
        };
        let event = self.retry_event(&retry, Duration::ZERO);
        self.shared.reporter.between(self.live, &self.held, event);
    }

    /// Tells that the handler begins, and that from now on the worker answers for the task.
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
