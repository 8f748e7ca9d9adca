//! What a message consists of, on any transport: properties, headers, body.

use super::headers::Headers;
use bytes::Bytes;

/// AMQP's basic properties that a task message may carry. `delivery_mode` 2 is `persistent`.
///
/// ```
/// use counterfoil_toolbox::message::{Content, Properties};
///
/// let properties = Properties { app_id: Some("shop".into()), ..Properties::json() };
/// let content = Content { properties, ..Content::json("{}") };
/// assert!(content.properties.persistent);
/// assert_eq!(content.properties.content_type.as_deref(), Some("application/json"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// `application/json`.
    pub content_type: Option<Box<str>>,
    /// `utf-8`.
    pub content_encoding: Option<Box<str>>,
    /// Task id, as Celery sets it.
    pub correlation_id: Option<Box<str>>,
    /// Queue for rpc results.
    pub reply_to: Option<Box<str>>,
    /// Unique id of the message; ours is the task id.
    pub message_id: Option<Box<str>>,
    /// `type` property.
    pub kind: Option<Box<str>>,
    /// Name of the broker user; RabbitMQ checks it.
    pub user_id: Option<Box<str>>,
    /// Name of the sending application.
    pub app_id: Option<Box<str>>,
    /// Milliseconds as text. Read only: we never set it, it would expire the tracking copy too.
    pub expiration: Option<Box<str>>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// 0–255.
    pub priority: Option<u8>,
    /// Whether the broker writes the message to disk.
    pub persistent: bool,
}

impl Properties {
    /// Persistent JSON in UTF-8: what all our messages are.
    #[must_use]
    pub fn json() -> Self {
        Self {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            persistent: true,
            ..Self::default()
        }
    }
}

/// A message without its address.
///
/// ```
/// use counterfoil_toolbox::message::Content;
///
/// let mut content = Content::json("[[2, 3], {}, {}]"); // persistent
/// content.headers.push("task", "demo.add");
/// content.headers.push("x-first-death-reason", "expired"); // a broker wrote it
/// let again = content.without_broker_headers(); // it may be published once more
/// assert_eq!((again.headers.len(), again.headers.text("task")), (1, Some("demo.add")));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Content {
    /// Basic properties.
    pub properties: Properties,
    /// Headers.
    pub headers: Headers,
    /// The body, as it is on the wire.
    pub body: Bytes,
}

impl Content {
    /// A persistent JSON message with no headers.
    #[must_use]
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self {
            properties: Properties::json(),
            headers: Headers::new(),
            body: body.into(),
        }
    }

    /// The content as it may be published again: without the traces that brokers left in it.
    ///
    /// Copied `x-death` headers make RabbitMQ drop a message as a cycle although it confirmed it.
    #[must_use]
    pub fn without_broker_headers(mut self) -> Self {
        self.headers.retain(|name| !is_broker_header(name));
        self.properties.expiration = None;
        self.properties.user_id = None;
        self
    }
}

/// Whether the broker, not a producer, wrote the header.
///
/// ```
/// use counterfoil_toolbox::message::content::is_broker_header;
///
/// assert!(is_broker_header("x-delivery-count") && is_broker_header("x-death"));
/// assert!(!is_broker_header("traceparent")); // the sender's
/// ```
#[must_use]
pub fn is_broker_header(name: &str) -> bool {
    matches!(name, "x-death" | "x-delivery-count" | "CC" | "BCC")
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}
