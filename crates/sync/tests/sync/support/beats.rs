//! Signs of life of a worker that a test plays.

use super::World;
use counterfoil_toolbox::heartbeat::Heartbeat;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::topology::names::heartbeat_key;
use counterfoil_toolbox::transport::{Publication, PublisherOptions};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How often it speaks.
const INTERVAL: Duration = Duration::from_millis(200);

impl World {
    /// Says `beat` again and again, until the answer is dropped.
    pub(crate) fn beats(
        &self,
        beat: impl Fn() -> Heartbeat + Send + 'static,
    ) -> AbortOnDropHandle<()> {
        let publisher = self.transport.publisher(PublisherOptions::default());
        let exchange = self.names.heartbeats.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let publication = Publication {
                    exchange: exchange.clone(),
                    routing_key: heartbeat_key("demo"),
                    content: Content::json(serde_json::to_vec(&beat()).expect("JSON")),
                };
                // Unheard: the next one is.
                let _ = publisher.publish(publication).await;
                tokio::time::sleep(INTERVAL).await;
            }
        }))
    }
}
