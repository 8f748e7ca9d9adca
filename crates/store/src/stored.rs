//! Messages as rows keep them: everything needed to send them again.
//!
//! Headers are a JSON object. What JSON lacks is an object with one key that begins with `$`:
//! `{"$bytes": "00ff"}`, `{"$timestamp": 1764000000}`, `{"$float": "NaN"}`, `{"$text": "…"}` (hex of
//! a text with a NUL), and `{"$table": [[name, value], …]}` for a table with such a key of its own.

use crate::text::{INDEXED, boxed, from_hex, to_hex};
use counterfoil_toolbox::message::content::is_broker_header;
use counterfoil_toolbox::message::{Content, HeaderValue, Headers, Properties};
use serde_json::{Map, Value, json};

/// Deepest table that is kept; RabbitMQ's own `x-death` has three levels.
const MAX_DEPTH: usize = 20;

/// A message together with the exchange and key by which it came.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMessage {
    /// Exchange that it was published to.
    pub exchange: Box<str>,
    /// Key that it was published with; a delayed one still begins with the bits of its delay.
    pub routing_key: Box<str>,
    /// Properties, headers and body.
    pub content: Content,
}

impl StoredMessage {
    /// The same with an address that any column holds; the content is kept as it is.
    pub(crate) fn cleaned(self) -> Self {
        Self {
            exchange: boxed(&self.exchange, INDEXED),
            routing_key: boxed(&self.routing_key, INDEXED),
            content: self.content,
        }
    }
}

/// The headers as JSON text that any `jsonb` column takes.
pub(crate) fn headers_to_json(headers: &Headers) -> String {
    table(headers, 0).to_string()
}

/// The same without what brokers added: a message that is delivered again keeps its text.
pub(crate) fn senders_headers_to_json(headers: &Headers) -> String {
    if headers.iter().any(|(name, _)| is_broker_header(name)) {
        let mut headers = headers.clone();
        headers.retain(|name| !is_broker_header(name));
        return headers_to_json(&headers);
    }
    headers_to_json(headers)
}

/// The headers that [`headers_to_json`] wrote.
pub(crate) fn headers_from_json(text: &str) -> Headers {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => from_object(object),
        Ok(_) | Err(_) => Headers::new(),
    }
}

fn table(headers: &Headers, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return json!({"$cut": "nested too deeply"});
    }
    let pairs = headers
        .iter()
        .map(|(name, value)| (name, value_to_json(value, depth)));
    // A key of this form or with a NUL would not read back.
    if headers
        .iter()
        .any(|(name, _)| name.starts_with('$') || name.contains('\0'))
    {
        let pairs: Vec<Value> = pairs
            .map(|(name, value)| json!([text(name), value]))
            .collect();
        return json!({ "$table": pairs });
    }
    Value::Object(
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn value_to_json(value: &HeaderValue, depth: usize) -> Value {
    match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(flag) => Value::Bool(*flag),
        HeaderValue::Int(number) => Value::from(*number),
        HeaderValue::Float(number) => serde_json::Number::from_f64(*number)
            .map_or_else(|| json!({"$float": number.to_string()}), Value::Number),
        HeaderValue::Text(content) => text(content),
        HeaderValue::Bytes(bytes) => json!({"$bytes": to_hex(bytes)}),
        HeaderValue::Timestamp(seconds) => json!({"$timestamp": seconds}),
        HeaderValue::List(_) if depth >= MAX_DEPTH => json!({"$cut": "nested too deeply"}),
        HeaderValue::List(items) => {
            let items = items.iter().map(|item| value_to_json(item, depth + 1));
            Value::Array(items.collect())
        }
        HeaderValue::Table(headers) => table(headers, depth + 1),
    }
}

fn text(content: &str) -> Value {
    if content.contains('\0') {
        json!({"$text": to_hex(content.as_bytes())})
    } else {
        Value::from(content)
    }
}

fn from_object(object: Map<String, Value>) -> Headers {
    if let Some(Value::Array(pairs)) = object.get("$table") {
        return pairs.iter().filter_map(pair_from_json).collect();
    }
    object
        .into_iter()
        .map(|(name, value)| (name.into(), value_from_json(value)))
        .collect()
}

fn pair_from_json(pair: &Value) -> Option<(std::borrow::Cow<'static, str>, HeaderValue)> {
    let HeaderValue::Text(name) = value_from_json(pair.get(0)?.clone()) else {
        return None;
    };
    let value = value_from_json(pair.get(1)?.clone());
    Some((String::from(name).into(), value))
}

fn value_from_json(value: Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Null,
        Value::Bool(flag) => HeaderValue::Bool(flag),
        Value::Number(number) => number
            .as_i64()
            .map(HeaderValue::Int)
            .or_else(|| number.as_f64().map(HeaderValue::Float))
            .unwrap_or(HeaderValue::Null),
        Value::String(text) => HeaderValue::from(text),
        Value::Array(items) => HeaderValue::List(items.into_iter().map(value_from_json).collect()),
        Value::Object(object) => {
            special(&object).unwrap_or_else(|| HeaderValue::Table(from_object(object)))
        }
    }
}

/// The value that an object with a `$` key stands for.
fn special(object: &Map<String, Value>) -> Option<HeaderValue> {
    let (key, value) = object.iter().next().filter(|_| object.len() == 1)?;
    match key.as_str() {
        "$bytes" => Some(HeaderValue::Bytes(from_hex(value.as_str()?)?.into())),
        "$text" => String::from_utf8(from_hex(value.as_str()?)?)
            .ok()
            .map(HeaderValue::from),
        "$timestamp" => value.as_u64().map(HeaderValue::Timestamp),
        "$float" => value.as_str()?.parse().ok().map(HeaderValue::Float),
        _ => None,
    }
}

/// The properties as JSON text; absent ones are left out.
pub(crate) fn properties_to_json(properties: &Properties) -> String {
    let mut object = Map::new();
    let texts = [
        ("content_type", &properties.content_type),
        ("content_encoding", &properties.content_encoding),
        ("correlation_id", &properties.correlation_id),
        ("reply_to", &properties.reply_to),
        ("message_id", &properties.message_id),
        ("type", &properties.kind),
        ("user_id", &properties.user_id),
        ("app_id", &properties.app_id),
        ("expiration", &properties.expiration),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            object.insert(name.to_owned(), text(value));
        }
    }
    if let Some(timestamp) = properties.timestamp {
        object.insert("timestamp".to_owned(), timestamp.into());
    }
    if let Some(priority) = properties.priority {
        object.insert("priority".to_owned(), priority.into());
    }
    if properties.persistent {
        object.insert("delivery_mode".to_owned(), 2.into());
    }
    Value::Object(object).to_string()
}

/// The properties that [`properties_to_json`] wrote.
pub(crate) fn properties_from_json(text: &str) -> Properties {
    let object: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let get = |name: &str| {
        let value = value_from_json(object.get(name)?.clone());
        value.as_str().map(Box::from)
    };
    Properties {
        content_type: get("content_type"),
        content_encoding: get("content_encoding"),
        correlation_id: get("correlation_id"),
        reply_to: get("reply_to"),
        message_id: get("message_id"),
        kind: get("type"),
        user_id: get("user_id"),
        app_id: get("app_id"),
        expiration: get("expiration"),
        timestamp: object.get("timestamp").and_then(Value::as_u64),
        priority: object
            .get("priority")
            .and_then(Value::as_u64)
            .and_then(|priority| u8::try_from(priority).ok()),
        persistent: object.get("delivery_mode") == Some(&Value::from(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::message::json::inspect;

    fn odd_headers() -> Headers {
        let mut inner = Headers::new();
        inner.push("$bytes", "not bytes");
        inner.push("n\0l", HeaderValue::Null);
        let mut headers = Headers::new();
        headers.push("task", "demo.add");
        headers.push("retries", 3);
        headers.push("flag", true);
        headers.push("half", HeaderValue::Float(0.5));
        headers.push("nan", HeaderValue::Float(f64::INFINITY));
        headers.push("text", "a\0b");
        headers.push("bytes", HeaderValue::Bytes(vec![0, 255].into()));
        headers.push("at", HeaderValue::Timestamp(1_764_000_000));
        headers.push("list", HeaderValue::List(vec![1.into(), HeaderValue::Null]));
        headers.push("table", HeaderValue::Table(inner));
        headers
    }

    #[test]
    fn headers_of_every_type_come_back_as_they_were() {
        let text = headers_to_json(&odd_headers());
        assert_eq!(inspect(&text).storable(), Ok(()), "{text}");
        assert_eq!(headers_from_json(&text), odd_headers());
    }

    #[test]
    fn nesting_is_cut_where_jsonb_still_takes_it() {
        let mut value = HeaderValue::Int(1);
        for _ in 0..500 {
            let mut table = Headers::new();
            table.push("$in", HeaderValue::List(vec![value]));
            value = HeaderValue::Table(table);
        }
        let mut headers = Headers::new();
        headers.push("bomb", value);
        let text = headers_to_json(&headers);
        assert!(text.contains("nested too deeply"));
        assert_eq!(inspect(&text).storable(), Ok(()));
    }

    #[test]
    fn properties_come_back_as_they_were() {
        let mut properties = Properties::json();
        properties.correlation_id = Some("a\0b".into());
        properties.priority = Some(9);
        properties.timestamp = Some(1_764_000_000);
        let text = properties_to_json(&properties);
        assert_eq!(properties_from_json(&text), properties);
        assert_eq!(properties_from_json("{}"), Properties::default());
    }
}
