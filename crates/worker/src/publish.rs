//! Publishing what must not be lost: again and again, until the broker has it.

use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::failpoint::{Point, hit};
use counterfoil_toolbox::transport::{Publication, PublishError, Publisher};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses after a refusal. Only people can mend it, and each try costs the broker a channel.
const AFTER_REFUSAL: Backoff = Backoff {
    first: Duration::from_secs(1),
    factor: 2.0,
    cap: Duration::from_secs(60),
    jitter: false,
};

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The broker has it.
    Confirmed,
    /// The broker would never take it, for this reason.
    Impossible(String),
    /// The worker stopped, or the transport was closed, before anybody confirmed it.
    GivenUp,
}

/// The exchange is missing, or this user may not write to it with this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

/// Publishes until the message is confirmed, even if the broker refuses it: somebody may mend that.
/// The same message may arrive more than once.
pub(crate) async fn until_confirmed(
    publisher: &Publisher,
    publication: impl Into<Arc<Publication>>,
    stop: &CancellationToken,
    what: &'static str,
) -> Sent {
    let publication = publication.into();
    let mut tries = 0;
    loop {
        let sent = until_answered(publisher, &publication, stop, what).await;
        let reason = match sent {
            Ok(sent) => return sent,
            Err(Refused(reason)) => reason,
        };
        let delay = AFTER_REFUSAL.wait(tries, 1.0);
        tracing::error!(
            what,
            reason,
            ?delay,
            "the broker refuses it until somebody mends that; it is kept"
        );
        let pause = tokio::time::sleep(delay);
        if stop.run_until_cancelled(pause).await.is_none() {
            return Sent::GivenUp;
        }
        tries = tries.saturating_add(1);
    }
}

/// Publishes until the broker has answered for good.
///
/// # Errors
/// [`Refused`]: trying again helps only once somebody has mended something.
pub(crate) async fn until_answered(
    publisher: &Publisher,
    publication: &Arc<Publication>,
    stop: &CancellationToken,
    what: &'static str,
) -> Result<Sent, Refused> {
    let backoff = Backoff::reconnect(LONGEST_PAUSE);
    let mut tries = 0;
    loop {
        let sent = async {
            let confirm = publisher.enqueue(publication.clone()).await?;
            hit(Point::EventWritten).await;
            confirm.await
        };
        let error = match stop.run_until_cancelled(sent).await {
            Some(Ok(())) => return Ok(Sent::Confirmed),
            None | Some(Err(PublishError::Closed)) => return Ok(Sent::GivenUp),
            Some(Err(
                ref error @ (PublishError::Invalid { ref reason }
                | PublishError::Refused { ref reason, .. }),
            )) if error.is_about_the_message() => return Ok(Sent::Impossible(reason.clone())),
            Some(Err(PublishError::Refused { reason, .. })) => return Err(Refused(reason)),
            Some(Err(error)) => error,
        };
        tracing::warn!(what, error = %ErrorChain(&error), "not confirmed, trying again");
        let pause = tokio::time::sleep(backoff.random_wait(tries));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(Sent::GivenUp);
        }
        tries = tries.saturating_add(1);
    }
}
