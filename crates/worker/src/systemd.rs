//! What the worker tells systemd.

use crate::consume::Consumer;
use crate::shared::Shared;
use crate::worker::Running;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::start::systemd::{Standing, keep_telling, stopping};
use counterfoil_toolbox::transport::SubscriptionStatus;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Tells systemd how the worker is doing until the handle is dropped. It does so beside everything else that the
/// worker does besides running handlers: where that stands still, the watchdog hears nothing.
pub(crate) fn tell_systemd(running: &Running) -> AbortOnDropHandle<()> {
    let shared = running.shared.clone();
    let queue = |consumer: &Consumer| Watched {
        name: consumer.queue.clone(),
        status: consumer.status.clone(),
    };
    let queues: Vec<_> = running.consumers.iter().map(queue).collect();
    AbortOnDropHandle::new(tokio::spawn(tell(shared, queues)))
}

struct Watched {
    name: QueueName,
    status: watch::Receiver<SubscriptionStatus>,
}

async fn tell(shared: Arc<Shared>, queues: Vec<Watched>) {
    let draining = shared.stop.draining();
    let mut telling = pin!(keep_telling(|| look(&shared, &queues)));
    tokio::select! {
        () = &mut telling => {}
        () = draining.cancelled() => stopping(),
    }
    telling.await;
}

fn look(shared: &Shared, queues: &[Watched]) -> Standing {
    let (running, processed) = (shared.counts.running(), shared.counts.processed());
    let done = format!("{running} tasks running, {processed} done");
    let stopping = shared.stop.draining().is_cancelled();
    let waits = match shared.control.is_ready() {
        true => queues.iter().find_map(|queue| trouble(shared, queue)),
        false => Some("reading what it is asked".to_owned()),
    };
    let line = match &waits {
        _ if stopping => format!("draining: {done}"),
        Some(trouble) => format!("{trouble}: {done}"),
        None => done,
    };
    Standing {
        line,
        ready: waits.is_none(),
        stopping,
        alive: true,
    }
}

/// Why a queue is not consumed, unless somebody wants it so.
fn trouble(shared: &Shared, queue: &Watched) -> Option<String> {
    if shared.control.is_closed(&queue.name) || shared.consumers.has_left(&queue.name) {
        return None;
    }
    let name = &queue.name;
    match &*queue.status.borrow() {
        SubscriptionStatus::Consuming => None,
        SubscriptionStatus::Down { reason, .. } => Some(format!("queue {name}: {reason}")),
        SubscriptionStatus::Connecting
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Cancelled => Some(format!("queue {name} is not consumed yet")),
    }
}
