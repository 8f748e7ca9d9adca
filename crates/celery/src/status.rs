//! What callers are told while a task runs: nobody's work hangs on it, so it is sent without waiting for the broker.

use crate::reply::Reply;
use counterfoil_toolbox::transport::{Publication, PublisherOptions};
use counterfoil_worker::extension::Beside;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Messages that wait to be sent. More are dropped: what comes later says more.
const WAITING: usize = 1000;

/// The way to whoever waits for a task.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    to_broker: mpsc::Sender<Publication>,
    /// Taken by the worker that sends them.
    waiting: Arc<Mutex<Option<mpsc::Receiver<Publication>>>>,
}

impl Status {
    pub(crate) fn new() -> Self {
        let (to_broker, waiting) = mpsc::channel(WAITING);
        Self {
            to_broker,
            waiting: Arc::new(Mutex::new(Some(waiting))),
        }
    }

    /// Says it, if there is room.
    pub(crate) fn say(&self, reply: &Reply<'_>, caller: &str) {
        // One that cannot be written, or for which there is no room, is nobody's loss.
        if let Ok(publication) = reply.to(caller) {
            let _ = self.to_broker.try_send(publication);
        }
    }

    /// Sends what is said until the worker is over. `None`: another worker does.
    pub(crate) fn send(&self, worker: Beside) -> Option<impl Future<Output = ()> + use<>> {
        let waiting = self
            .waiting
            .lock()
            .expect("no code panics while it holds the lock");
        let mut waiting = { waiting }.take()?;
        Some(async move {
            let publisher = worker.transport.publisher(PublisherOptions::default());
            loop {
                let publication = tokio::select! {
                    biased;
                    publication = waiting.recv() => publication,
                    () = worker.over() => None,
                };
                let Some(publication) = publication else {
                    return;
                };
                // Its confirm is not waited for; one that is refused says the same as those that follow.
                if let Ok(confirm) = publisher.enqueue(Arc::new(publication)).await {
                    drop(confirm);
                }
            }
        })
    }
}
