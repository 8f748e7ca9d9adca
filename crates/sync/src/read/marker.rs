//! Markers: what the leading daemon sends behind all that workers say, to see it come through.

use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::{Content, Envelope, encode};
use counterfoil_toolbox::names::{RoutingKey, TaskName};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::topology::names::{event_key, heartbeat_key};
use counterfoil_toolbox::transport::Publication;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Under whose name they travel. No service can be called so.
const PLATFORM: &str = "platform";

#[derive(Serialize, Deserialize)]
struct Marker {
    marker: Uuid,
}

/// Name of the task that markers pretend to be where tasks go.
pub(super) const MARKER: &str = "platform.marker";

/// One for each of the ways.
pub(crate) fn publications(names: &Names, id: Uuid) -> [Publication; 3] {
    let name = TaskName::new(MARKER).expect("a valid name");
    let task = Publication {
        exchange: names.tasks.clone(),
        routing_key: name.routing_key(),
        content: encode(&Envelope::new(TaskId::from(id), name), "[]", "{}"),
    };
    let json = serde_json::to_vec(&Marker { marker: id }).expect("an id is JSON");
    let ways = [
        (&names.events, event_key(PLATFORM)),
        (&names.heartbeats, heartbeat_key(PLATFORM)),
    ];
    let [events, heartbeats] = ways.map(|(exchange, routing_key): (_, RoutingKey)| {
        let mut content = Content::json(json.clone());
        content.properties.persistent = false;
        Publication {
            exchange: exchange.clone(),
            routing_key,
            content,
        }
    });
    [task, events, heartbeats]
}

/// The marker that a message under the platform's name is.
pub(super) fn read(service: &str, content: &Content) -> Option<Uuid> {
    if service != PLATFORM {
        return None;
    }
    let marker: Marker = serde_json::from_slice(&content.body).ok()?;
    Some(marker.marker)
}
