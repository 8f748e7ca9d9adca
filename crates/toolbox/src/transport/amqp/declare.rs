//! Declaring, looking and deleting: each on a channel of its own, since a refusal closes it.

use super::connection::{Connections, within_on};
use super::convert;
use super::fault::{self, Answer};
use crate::message::Headers;
use crate::names::{ExchangeName, QueueName};
use crate::topology::{Binding, Destination, Exchange, ExchangeKind, Item, Queue};
use crate::transport::error::TransportError;
use crate::transport::{Declare, DeclareError, QueueDepth};
use lapin::Channel;
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use std::future::Future;

pub(super) async fn declare(
    connections: &Connections,
    item: &Item,
    how: Declare,
) -> Result<(), DeclareError> {
    let what = item.to_string();
    let outcome = match item {
        Item::Exchange(exchange) => {
            ask(connections, &what, async |channel| {
                declare_exchange(channel, exchange, how).await
            })
            .await
        }
        Item::Queue(queue) => {
            ask(connections, &what, async |channel| {
                declare_queue(channel, queue, how).await
            })
            .await
        }
        // AMQP has no way to ask for a binding.
        Item::Binding(_) if how == Declare::Passive => return Ok(()),
        Item::Binding(binding) => {
            ask(connections, &what, async |channel| {
                bind(channel, binding).await
            })
            .await
        }
    };
    match outcome? {
        Ok(()) => Ok(()),
        Err(error) => Err(match fault::answer(&error) {
            Answer::Missing => DeclareError::Missing { item: what },
            // The same code says that an argument makes no sense.
            Answer::Differs(reason) if reason.to_ascii_lowercase().contains(" - invalid ") => {
                DeclareError::Invalid { item: what, reason }
            }
            Answer::Differs(difference) => DeclareError::Differs {
                item: what,
                difference,
            },
            Answer::Refused(reason) if reason.starts_with("ACCESS_REFUSED") => {
                TransportError::Refused { what, reason }.into()
            }
            Answer::Refused(reason) => DeclareError::Invalid { item: what, reason },
            Answer::Gone => fault::transport_error(&error, &what, &connections.address()).into(),
        }),
    }
}

pub(super) async fn depth(
    connections: &Connections,
    queue: &QueueName,
) -> Result<Option<QueueDepth>, TransportError> {
    let what = format!("queue {queue}");
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let name = queue.as_str();
    let asked = ask(connections, &what, async |channel| {
        channel
            .queue_declare(name.into(), options, FieldTable::default())
            .await
    })
    .await?;
    match asked {
        Ok(found) => Ok(Some(QueueDepth {
            ready: found.message_count(),
            consumers: found.consumer_count(),
        })),
        Err(error) => {
            match fault::answer(&error) {
                Answer::Missing => Ok(None),
                Answer::Differs(_) | Answer::Refused(_) | Answer::Gone => Err(
                    fault::transport_error(&error, &what, &connections.address()),
                ),
            }
        }
    }
}

pub(super) async fn delete_queue(
    connections: &Connections,
    queue: &QueueName,
) -> Result<(), TransportError> {
    let what = format!("queue {queue}");
    let name = queue.as_str();
    let deleted = ask(connections, &what, async |channel| {
        channel
            .queue_delete(name.into(), QueueDeleteOptions::default())
            .await
            .map(drop)
    })
    .await?;
    gone_is_fine(deleted, &what, connections)
}

pub(super) async fn delete_exchange(
    connections: &Connections,
    exchange: &ExchangeName,
) -> Result<(), TransportError> {
    let what = format!("exchange {exchange}");
    let name = exchange.as_str();
    let deleted = ask(connections, &what, async |channel| {
        channel
            .exchange_delete(name.into(), ExchangeDeleteOptions::default())
            .await
    })
    .await?;
    gone_is_fine(deleted, &what, connections)
}

fn gone_is_fine(
    deleted: lapin::Result<()>,
    what: &str,
    connections: &Connections,
) -> Result<(), TransportError> {
    match deleted {
        Ok(()) => Ok(()),
        Err(error) if matches!(fault::answer(&error), Answer::Missing) => Ok(()),
        Err(error) => Err(fault::transport_error(&error, what, &connections.address())),
    }
}

/// Asks on a fresh channel, within the deadline, and closes it again.
pub(super) async fn ask<'c, T, F>(
    connections: &Connections,
    what: &str,
    question: impl FnOnce(Channel) -> F,
) -> Result<lapin::Result<T>, TransportError>
where
    F: Future<Output = lapin::Result<T>> + 'c,
{
    let channel = connections.consuming_channel().await?;
    let asked = question(channel.clone());
    let answer = within_on(&channel, connections.deadline(), what, asked).await?;
    if channel.status().connected() {
        // Left open, it would count against the connection's limit of channels until it is dropped.
        // A late goodbye does not change the answer.
        let _ = connections
            .within(what, channel.close(200, "bye".into()))
            .await;
    }
    Ok(answer)
}

async fn declare_exchange(
    channel: Channel,
    exchange: &Exchange,
    how: Declare,
) -> lapin::Result<()> {
    let kind = match exchange.kind {
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        ExchangeKind::Headers => lapin::ExchangeKind::Headers,
    };
    let options = ExchangeDeclareOptions {
        passive: how == Declare::Passive,
        durable: true,
        internal: exchange.internal,
        ..ExchangeDeclareOptions::default()
    };
    let mut arguments = Headers::new();
    if let Some(alternate) = &exchange.alternate {
        arguments.push("alternate-exchange", alternate.as_str());
    }
    channel
        .exchange_declare(
            exchange.name.as_str().into(),
            kind,
            options,
            arguments_of(&arguments),
        )
        .await
}

async fn declare_queue(channel: Channel, queue: &Queue, how: Declare) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        passive: how == Declare::Passive,
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let arguments = arguments_of(&queue.all_arguments());
    channel
        .queue_declare(queue.name.as_str().into(), options, arguments)
        .await
        .map(drop)
}

async fn bind(channel: Channel, binding: &Binding) -> lapin::Result<()> {
    let (source, key) = (binding.source.as_str().into(), binding.key.as_str().into());
    let arguments = arguments_of(&binding.arguments);
    match &binding.destination {
        Destination::Queue(queue) => {
            channel
                .queue_bind(
                    queue.as_str().into(),
                    source,
                    key,
                    QueueBindOptions::default(),
                    arguments,
                )
                .await
        }
        Destination::Exchange(exchange) => {
            channel
                .exchange_bind(
                    exchange.as_str().into(),
                    source,
                    key,
                    ExchangeBindOptions::default(),
                    arguments,
                )
                .await
        }
    }
}

fn arguments_of(headers: &Headers) -> FieldTable {
    convert::table(headers).expect("names of arguments are constants of this crate")
}
