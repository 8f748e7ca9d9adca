//! Looks who consumes the queues of services. What is wrong with those of one is no matter of the others: its
//! sessions wait, as those of a service that was never watched.

use super::strangers::{Sight, Strangers};
use crate::asks::Asks;
use crate::missing::depth_of;
use crate::missing::workers::Told as Workers;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Lookout {
    transport: Arc<dyn Transport>,
    names: Names,
    pub(super) strangers: Strangers,
    /// Services whose queues could not be looked at.
    broken: Asks,
    /// Services without a queue, and of whom nothing is known.
    missing: Asks,
    /// Services that had a queue when they were last looked at.
    served: BTreeSet<String>,
}

impl Lookout {
    /// `bound`: how long nobody may have been seen who may run something unheard.
    pub(super) fn new(
        transport: &Arc<dyn Transport>,
        names: Names,
        bound: Duration,
        pause: Duration,
    ) -> Self {
        Self {
            transport: Arc::clone(transport),
            names,
            strangers: Strangers::new(bound),
            broken: Asks::new(pause),
            missing: Asks::new(pause),
            served: BTreeSet::new(),
        }
    }

    /// Whose queues are looked at now. A service has to be looked at again and again for it to be known that nobody
    /// else is there, so none waits behind names that somebody invents: those of workers, and those that have a queue,
    /// come first, and a few of the others after them.
    pub(super) fn turn(&mut self, names: Vec<String>, workers: &Workers<'_>) -> Vec<ServiceName> {
        let mut names = BTreeSet::from_iter(names);
        names.retain(|name| ServiceName::new(name).is_ok());
        let ours = workers.services();
        let ours: BTreeSet<_> = ours.iter().map(ServiceName::as_str).collect();
        let is_known = |name: &str| ours.contains(name) || self.served.contains(name);
        let turn = self.missing.turn(&names, is_known, Instant::now());
        let turn = turn.iter().map(|name| ServiceName::new(name));
        turn.filter_map(Result::ok).collect()
    }

    /// Looks at the queues of `service` if it has any. Most names without a queue are misspelt ones, which rows keep
    /// for long: those cost one question, more and more seldom. It is not noted that nobody consumes there, so who
    /// aborts a session of such a name waits.
    pub(super) async fn watch(
        &mut self,
        service: &ServiceName,
        workers: &Workers<'_>,
    ) -> Result<(), TransportError> {
        if self.broken.are_put_off(service.as_str(), Instant::now()) {
            return Ok(());
        }
        let queue = self.names.service_queue(service);
        let depth = self.transport.depth(&queue).await;
        match self.answer(service, depth).await? {
            Some(Some(_)) => {
                self.missing.answered(service.as_str());
                self.served.insert(service.to_string());
                self.consumers(service, workers).await?;
            }
            Some(None) => {
                self.served.remove(service.as_str());
                self.missing.put_off(service.as_str(), Instant::now());
            }
            None => {}
        }
        Ok(())
    }

    /// How many consumers the broker counts at the queues of `service`, which is noted. `None`: nobody can say now.
    pub(super) async fn consumers(
        &mut self,
        service: &ServiceName,
        workers: &Workers<'_>,
    ) -> Result<Option<u32>, TransportError> {
        if self.broken.are_put_off(service.as_str(), Instant::now()) {
            return Ok(None);
        }
        let depth = depth_of(&*self.transport, &self.names, service).await;
        let Some(depth) = self.answer(service, depth).await? else {
            return Ok(None);
        };
        self.broken.answered(service.as_str());
        let sight = sight(workers, service, depth.consumers);
        self.strangers.note(service.as_str(), sight, Instant::now());
        Ok(Some(depth.consumers))
    }

    /// What the broker answered of `service`. `None`: it does not answer of this one alone.
    async fn answer<T>(
        &mut self,
        service: &ServiceName,
        answer: Result<T, TransportError>,
    ) -> Result<Option<T>, TransportError> {
        let error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        let (name, transport) = (service.as_str(), &*self.transport);
        if self
            .broken
            .not_answered(name, transport, &self.names)
            .await?
        {
            let error = ErrorChain(&error);
            tracing::warn!(%service, %error, "nobody can tell who consumes the queues of a service; aborted sessions with subtasks of it wait");
        }
        Ok(None)
    }
}

fn sight(workers: &Workers<'_>, service: &ServiceName, consumers: u32) -> Sight {
    match workers.are_exceeded(service, consumers) {
        Some(false) => Sight::Ours,
        Some(true) => Sight::Stranger,
        None => Sight::Unclear,
    }
}
