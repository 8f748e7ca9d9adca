//! Between our values and lapin's.

use crate::message::{Content, HeaderValue, Headers, Properties, known_header};
use crate::names::{ExchangeName, RoutingKey};
use crate::transport::error::PublishError;
use crate::transport::limits;
use crate::transport::link::Arrival;
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use std::borrow::Cow;

/// A short string, which AMQP limits to 255 bytes; lapin panics above that.
pub(super) fn short(text: &str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|_| PublishError::Invalid {
        reason: format!("a property is longer than 255 bytes: {:.40}…", text),
    })
}

/// Headers as a field table.
pub(super) fn table(headers: &Headers) -> Result<FieldTable, PublishError> {
    let mut table = FieldTable::default();
    for (name, header) in headers.iter() {
        table.insert(short(name)?, value(header)?);
    }
    Ok(table)
}

fn value(value_of: &HeaderValue) -> Result<AMQPValue, PublishError> {
    Ok(match value_of {
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Bool(flag) => AMQPValue::Boolean(*flag),
        // Celery writes small numbers as 32 bits, and some readers look at the type.
        HeaderValue::Int(number) => {
            i32::try_from(*number).map_or(AMQPValue::LongLongInt(*number), AMQPValue::LongInt)
        }
        HeaderValue::Float(number) => AMQPValue::Double(*number),
        HeaderValue::Text(text) => AMQPValue::LongString(text.to_string().into()),
        HeaderValue::Bytes(bytes) => AMQPValue::LongString(bytes.to_vec().into()),
        HeaderValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        HeaderValue::List(items) => {
            let items = items.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            AMQPValue::FieldArray(FieldArray::from(items))
        }
        HeaderValue::Table(inner) => AMQPValue::FieldTable(table(inner)?),
    })
}

/// Properties and headers of a message that is about to be sent by `user`.
pub(super) fn properties(content: &Content, user: &str) -> Result<BasicProperties, PublishError> {
    limits::check(content)?;
    let ours = &content.properties;
    let mut theirs = BasicProperties::default().with_headers(table(&content.headers)?);
    // The broker refuses a user id that is not the connection's, and workers may trust it.
    theirs = theirs.with_user_id(short(user)?);
    theirs = theirs.with_delivery_mode(if ours.persistent { 2 } else { 1 });
    type Setter = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<Box<str>>, Setter); 7] = [
        (&ours.content_type, BasicProperties::with_content_type),
        (
            &ours.content_encoding,
            BasicProperties::with_content_encoding,
        ),
        (&ours.correlation_id, BasicProperties::with_correlation_id),
        (&ours.reply_to, BasicProperties::with_reply_to),
        (&ours.message_id, BasicProperties::with_message_id),
        (&ours.kind, BasicProperties::with_type),
        (&ours.app_id, BasicProperties::with_app_id),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            theirs = set(theirs, short(text)?);
        }
    }
    if let Some(seconds) = ours.timestamp {
        theirs = theirs.with_timestamp(seconds);
    }
    if let Some(priority) = ours.priority {
        theirs = theirs.with_priority(priority);
    }
    Ok(theirs)
}

/// A message as it came from the broker. lapin checks that short strings are UTF-8.
pub(super) fn arrival(delivery: Delivery, consumer: u64) -> Arrival {
    let properties = &delivery.properties;
    let text = |field: &Option<ShortString>| field.as_ref().map(|text| text.as_str().into());
    let ours = Properties {
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        message_id: text(properties.message_id()),
        kind: text(properties.kind()),
        user_id: text(properties.user_id()),
        app_id: text(properties.app_id()),
        expiration: text(properties.expiration()),
        timestamp: *properties.timestamp(),
        priority: *properties.priority(),
        persistent: *properties.delivery_mode() == Some(2),
    };
    let headers = properties
        .headers()
        .as_ref()
        .map(headers)
        .unwrap_or_default();
    let exchange =
        ExchangeName::new(delivery.exchange.as_str()).expect("a short string is at most 255 bytes");
    let routing_key = RoutingKey::new(delivery.routing_key.as_str())
        .expect("a short string is at most 255 bytes");
    let content = Content {
        properties: ours,
        headers,
        body: Bytes::from(delivery.data),
    };
    Arrival {
        consumer,
        tag: delivery.delivery_tag,
        content,
        exchange,
        routing_key,
        redelivered: delivery.redelivered,
    }
}

fn headers(table: &FieldTable) -> Headers {
    table
        .inner()
        .iter()
        .map(|(name, value)| (header_name(name.as_str()), header(value)))
        .collect()
}

fn header_name(name: &str) -> Cow<'static, str> {
    known_header(name).map_or_else(|| name.to_owned().into(), Into::into)
}

fn header(value: &AMQPValue) -> HeaderValue {
    match value {
        AMQPValue::Void => HeaderValue::Null,
        AMQPValue::Boolean(flag) => HeaderValue::Bool(*flag),
        AMQPValue::ShortShortInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::ShortShortUInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::ShortInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::ShortUInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::LongInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::LongUInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::LongLongInt(number) => HeaderValue::Int(*number),
        AMQPValue::Float(number) => HeaderValue::Float((*number).into()),
        AMQPValue::Double(number) => HeaderValue::Float(*number),
        AMQPValue::DecimalValue(number) => {
            HeaderValue::Float(f64::from(number.value) / 10_f64.powi(number.scale.into()))
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().into()),
        AMQPValue::LongString(bytes) => match std::str::from_utf8(bytes.as_bytes()) {
            Ok(text) => HeaderValue::Text(text.into()),
            Err(_) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes.as_bytes())),
        },
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::Timestamp(seconds) => HeaderValue::Timestamp(*seconds),
        AMQPValue::FieldArray(items) => {
            HeaderValue::List(items.as_slice().iter().map(header).collect())
        }
        AMQPValue::FieldTable(table) => HeaderValue::Table(headers(table)),
    }
}
