//! What workers told of their tasks.

use counterfoil_toolbox::event::{Event, EventKind};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::transport::{SubscribeOptions, Subscription, Transport};
use counterfoil_toolbox::{TaskId, TaskState};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The last word on every task: of its events the one that the platform would keep.
pub(super) type Told = BTreeMap<TaskId, Event>;

/// Reads all events, and keeps of each task what the platform would.
pub(super) async fn listen(
    transport: Arc<dyn Transport>,
    queue: QueueName,
    told: watch::Sender<Told>,
) {
    let mut subscription = Subscription::open(transport, SubscribeOptions::new(queue, 100));
    while let Some(delivery) = subscription.next().await {
        // Openings of sessions come by here too.
        let events = serde_json::from_slice::<Vec<Event>>(&delivery.content.body);
        told.send_modify(|told| {
            events
                .into_iter()
                .flatten()
                .for_each(|event| merge(told, event))
        });
        let _ = delivery.ack();
    }
}

fn merge(told: &mut Told, event: Event) {
    let Some(key) = event.key() else { return };
    let known = told.get(&event.task_id).and_then(Event::key);
    if known.is_none_or(|known| known < key) {
        told.insert(event.task_id.clone(), event);
    }
}

/// The terminal state that `event` brought its task into.
pub(super) fn end_of(event: &Event) -> Option<TaskState> {
    let EventKind::State(state) = event.kind else {
        return None;
    };
    state.is_terminal().then_some(state)
}

/// Whether `event` is the end of its task.
pub(super) fn is_last(event: &Event) -> bool {
    end_of(event).is_some()
}
