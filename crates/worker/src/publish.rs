//! Publishing what must not be lost: again and again, until the broker has it.

use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::transport::{Publication, PublishError, Publisher};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The broker has it.
    Confirmed,
    /// No broker would ever take it, for this reason.
    Impossible(String),
    /// The worker stopped, or the transport was closed, before anybody confirmed it.
    GivenUp,
}

/// Publishes until the message is confirmed. The same message may arrive more than once.
pub(crate) async fn until_confirmed(
    publisher: &Publisher,
    publication: Publication,
    stop: &CancellationToken,
    what: &'static str,
) -> Sent {
    let backoff = Backoff::reconnect(LONGEST_PAUSE);
    let mut tries = 0;
    loop {
        // Cloning it counts references: the body is shared, the headers are few.
        let sent = publisher.publish(publication.clone());
        let error = match stop.run_until_cancelled(sent).await {
            Some(Ok(())) => return Sent::Confirmed,
            None | Some(Err(PublishError::Closed)) => return Sent::GivenUp,
            Some(Err(PublishError::Invalid { reason })) => return Sent::Impossible(reason),
            Some(Err(error)) => error,
        };
        tracing::warn!(what, error = %ErrorChain(&error), "not confirmed, trying again");
        let pause = tokio::time::sleep(backoff.random_wait(tries));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Sent::GivenUp;
        }
        tries = tries.saturating_add(1);
    }
}
