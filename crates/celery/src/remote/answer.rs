//! What a command comes to.

use super::python::repr_str;
use super::request::ReplyTo;
use crate::json::header;
use crate::reply::TAKEN_BY_ALL;
use counterfoil_toolbox::message::{Content, HeaderValue};
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::transport::Publication;
use serde_json::{Value, json};

/// What a command raises, as Python prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raised(String);

impl Raised {
    pub(super) fn key_error(key: &str) -> Self {
        Self(format!("KeyError({})", repr_str(key)))
    }

    pub(super) fn value_error(text: &str) -> Self {
        Self(format!("ValueError({})", repr_str(text)))
    }

    pub(super) fn type_error(text: &str) -> Self {
        Self(format!("TypeError({})", repr_str(text)))
    }

    pub(super) fn index_error() -> Self {
        Self("IndexError('list index out of range')".to_owned())
    }

    /// An argument that nobody can do without.
    pub(super) fn missing(method: &str, argument: &str) -> Self {
        Self::type_error(&format!(
            "{method}() missing 1 required positional argument: '{argument}'"
        ))
    }
}

/// That it went well.
pub(super) fn ok(text: impl Into<String>) -> Value {
    json!({"ok": text.into()})
}

/// That it did not.
pub(super) fn nok(text: impl Into<String>) -> Value {
    json!({"error": text.into()})
}

/// What is told instead of an answer that the broker does not take. `None`: it is so small that there is no such broker.
pub(super) fn too_large(answer: &Publication) -> Option<Value> {
    let bytes = answer.content.body.len();
    let why = || {
        nok(format!(
            "the answer is {bytes} bytes long, which is more than the broker takes"
        ))
    };
    (bytes > TAKEN_BY_ALL).then(why)
}

/// The answer of a command.
pub(super) fn told(result: Result<Value, Raised>) -> Value {
    result.unwrap_or_else(|Raised(text)| nok(text))
}

/// The message that tells `answer` of `node`.
///
/// # Errors
/// Why there cannot be one.
pub(super) fn message(
    node: &str,
    answer: Value,
    to: &ReplyTo,
    ticket: &Value,
    clock: u64,
) -> Result<Publication, String> {
    let body = json!({ node: answer }).to_string();
    let mut content = Content::json(body);
    content.properties.persistent = false;
    content.properties.priority = Some(0);
    content.headers.push("ticket", header(ticket));
    let clock = i64::try_from(clock).unwrap_or(i64::MAX);
    content.headers.push("clock", HeaderValue::Int(clock));
    Ok(Publication {
        exchange: ExchangeName::new(&to.exchange).map_err(|error| error.to_string())?,
        routing_key: RoutingKey::new(&to.routing_key).map_err(|error| error.to_string())?,
        content,
    })
}
