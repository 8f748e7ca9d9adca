//! Sending batches, one after the other, each until it is confirmed.

use super::Reporter;
use crate::guard::Guard;
use crate::publish::{Sent, until_confirmed};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::ExchangeName;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::{Publication, Publisher};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Sends what is reported until the reporter is closed and empty, or `stop` fires.
///
/// `publisher` must be mandatory: an event that no queue wants would be confirmed and gone.
pub(crate) async fn send_batches(
    reporter: &Reporter,
    publisher: &Publisher,
    exchange: &ExchangeName,
    guard: &Guard,
    stop: &CancellationToken,
) {
    while let Some(Some(mut batch)) = stop.run_until_cancelled(reporter.next()).await {
        let mut content = Content::json(batch.take_body());
        content.properties.message_id = Some(Uuid::now_v7().to_string().into());
        let publication = Publication {
            exchange: exchange.clone(),
            routing_key: event_key(&batch.service),
            content,
        };
        match until_confirmed(publisher, publication, stop, "events").await {
            Sent::Confirmed => guard.finish(&batch.finished),
            // Unacknowledged, their tasks come back: better twice than untold.
            Sent::Impossible(reason) => {
                tracing::error!(%reason, "events cannot be sent; their tasks stay unacknowledged");
            }
            Sent::GivenUp => return,
        }
    }
}
