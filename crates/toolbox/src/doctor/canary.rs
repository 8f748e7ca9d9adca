//! Messages that must come through, and that nobody takes for a task.

use crate::event::{Event, EventKind};
use crate::ids::TaskId;
use crate::message::{Content, Envelope, encode};
use crate::names::{CANARY, TaskName};
use crate::state::{Lineage, TaskState};
use crate::topology::Names;
use crate::topology::names::event_key;
use crate::transport::Publication;
use chrono::Utc;
use std::time::Duration;
use uuid::Uuid;

/// How long that takes at least.
const GONE: Duration = Duration::from_secs(300);

/// Canaries in a row that may get lost, or be read by another daemon, before that.
const LOST: u32 = 5;

/// How long after its last canary whoever sends one every `interval` is taken to be gone.
///
/// ```
/// use counterfoil_toolbox::doctor::canaries_last;
/// use std::time::Duration;
///
/// assert_eq!(canaries_last(Duration::from_secs(60)), Duration::from_secs(300));
/// assert_eq!(canaries_last(Duration::from_secs(600)), Duration::from_secs(3000));
/// ```
#[must_use]
pub fn canaries_last(interval: Duration) -> Duration {
    GONE.max(interval.saturating_mul(LOST))
}

/// A canary: a task that no service owns, and an event of it. The daemon notes where it sees them, and neither
/// leaves a trace but that. What no queue takes is for the look-out to find, so they need not be published
/// mandatory.
///
/// ```
/// # use counterfoil_toolbox::{config::BrokerSettings, topology, transport::{PublisherOptions, Transport, memory::MemoryBroker}};
/// use counterfoil_toolbox::doctor::canary;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// let publisher = broker.publisher(PublisherOptions::default());
/// for message in canary(&names, uuid::Uuid::now_v7()) {
///     publisher.publish(message).await?;
/// }
/// for queue in [&names.tracking_queue, &names.events_queue] {
///     assert_eq!(broker.depth(queue).await?.unwrap().ready, 1); // it came through
/// }
/// # Ok(()) }
/// ```
#[must_use]
pub fn canary(names: &Names, id: Uuid) -> [Publication; 2] {
    let (task_id, name) = (TaskId::from(id), name());
    let task = Publication {
        exchange: names.tasks.clone(),
        routing_key: name.routing_key(),
        content: content(id),
    };
    let kind = EventKind::State(TaskState::Pending);
    let event = Event::new(task_id, name, Lineage::default(), kind, Utc::now());
    let event = Publication {
        exchange: names.events.clone(),
        routing_key: event_key(&event.service),
        content: Content::json(serde_json::to_vec(&[event]).expect("an event is JSON")),
    };
    [task, event]
}

/// The message of a canary.
pub(super) fn content(id: Uuid) -> Content {
    encode(&Envelope::new(TaskId::from(id), name()), "[]", "{}")
}

fn name() -> TaskName {
    TaskName::new(CANARY).expect("a valid name")
}
