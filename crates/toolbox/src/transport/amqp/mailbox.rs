//! Making a mailbox and reading it, all on one channel: its queue belongs to that channel's connection.

use super::connection::{Connections, within_on};
use super::consumer::AmqpLink;
use super::convert;
use super::fault;
use crate::transport::error::TransportError;
use crate::transport::link::Link;
use crate::transport::mailbox::{Mailbox, TAG};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};

pub(super) async fn open(
    connections: &Connections,
    mailbox: &Mailbox,
) -> Result<Box<dyn Link>, TransportError> {
    let what = format!("mailbox {}", mailbox.queue);
    let channel = connections.consuming_channel().await?;
    let making = make(&channel, mailbox);
    let made = within_on(&channel, connections.deadline(), &what, making).await?;
    made.map_err(|error| fault::transport_error(&error, &what, &connections.address()))?;
    let mut link = AmqpLink::new(channel, mailbox.queue.clone(), connections.deadline());
    link.consume(TAG, mailbox.prefetch, None).await?;
    Ok(Box::new(link))
}

async fn make(channel: &Channel, mailbox: &Mailbox) -> lapin::Result<()> {
    let (exchange, queue) = (mailbox.exchange.as_str(), mailbox.queue.as_str());
    // Neither of them lasts: not durable.
    let options = ExchangeDeclareOptions::default();
    let arguments = FieldTable::default();
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Fanout, options, arguments)
        .await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let arguments = convert::table(&mailbox.arguments())
        .expect("names of arguments are constants of this crate");
    channel
        .queue_declare(queue.into(), options, arguments)
        .await?;
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(queue.into(), exchange.into(), "".into(), options, arguments)
        .await
}
