//! What lapin's errors mean to us.

use crate::transport::error::{PublishError, TransportError};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Error, ErrorKind};

/// The broker's answer to a question, sorted by what can be done about it.
pub(super) enum Answer {
    /// 404: what was asked for is not there.
    Missing,
    /// 406, 405: it is there, but different or locked.
    Differs(String),
    /// 403, 530 and the like: somebody has to mend something.
    Refused(String),
    /// The connection or the channel is gone.
    Gone,
}

/// Sorts an error of lapin.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "lapin's kinds are non-exhaustive, and a new one means a lost connection"
)]
pub(super) fn answer(error: &Error) -> Answer {
    match error.kind() {
        ErrorKind::ProtocolError(protocol) => {
            let text = protocol.get_message().to_string();
            match protocol.kind() {
                // It is there, on a node of the cluster that is not (rabbitmq-server 2454).
                AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) if is_elsewhere(&text) => Answer::Gone,
                AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Answer::Missing,
                AMQPErrorKind::Soft(
                    AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::RESOURCELOCKED,
                ) => Answer::Differs(text),
                AMQPErrorKind::Soft(_) => Answer::Refused(text),
                // The broker shuts down, or an operator closed the connection: it comes back.
                AMQPErrorKind::Hard(
                    AMQPHardError::CONNECTIONFORCED | AMQPHardError::INTERNALERROR,
                ) => Answer::Gone,
                AMQPErrorKind::Hard(_) => Answer::Refused(text),
            }
        }
        ErrorKind::AuthProviderError(text) => Answer::Refused(text.clone()),
        // Wrong certificates show as an error of input and output; trying again does not help.
        ErrorKind::IOError(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            Answer::Refused(io.to_string())
        }
        // Everything else is a connection or channel that is no longer there.
        _ => Answer::Gone,
    }
}

/// RabbitMQ's words for a queue whose home node is down, or whose process is being restarted.
fn is_elsewhere(text: &str) -> bool {
    text.contains("is down or inaccessible") || text.contains("stopped by supervisor")
}

/// An error about `what`, asked of the broker at `address`.
pub(super) fn transport_error(error: &Error, what: &str, address: &str) -> TransportError {
    match answer(error) {
        Answer::Missing => TransportError::Refused {
            what: what.to_owned(),
            reason: error.to_string(),
        },
        Answer::Differs(reason) | Answer::Refused(reason) => TransportError::Refused {
            what: what.to_owned(),
            reason,
        },
        Answer::Gone => TransportError::Unreachable {
            broker: address.to_owned(),
            source: Box::new(error.clone()),
        },
    }
}

/// What the error of a channel means for one message that was on its way through it.
///
/// One bad message closes the channel for all; the others may be sent again on the next one.
pub(super) fn publish_error(error: &Error, exchange: &str, key: &str, alone: bool) -> PublishError {
    // In refusals the default exchange has a name.
    let named = if exchange.is_empty() {
        "amq.default"
    } else {
        exchange
    };
    let guilty = |text: &str| {
        let names_exchange = text.contains(&format!("exchange '{named}'"));
        let names_key = !text.contains(" topic '") || text.contains(&format!("topic '{key}'"));
        (names_exchange && names_key) || alone
    };
    match answer(error) {
        Answer::Missing => {
            let reason = error.to_string();
            if guilty(&reason) {
                PublishError::Refused {
                    exchange: exchange.to_owned(),
                    reason,
                }
            } else {
                PublishError::Disconnected
            }
        }
        Answer::Differs(reason) | Answer::Refused(reason) if guilty(&reason) => {
            PublishError::Refused {
                exchange: exchange.to_owned(),
                reason,
            }
        }
        Answer::Differs(_) | Answer::Refused(_) | Answer::Gone => PublishError::Disconnected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::AMQPError;

    fn not_found(text: &str) -> Answer {
        let kind = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
        answer(&ErrorKind::ProtocolError(AMQPError::new(kind, text.into())).into())
    }

    #[test]
    fn a_queue_whose_node_is_down_is_not_missing() {
        let down = "NOT_FOUND - home node 'rabbit@b' of durable queue 'celery' in vhost '/' is down or inaccessible";
        assert!(matches!(not_found(down), Answer::Gone));
        let missing = "NOT_FOUND - no queue 'celery' in vhost '/'";
        assert!(matches!(not_found(missing), Answer::Missing));
    }
}
