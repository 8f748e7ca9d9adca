//! Markers: what the leading daemon sends behind all that workers say, to see it come through.

use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::RoutingKey;
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

/// One for each of the ways.
pub(crate) fn publications(names: &Names, id: Uuid) -> [Publication; 2] {
    let json = serde_json::to_vec(&Marker { marker: id }).expect("an id is JSON");
    let ways = [
        (&names.events, event_key(PLATFORM)),
        (&names.heartbeats, heartbeat_key(PLATFORM)),
    ];
    ways.map(|(exchange, routing_key): (_, RoutingKey)| {
        let mut content = Content::json(json.clone());
        content.properties.persistent = false;
        Publication {
            exchange: exchange.clone(),
            routing_key,
            content,
        }
    })
}

/// The marker that a message under the platform's name is.
pub(super) fn read(service: &str, content: &Content) -> Option<Uuid> {
    if service != PLATFORM {
        return None;
    }
    let marker: Marker = serde_json::from_slice(&content.body).ok()?;
    Some(marker.marker)
}
