//! Dead letters: messages that nobody will run, kept with the reason until somebody decides.
//!
//! The worker publishes them itself, since a broker's reject carries no reason.

use crate::outcome::cut;
use crate::publish::{Sent, until_confirmed};
use crate::shared::Shared;
use counterfoil_toolbox::event::{FaultKind, TaskFault};
use counterfoil_toolbox::message::{Content, HeaderValue, Headers, names};
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology::names::dead_key;
use counterfoil_toolbox::transport::Publication;
use tokio_util::sync::CancellationToken;

/// Longest reason in a header: headers must fit one frame.
const MAX_REASON: usize = 1000;

/// Sends `content`, as it came out of `queue`, to the dead queue of its service, and returns when
/// it is there, or why that cannot be. Gives up when `stop` fires.
pub(crate) async fn bury(
    shared: &Shared,
    queue: &QueueName,
    content: Content,
    fault: &TaskFault,
    stop: &CancellationToken,
) -> Sent {
    let mut content = content.without_broker_headers();
    add_reason(&mut content.headers, fault);
    let sent = publish(shared, queue, content.clone(), stop).await;
    let Sent::Impossible(reason) = sent else {
        return sent;
    };
    // Its own headers filled a frame, so ours no longer fit: keep what a person needs.
    tracing::warn!(%queue, %reason, "a dead letter lost its headers");
    content.headers = essential(&content.headers);
    add_reason(&mut content.headers, fault);
    publish(shared, queue, content, stop).await
}

async fn publish(
    shared: &Shared,
    queue: &QueueName,
    content: Content,
    stop: &CancellationToken,
) -> Sent {
    let publication = Publication {
        exchange: shared.names.dead.clone(),
        routing_key: dead_key(shared.names.service_of(queue)),
        content,
    };
    until_confirmed(
        &shared.senders.mandatory,
        publication,
        stop,
        "a dead letter",
    )
    .await
}

fn add_reason(headers: &mut Headers, fault: &TaskFault) {
    headers.set(names::REASON, reason(fault.kind));
    headers.set(names::REASON_TEXT, cut(&fault.message, MAX_REASON));
}

/// What people sort dead letters by. Whether the broker or a worker counted the deliveries does not matter.
fn reason(kind: FaultKind) -> &'static str {
    if kind == FaultKind::WorkerCrashed {
        "delivery_limit"
    } else {
        kind.as_str()
    }
}

/// Name, id and whatever else is short.
fn essential(headers: &Headers) -> Headers {
    let short = |value: &HeaderValue| match value {
        HeaderValue::Text(text) => text.len() <= 255,
        HeaderValue::Bytes(_) | HeaderValue::List(_) | HeaderValue::Table(_) => false,
        HeaderValue::Null
        | HeaderValue::Bool(_)
        | HeaderValue::Int(_)
        | HeaderValue::Float(_)
        | HeaderValue::Timestamp(_) => true,
    };
    headers
        .iter()
        .filter(|(_, value)| short(value))
        .take(50)
        .map(|(name, value)| (name.to_owned().into(), value.clone()))
        .collect()
}
