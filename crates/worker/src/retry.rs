//! The copy of a task that runs again later: it waits in the broker's delay levels.

use crate::held::Held;
use crate::publish::{Sent, until_confirmed};
use crate::shared::Shared;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::delay::{InvalidDelay, delayed_key, without_delay};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::message::names::{DELIVERIES_BEFORE, EXECUTIONS, PASSES};
use counterfoil_toolbox::message::{
    Content, Envelope, Headers, Payload, encode_again, encode_with,
};
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{Publication, TransportError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause between two tries to declare the levels.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Shortest wait at the broker: it counts whole seconds.
pub(crate) const SHORTEST: Duration = Duration::from_secs(1);

/// Retries that a message has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Those that count.
    pub(crate) retries: i32,
    /// All of them.
    pub(crate) executions: i32,
}

impl Tally {
    /// What the message itself says.
    pub(crate) fn of(held: &Held) -> Self {
        Self {
            retries: held.envelope.retries,
            executions: held.envelope.lineage.executions,
        }
    }

    /// Writes it where a message says what is behind it: retries within a worker are not in its own.
    pub(crate) fn write_to(self, headers: &mut Headers, held: &Held) {
        if self == Self::of(held) {
            return;
        }
        headers.set("retries", self.retries);
        headers.set(EXECUTIONS, self.executions);
        headers.set(DELIVERIES_BEFORE, held.lineage(self.executions).deliveries);
    }

    /// After one more.
    pub(crate) fn after(self, counted: bool) -> Self {
        Self {
            retries: self.retries.saturating_add(i32::from(counted)),
            executions: self.executions.saturating_add(1),
        }
    }
}

/// When the copy of a task is due, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// When it comes out of the levels.
    Then,
    /// When it was due before: the levels only keep it for a while.
    AsBefore,
}

/// Sends the task once more, to come out of the levels after `delay`, with what it had or with arguments `anew`. Tries
/// until it is there.
pub(crate) async fn send_copy(
    shared: &Shared,
    held: &Held,
    (payload, anew): (&Payload, Option<&Payload>),
    tally: Tally,
    (delay, due): (Duration, Due),
) -> Sent {
    let Some(before) = held.content() else {
        return Sent::GivenUp;
    };
    let again = |envelope: &Envelope| match anew {
        None => encode_again(&before, envelope, payload),
        Some(anew) => encode_with(envelope, anew.args(), anew.kwargs(), payload.embed()),
    };
    let publication = match copy(&shared.names, held, again, tally, (delay, due), Utc::now()) {
        Ok(publication) => publication,
        Err(error) => return Sent::Impossible(error.to_string()),
    };
    let stop = held.worth_trying_until(&shared.stop);
    if !declare_levels(shared, stop).await {
        return Sent::GivenUp;
    }
    until_confirmed(&shared.senders.copies, publication, stop, "a retry").await
}

/// `false`: the worker stopped, or the transport was closed, before the broker could be asked.
pub(crate) async fn declare_levels(shared: &Shared, stop: &CancellationToken) -> bool {
    let backoff = Backoff::reconnect(LONGEST_PAUSE);
    let mut tries = 0;
    loop {
        let declare = shared
            .senders
            .levels
            .declare(&*shared.transport, &shared.names);
        let error = match stop.run_until_cancelled(declare).await {
            Some(Ok(())) => return true,
            None | Some(Err(TransportError::Closed)) => return false,
            Some(Err(error)) => error,
        };
        tracing::warn!(error = %ErrorChain(&error), "the delay levels could not be declared");
        let pause = tokio::time::sleep(backoff.random_wait(tries));
        if stop.run_until_cancelled(pause).await.is_none() {
            return false;
        }
        tries = tries.saturating_add(1);
    }
}

/// The same task once more, `delay` from `now`.
///
/// # Errors
/// [`InvalidDelay`] when the levels cannot hold it.
fn copy(
    names: &Names,
    held: &Held,
    again: impl FnOnce(&Envelope) -> Content,
    tally: Tally,
    (delay, due): (Duration, Due),
    now: DateTime<Utc>,
) -> Result<Publication, InvalidDelay> {
    let mut envelope = held.envelope.clone();
    envelope.retries = tally.retries;
    envelope.lineage.executions = tally.executions;
    envelope.checkpoint = held.checkpoint();
    // The execution that failed is the last of those since the message; none did if it came early.
    let since = tally.executions - held.envelope.lineage.executions;
    if since > 0 {
        envelope.tries_before = since - 1;
        envelope.deliveries_before = 0;
    } else {
        envelope.deliveries_before = held.lineage(tally.executions).deliveries;
    }
    let passes = (since <= 0).then(|| held.key.passes.saturating_add(1));
    if due == Due::Then {
        envelope.eta = later(now, delay);
    }
    let mut content = again(&envelope);
    if let Some(passes) = passes {
        content.headers.push(PASSES, passes);
    }
    content.properties.timestamp = u64::try_from(now.timestamp()).ok();
    let came = Came {
        exchange: &held.exchange,
        routing_key: &held.routing_key,
        queue: &held.queue,
    };
    Ok(Publication {
        exchange: names.delay_entry.clone(),
        routing_key: came.again_after(delay, names)?,
        content,
    })
}

/// How a message came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) exchange: &'a ExchangeName,
    pub(crate) routing_key: &'a RoutingKey,
    pub(crate) queue: &'a QueueName,
}

impl Came<'_> {
    /// The key by which its task finds back to its queue after `delay` in the levels.
    ///
    /// # Errors
    /// [`InvalidDelay`] when the levels cannot hold it.
    pub(crate) fn again_after(
        self,
        delay: Duration,
        names: &Names,
    ) -> Result<RoutingKey, InvalidDelay> {
        if self.exchange.is_default() {
            return delayed_key(delay, &queue_key(names, self.queue));
        }
        match delayed_key(delay, &without_delay(self.routing_key)) {
            Err(InvalidDelay::KeyTooLong { .. }) => {
                delayed_key(delay, &queue_key(names, self.queue))
            }
            other => other,
        }
    }
}

/// The bare name of a service, with that of its class, matches the binding of its queue.
fn queue_key(names: &Names, queue: &QueueName) -> RoutingKey {
    let (service, class) = (names.service_of(queue), names.class_of(queue));
    RoutingKey::new(&format!("{service}{}", class.suffix())).expect("part of a queue's name")
}

/// That time after `at`; `None`: no calendar has it.
pub(crate) fn later(at: DateTime<Utc>, delay: Duration) -> Option<DateTime<Utc>> {
    at.checked_add_signed(TimeDelta::from_std(delay).ok()?)
}
