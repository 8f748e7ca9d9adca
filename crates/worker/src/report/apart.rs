//! Batches that the broker would never take, since one of their events is too large for it.

use crate::dead::bury;
use crate::held::Held;
use crate::publish::Sent;
use crate::shared::Shared;
use counterfoil_toolbox::event::{Event, EventKind, FaultKind, TaskFault};
use counterfoil_toolbox::{TaskId, TaskState};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// One event of a batch.
pub(super) struct Single {
    pub(super) json: Box<RawValue>,
    /// Tasks that are over once it is confirmed.
    pub(super) finished: Vec<Arc<Held>>,
}

/// The events of a batch, in order. A task's last event takes the task along.
pub(super) fn one_by_one(body: &[u8], mut finished: Vec<Arc<Held>>) -> Vec<Single> {
    let events: Vec<Box<RawValue>> =
        serde_json::from_slice(body).expect("a batch is an array, written by this worker");
    let mut singles = Vec::with_capacity(events.len());
    for json in events.into_iter().rev() {
        let about: About = serde_json::from_str(json.get()).expect("every event names its task");
        let is_last = |held: &mut Arc<Held>| held.envelope.id == about.task_id;
        let finished = finished.extract_if(.., is_last).collect();
        singles.push(Single { json, finished });
    }
    singles.reverse();
    singles
}

#[derive(Deserialize)]
struct About {
    task_id: TaskId,
}

/// Ends a task whose last event cannot be sent: if that was its result, the task fails because of
/// it, like any task whose result is too large. If not, nothing shorter can be said: it is left to
/// the broker, which delivers it again one day.
pub(super) async fn tell_instead(
    shared: Arc<Shared>,
    held: Arc<Held>,
    json: Box<RawValue>,
    reason: String,
) {
    let event = serde_json::from_str::<Event>(json.get()).ok();
    let Some(mut event) = event.filter(|event| event.result.is_some()) else {
        tracing::error!(task_id = %held.envelope.id, "nothing can be told of a task; it stays unacknowledged");
        return shared.guard.release(&held, |_| ());
    };
    let text = format!("the broker does not take the event with the result: {reason}");
    let fault = TaskFault::new(FaultKind::ResultTooLarge, text);
    let Some(content) = held.content() else {
        return shared.guard.release(&held, |_| ());
    };
    // Handlers may be over: it was the last event of one that showed that it cannot be sent.
    let stop = shared.stop.is_at_once();
    match bury(&shared, &held.queue, content, &fault, stop).await {
        Sent::Confirmed => {
            event.kind = EventKind::State(TaskState::Failure);
            event.result = None;
            event.error = Some(fault);
            shared.reporter.finish_anew(held, &event);
        }
        Sent::Impossible(_) => shared.guard.release(&held, Held::refuse),
        Sent::GivenUp => {}
    }
}
