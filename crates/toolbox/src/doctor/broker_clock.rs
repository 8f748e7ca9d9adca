//! The broker's clock, as far as AMQP tells.

use super::{Check, broker_fault};
use crate::message::{Content, Headers};
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::topology::{Item, Names, Queue, QueueKind};
use crate::transport::amqp::AmqpTransport;
use crate::transport::{
    Declare, DeclareError, Publication, PublishError, PublisherOptions, Transport, TransportError,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::future::poll_fn;
use std::time::Duration;
use uuid::Uuid;

/// Clocks that differ by less are taken for the same. The broker tells whole seconds.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// Name of its check.
const NAME: &str = "broker clock";

/// Longest that a message may take to expire and be told of.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so long the broker removes the two queues, should nobody else do it.
const QUEUES_LIVE_MS: i64 = 60_000;

enum Fault {
    /// The user may not have queues of its own.
    Refused,
    Transport(TransportError),
    Publish(PublishError),
}

/// Compares the broker's clock with this machine's: a message that expires carries the time at which it did.
/// It takes two queues for a moment; a user who may not declare them is told that nothing was compared.
///
/// ```
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::doctor::broker_clock;
/// use counterfoil_toolbox::transport::amqp::AmqpTransport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let settings = BrokerSettings { urls: vec!["amqp://127.0.0.1:1".into()], ..BrokerSettings::default() };
/// let transport = AmqpTransport::new(&settings)?;
/// let check = broker_clock(&transport, &settings.names()?).await;
/// println!("{}", check.detail); // "the broker's clock is ours"
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Cancelled, the broker removes the queues within a minute.
pub async fn broker_clock(transport: &AmqpTransport, names: &Names) -> Check {
    let own = format!("{}platform.clock.{}", names.prefix(), Uuid::now_v7());
    let queue = |end: &str| QueueName::new(&format!("{own}.{end}")).expect("a short name");
    let (expires, told) = (queue("expires"), queue("told"));
    let read = read(transport, &expires, &told).await;
    for queue in [&expires, &told] {
        // The broker does it later.
        let _ = transport.delete_queue(queue).await;
    }
    match read {
        Ok(Some((theirs, ours))) => compared(theirs - ours),
        Ok(None) => Check::ok(NAME, "the broker does not tell"),
        Err(Fault::Refused) => Check::ok(
            NAME,
            "not compared: the user may not declare queues platform.clock.*",
        ),
        Err(Fault::Transport(error)) => broker_fault(&error),
        Err(Fault::Publish(error)) => {
            let what = format!("not compared: {error}");
            Check::warn(NAME, what, "see what else is said of the broker")
        }
    }
}

fn compared(skew: TimeDelta) -> Check {
    match skew.abs() < SKEW {
        true => Check::ok(NAME, "the broker's clock is ours"),
        false => Check::warn(
            NAME,
            format!(
                "the broker's clock differs from ours by {} s",
                skew.num_seconds()
            ),
            "set both by the network (`timedatectl set-ntp true`); deaths are listed at the broker's time until then",
        ),
    }
}

/// Their time and ours when a message expired.
async fn read(
    transport: &AmqpTransport,
    expires: &QueueName,
    told: &QueueName,
) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>, Fault> {
    let mut arguments = Headers::new();
    arguments.push("x-expires", QUEUES_LIVE_MS);
    declare(transport, told, arguments.clone()).await?;
    arguments.push("x-message-ttl", 0_i64);
    arguments.push("x-dead-letter-exchange", "");
    arguments.push("x-dead-letter-routing-key", told.as_str());
    declare(transport, expires, arguments).await?;

    let mut link = transport.link(told).await?;
    link.consume("clock", 1, None).await?;
    let publisher = transport.publisher(PublisherOptions::mandatory());
    let publication = Publication {
        exchange: ExchangeName::default_exchange(),
        routing_key: RoutingKey::new(expires.as_str()).expect("a short name"),
        content: Content::json("[]"),
    };
    let sent = publisher.publish(publication).await;
    let next = poll_fn(|cx| link.poll_next(cx));
    let arrival = match sent {
        Ok(()) => tokio::time::timeout(PATIENCE, next).await.ok(),
        Err(error) => return Err(Fault::Publish(error)),
    };
    let ours = Utc::now();
    link.close().await;
    let Some(arrival) = arrival else {
        return Ok(None);
    };
    let arrival = arrival?;
    let newest = arrival.content.headers.deaths().next();
    let theirs = newest.and_then(|death| death.time("time"));
    Ok(theirs.map(|theirs| (theirs, ours)))
}

async fn declare(
    transport: &AmqpTransport,
    name: &QueueName,
    arguments: Headers,
) -> Result<(), Fault> {
    let queue = Item::Queue(Queue {
        name: name.clone(),
        kind: QueueKind::Classic,
        arguments,
    });
    match transport.declare(&queue, Declare::Active).await {
        Ok(()) => Ok(()),
        Err(DeclareError::Transport(error)) if error.is_transient() => Err(error.into()),
        Err(_) => Err(Fault::Refused),
    }
}

impl From<TransportError> for Fault {
    fn from(error: TransportError) -> Self {
        if let TransportError::Refused { .. } = error {
            return Self::Refused;
        }
        Self::Transport(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn a_broker_that_is_off_by_half_a_minute_is_told_and_by_seconds_is_not() {
        assert_eq!(compared(TimeDelta::seconds(-4)).outcome, Outcome::Ok);
        let off = compared(TimeDelta::seconds(-30));
        assert_eq!(off.outcome, Outcome::Warn);
        assert!(off.detail.ends_with("by -30 s"), "{off:?}");
    }
}
