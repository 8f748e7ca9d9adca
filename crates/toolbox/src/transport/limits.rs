//! What AMQP cannot carry, refused by every transport before it is sent.

use super::error::PublishError;
use crate::message::{Content, HeaderValue, Headers};

/// Headers above this make RabbitMQ close the whole connection: a header must fit one frame.
const MAX_HEADER_BYTES: usize = 100 * 1024;

/// AMQP's limit for names of headers and for properties.
const MAX_SHORT_BYTES: usize = 255;

/// Checks that a broker can take `content`.
///
/// # Errors
/// [`PublishError::Invalid`] names the limit that it breaks.
pub(super) fn check(content: &Content) -> Result<(), PublishError> {
    let p = &content.properties;
    let texts = [
        &p.content_type,
        &p.content_encoding,
        &p.correlation_id,
        &p.reply_to,
        &p.message_id,
        &p.kind,
        &p.user_id,
        &p.app_id,
        &p.expiration,
    ];
    texts
        .into_iter()
        .flatten()
        .try_for_each(|text| check_short(text))?;
    let bytes = table(&content.headers)?;
    if bytes > MAX_HEADER_BYTES {
        return Err(PublishError::Invalid {
            reason: format!(
                "its headers are {bytes} bytes long, at most {MAX_HEADER_BYTES} fit a frame"
            ),
        });
    }
    Ok(())
}

fn check_short(text: &str) -> Result<(), PublishError> {
    if text.len() <= MAX_SHORT_BYTES {
        return Ok(());
    }
    Err(PublishError::Invalid {
        reason: format!("a property or the name of a header is longer than 255 bytes: {text:.40}…"),
    })
}

/// About how many bytes the headers take on the wire.
fn table(headers: &Headers) -> Result<usize, PublishError> {
    headers.iter().try_fold(0, |bytes, (name, header)| {
        check_short(name)?;
        Ok(bytes + 1 + name.len() + value(header)?)
    })
}

fn value(header: &HeaderValue) -> Result<usize, PublishError> {
    Ok(match header {
        HeaderValue::Null
        | HeaderValue::Bool(_)
        | HeaderValue::Int(_)
        | HeaderValue::Float(_)
        | HeaderValue::Timestamp(_) => 9,
        HeaderValue::Text(text) => text.len() + 5,
        HeaderValue::Bytes(bytes) => bytes.len() + 5,
        HeaderValue::List(items) => items
            .iter()
            .try_fold(5, |bytes, item| Ok(bytes + value(item)?))?,
        HeaderValue::Table(inner) => 5 + table(inner)?,
    })
}
