//! Looks who consumes the queues of services. What is wrong with those of one is no matter of the others: its
//! sessions wait, as those of a service that was never watched.

use super::strangers::{Sight, Strangers};
use crate::missing::depth_of;
use crate::missing::workers::Told as Workers;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Transport, TransportError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Lookout {
    transport: Arc<dyn Transport>,
    names: Names,
    pub(super) strangers: Strangers,
    /// Services whose queues could not be looked at, and when they are looked at again.
    put_off: HashMap<String, Instant>,
    /// For how long.
    pause: Duration,
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
            put_off: HashMap::new(),
            pause,
        }
    }

    /// Looks at the queues of `service` if it has any. Most names without a queue are misspelt ones, which rows keep
    /// for long: those cost one question. It is not noted that nobody consumes there, so who aborts a session of such
    /// a name waits.
    pub(super) async fn watch(
        &mut self,
        service: &ServiceName,
        workers: &Workers<'_>,
    ) -> Result<(), TransportError> {
        if self.is_put_off(service) {
            return Ok(());
        }
        let queue = self.names.service_queue(service);
        let depth = self.transport.depth(&queue).await;
        if let Some(Some(_)) = self.answer(service, depth).await? {
            self.consumers(service, workers).await?;
        }
        Ok(())
    }

    /// How many consumers the broker counts at the queues of `service`, which is noted. `None`: nobody can say now.
    pub(super) async fn consumers(
        &mut self,
        service: &ServiceName,
        workers: &Workers<'_>,
    ) -> Result<Option<u32>, TransportError> {
        if self.is_put_off(service) {
            return Ok(None);
        }
        let depth = depth_of(&*self.transport, &self.names, service).await;
        let Some(depth) = self.answer(service, depth).await? else {
            return Ok(None);
        };
        self.put_off.remove(service.as_str());
        let sight = sight(workers, service, depth.consumers);
        self.strangers.note(service.as_str(), sight, Instant::now());
        Ok(Some(depth.consumers))
    }

    fn is_put_off(&self, service: &ServiceName) -> bool {
        let until = self.put_off.get(service.as_str());
        until.is_some_and(|until| Instant::now() < *until)
    }

    /// What the broker answered of `service`. `None`: it does not answer of this one alone. A queue whose node is down
    /// looks like a broker that cannot be reached, so the broker is asked for one that must be there.
    async fn answer<T>(
        &mut self,
        service: &ServiceName,
        answer: Result<T, TransportError>,
    ) -> Result<Option<T>, TransportError> {
        let error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        self.transport.depth(&self.names.tracking_queue).await?;
        let until = Instant::now() + self.pause;
        if self.put_off.insert(service.to_string(), until).is_none() {
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
