//! Values on their way into messages.

use counterfoil_toolbox::message::HeaderValue;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A value as JSON text.
pub(crate) fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    to_raw_value(value).expect("values made of text, numbers, lists and fields by text are JSON")
}

/// A value as the body of a message.
pub(crate) fn bytes(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("values made of text, numbers, lists and fields by text are JSON")
}

/// A JSON value as that of a header.
pub(crate) fn header(value: &Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(flag) => HeaderValue::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => HeaderValue::Int(whole),
            (None, Some(number)) => HeaderValue::Float(number),
            (None, None) => HeaderValue::Null,
        },
        Value::String(text) => HeaderValue::from(text.as_str()),
        Value::Array(items) => HeaderValue::List(items.iter().map(header).collect()),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone().into(), header(value)));
            HeaderValue::Table(fields.collect())
        }
    }
}
