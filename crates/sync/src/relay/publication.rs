//! A row of the outbox as a message, and what the broker's answer means for it.

use counterfoil_store::OutboxMessage;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Publication, PublishError};

/// What the broker's answer means for a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Sent,
    /// Its queue or its exchange does not take it now; others may be taken.
    Held(PublishError),
    /// It will never be taken, for this reason.
    Never(String),
    /// Nothing is taken now.
    Trouble(PublishError),
}

/// The message with its address.
///
/// # Errors
/// Why it can never be published.
pub(super) fn publication(names: &Names, row: &OutboxMessage) -> Result<Publication, String> {
    let exchange = match &*row.message.exchange {
        "" => names.tasks.clone(),
        name if name == names.tasks.as_str() => names.tasks.clone(),
        // Whoever may write into the table must not speak as the daemon.
        name => {
            return Err(format!(
                "only tasks are sent from here, and {name:?} is not their exchange"
            ));
        }
    };
    let key = RoutingKey::new(&row.message.routing_key).map_err(|error| error.to_string())?;
    let mut content = row.message.content.clone().without_broker_headers();
    // Nobody would know of its loss.
    content.properties.persistent = true;
    Ok(Publication {
        exchange,
        routing_key: key,
        content,
    })
}

/// `alone`: nothing else was under way on its channel.
pub(super) fn verdict(outcome: Result<(), PublishError>, alone: bool) -> Verdict {
    let Err(error) = outcome else {
        return Verdict::Sent;
    };
    match &error {
        PublishError::Invalid { .. } => Verdict::Never(ErrorChain(&error).to_string()),
        // RabbitMQ's words for a message that is larger than it takes. Among others on a channel that
        // it closes, it does not say which.
        PublishError::Refused { reason, .. } if alone && reason.contains("PRECONDITION_FAILED") => {
            Verdict::Never(ErrorChain(&error).to_string())
        }
        // Without an exchange it is the connection that was refused.
        PublishError::Refused { exchange, .. } if exchange.is_empty() => Verdict::Trouble(error),
        PublishError::Nacked
        | PublishError::Unroutable { .. }
        | PublishError::Refused { .. }
        | PublishError::ConfirmTimeout { .. } => Verdict::Held(error),
        PublishError::Blocked { .. }
        | PublishError::NotSent { .. }
        | PublishError::Withdrawn
        | PublishError::Disconnected
        | PublishError::Closed => Verdict::Trouble(error),
        _ => Verdict::Trouble(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(exchange: &str, reason: &str) -> PublishError {
        PublishError::Refused {
            exchange: exchange.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn only_what_no_time_mends_is_set_aside() {
        let too_large = refused("e", "PRECONDITION_FAILED - message size 9 is larger");
        assert!(matches!(
            verdict(Err(too_large.clone()), true),
            Verdict::Never(_)
        ));
        assert!(matches!(verdict(Err(too_large), false), Verdict::Held(_)));
        let missing = refused("e", "NOT_FOUND - no exchange 'e'");
        assert!(matches!(verdict(Err(missing), true), Verdict::Held(_)));
        let password = refused("", "ACCESS_REFUSED");
        assert!(matches!(verdict(Err(password), true), Verdict::Trouble(_)));
        assert!(matches!(
            verdict(Err(PublishError::Nacked), false),
            Verdict::Held(_)
        ));
        let away = Err(PublishError::Disconnected);
        assert!(matches!(verdict(away, true), Verdict::Trouble(_)));
        assert_eq!(verdict(Ok(()), false), Verdict::Sent);
    }
}
