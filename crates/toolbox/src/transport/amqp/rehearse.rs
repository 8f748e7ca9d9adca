//! Asking the broker what it would allow, in a way in which nothing happens.
//!
//! RabbitMQ looks at permissions before it looks at what exactly is asked for. So each question has something
//! in it that is refused last of all: who hears of that, and of nothing else, may.

use super::connection::Connections;
use super::declare::ask;
use super::fault::{self, Answer};
use crate::names::{ExchangeName, QueueName, RoutingKey};
use crate::transport::error::TransportError;
use lapin::BasicProperties;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};

/// Neither milliseconds nor a user: the broker refuses a message that says so, whoever sends it.
const REFUSED: &str = "rehearsal";

/// What a broker says to something that is not done.
///
/// ```
/// # use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::transport::amqp::{AmqpTransport, Rehearsed};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let settings = BrokerSettings { urls: vec!["amqp://127.0.0.1:1".into()], ..BrokerSettings::default() };
/// let transport = AmqpTransport::new(&settings)?;
/// match transport.may_consume(&"export".parse()?).await {
///     Ok(Rehearsed::Allowed) => println!("{} may", transport.user()),
///     Ok(Rehearsed::Refused { reason }) => println!("{reason}"),
///     Ok(Rehearsed::Missing) => println!("there is no such queue"),
///     Err(error) => println!("{error}"), // nobody could be asked
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rehearsed {
    /// It would be done.
    Allowed,
    /// The user may not.
    Refused {
        /// The broker's own words.
        reason: String,
    },
    /// There is no such exchange or queue.
    Missing,
}

/// A message with an expiration that is no number: looked at after exchange, permissions and key.
pub(super) async fn publish(
    connections: &Connections,
    exchange: &ExchangeName,
    key: &RoutingKey,
) -> Result<Rehearsed, TransportError> {
    let what = format!("the permission to publish to exchange {exchange}");
    // Not on the connection that consumes: a broker with an alarm reads no more from one that publishes, not even
    // that it wants another channel.
    let channel = match connections.publishing_channel().await {
        Ok((channel, status)) if !status.blocked() => channel,
        Ok(_) => return Err(blocked(what)),
        Err(error) => return Err(or_blocked(error, connections, what).await),
    };
    // Users who may speak for others are stopped by the first of these.
    let properties = BasicProperties::default()
        .with_expiration(REFUSED.into())
        .with_user_id(REFUSED.into());
    let publishing = async {
        let confirms = ConfirmSelectOptions::default();
        channel.confirm_select(confirms).await?;
        let (exchange, key) = (exchange.as_str().into(), key.as_str().into());
        let options = BasicPublishOptions::default();
        let written = channel
            .basic_publish(exchange, key, options, b"", properties)
            .await?;
        written.await.map(drop)
    };
    match connections.within(&what, publishing).await {
        Ok(answer) => rehearsed(answer, &what, connections),
        Err(error) => Err(or_blocked(error, connections, what).await),
    }
}

/// Why the broker did not answer, if it is an alarm.
async fn or_blocked(
    error: TransportError,
    connections: &Connections,
    what: String,
) -> TransportError {
    match connections.publishing_is_blocked().await {
        true => blocked(what),
        false => error,
    }
}

fn blocked(what: String) -> TransportError {
    let reason = "it has blocked publishers: memory or disk alarm".to_owned();
    TransportError::Refused { what, reason }
}

/// A consumer whose priority is a text. Should it be allowed, a message that came goes back with the channel.
pub(super) async fn consume(
    connections: &Connections,
    queue: &QueueName,
) -> Result<Rehearsed, TransportError> {
    let what = format!("the permission to consume queue {queue}");
    let mut arguments = FieldTable::default();
    let text = AMQPValue::LongString(REFUSED.into());
    arguments.insert("x-priority".into(), text);
    let answer = ask(connections, &what, async |channel| {
        let qos = BasicQosOptions::default();
        channel.basic_qos(1, qos).await?;
        let (queue, options) = (queue.as_str().into(), BasicConsumeOptions::default());
        let consuming = channel.basic_consume(queue, REFUSED.into(), options, arguments);
        consuming.await.map(drop)
    })
    .await?;
    rehearsed(answer, &what, connections)
}

/// Deleting a queue asks for the same permission as declaring it, and is fine when there is none.
pub(super) async fn declare(
    connections: &Connections,
    queue: &QueueName,
) -> Result<Rehearsed, TransportError> {
    let what = format!("the permission to declare queue {queue}");
    let options = QueueDeleteOptions {
        if_unused: true,
        if_empty: true,
        nowait: false,
    };
    let answer = ask(connections, &what, async |channel| {
        let deleting = channel.queue_delete(queue.as_str().into(), options);
        deleting.await.map(drop)
    })
    .await?;
    match rehearsed(answer, &what, connections)? {
        Rehearsed::Missing => Ok(Rehearsed::Allowed),
        other @ (Rehearsed::Allowed | Rehearsed::Refused { .. }) => Ok(other),
    }
}

fn rehearsed(
    answer: lapin::Result<()>,
    what: &str,
    connections: &Connections,
) -> Result<Rehearsed, TransportError> {
    let Err(error) = answer else {
        return Ok(Rehearsed::Allowed);
    };
    Ok(match fault::answer(&error) {
        Answer::Missing => Rehearsed::Missing,
        Answer::Refused(reason) => Rehearsed::Refused { reason },
        Answer::Differs(_) => Rehearsed::Allowed,
        Answer::Gone => {
            let address = connections.address();
            return Err(fault::transport_error(&error, what, &address));
        }
    })
}
