//! From a delivery to a task in hand, or to a dead letter when it is none.

use crate::dead::bury;
use crate::held::{Held, Key, Unusable};
use crate::publish::Sent;
use crate::shared::Shared;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::message::{Content, TaskMessage, Undecodable};
use counterfoil_toolbox::names::CANARY;
use counterfoil_toolbox::transport::{Delivery, Requeue};
use std::sync::Arc;

/// Reads the message. `None`: there is nothing to run, and the delivery is taken care of. It stays `here` until it
/// is in other hands.
pub(crate) async fn take_in(shared: &Shared, here: &mut Option<Delivery>) -> Option<Arc<Held>> {
    let (envelope, payload) = match TaskMessage::decode(&here.as_ref()?.content) {
        Ok(task) => (task.envelope, Ok(task.payload)),
        Err(Undecodable {
            reason,
            envelope: Some(envelope),
        }) => (*envelope, Err(Unusable::Undecodable(reason))),
        Err(Undecodable {
            reason,
            envelope: None,
        }) => {
            Box::pin(bury_nameless(shared, here.take()?, &reason)).await;
            return None;
        }
    };
    if envelope.name == CANARY {
        // A probe, whose sender was to take it out of the queue and is gone: see `doctor::probe`.
        let _ = here.take()?.ack();
        return None;
    }
    let delivery = here.as_ref()?;
    let payload = match by_copy(&delivery.content) {
        Some(name) => Err(Unusable::Refused(format!("it was sent by a {name} header"))),
        None => payload,
    };
    let service = shared.services.speak_for(envelope.name.service(), delivery);
    let key = Key::of(&envelope, &delivery.content);
    shared.guard.enter(&key, here.take()?, |delivery| {
        Held::new(envelope, payload, service, delivery)
    })
}

/// The header by which a message came as a copy. Before RabbitMQ 4.0.3 those reach queues that their sender may not
/// write to.
pub(crate) fn by_copy(content: &Content) -> Option<&'static str> {
    let is_there = |name: &&str| content.headers.get(name).is_some();
    ["CC", "BCC"].into_iter().find(is_there)
}

/// A message without a usable id: there is no task to report on, only a message to keep.
async fn bury_nameless(shared: &Shared, delivery: Delivery, reason: &str) {
    tracing::warn!(queue = %delivery.queue, reason, "a message is no task");
    let fault = TaskFault::new(FaultKind::Undecodable, reason);
    let (content, stop) = (delivery.content.clone(), shared.stop.killed());
    let settled = match bury(shared, &delivery.queue, content, &fault, stop).await {
        Sent::Confirmed => delivery.ack(),
        Sent::Impossible(_) => delivery.nack(Requeue::No),
        Sent::GivenUp => return,
    };
    // Stale: it comes again and is buried again.
    let _ = settled;
}
