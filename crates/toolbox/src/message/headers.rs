//! Headers of a message: AMQP's field table without lapin's types.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::borrow::Cow;

/// Value of one header. Integers of every AMQP width become `Int`, both text types `Text`.
///
/// ```
/// use counterfoil_toolbox::message::HeaderValue;
///
/// let seconds = HeaderValue::Float(1.5);
/// assert_eq!((seconds.as_number(), seconds.as_int()), (Some(1.5), None));
/// let limits = HeaderValue::List(vec![seconds, HeaderValue::Null]);
/// assert_eq!(limits.to_json(), serde_json::json!([1.5, null]));
/// assert_eq!(HeaderValue::from("soon").as_str(), Some("soon"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Any whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Box<str>),
    /// Bytes that are not text.
    Bytes(Bytes),
    /// Seconds since 1970.
    Timestamp(u64),
    /// A list.
    List(Vec<HeaderValue>),
    /// A table.
    Table(Headers),
}

impl HeaderValue {
    /// The text, when it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The whole number, when it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The number, whole or not.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            #[allow(
                clippy::cast_precision_loss,
                reason = "limits in seconds are far below 2^53"
            )]
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Null
            | Self::Bool(_)
            | Self::Text(_)
            | Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::List(_)
            | Self::Table(_) => None,
        }
    }

    /// The value as JSON, for the database and for people. Bytes become lossy text.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::from(*number),
            Self::Float(number) => {
                serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number)
            }
            Self::Text(text) => Value::from(&**text),
            Self::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes)),
            Self::Timestamp(seconds) => Value::from(*seconds),
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Table(table) => table.to_json(),
        }
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for HeaderValue {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for HeaderValue {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

/// Named values in the order in which they were set. A message has about a dozen, so a look-up
/// walks the list.
///
/// ```
/// use counterfoil_toolbox::message::Headers;
///
/// let mut headers = Headers::new();
/// headers.push("task", "demo.add");
/// headers.push("retries", 1);
/// headers.set("retries", 2); // in place of the 1
/// assert_eq!((headers.text("task"), headers.int("retries")), (Some("demo.add"), Some(2)));
/// assert_eq!(headers.text("retries"), None); // a number is no text
/// assert_eq!(headers.to_json(), serde_json::json!({"task": "demo.add", "retries": 2}));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headers(Vec<(Cow<'static, str>, HeaderValue)>);

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No headers yet, with room for `n`.
    #[must_use]
    pub fn with_capacity(n: usize) -> Self {
        Self(Vec::with_capacity(n))
    }

    /// Adds a header that is known not to be there yet.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<HeaderValue>) {
        self.0.push((name.into(), value.into()));
    }

    /// Sets a header, replacing the value that it had.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<HeaderValue>) {
        let name = name.into();
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name, value.into())),
        }
    }

    /// Value of the header `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    }

    /// Text of the header `name`; `None` when it is missing, empty or something else.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(HeaderValue::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Whole number of the header `name`.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(HeaderValue::as_int)
    }

    /// Time of the header `name`, in whole seconds.
    ///
    /// ```
    /// use counterfoil_toolbox::message::{HeaderValue, Headers};
    ///
    /// let mut headers = Headers::new();
    /// headers.push("died", HeaderValue::Timestamp(1_800_000_000));
    /// headers.push("eta", "2027-01-15T08:00:00Z");
    /// assert_eq!(headers.time("died").expect("a time").to_rfc3339(), "2027-01-15T08:00:00+00:00");
    /// assert_eq!(headers.time("eta"), None); // a text
    /// ```
    #[must_use]
    pub fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        let HeaderValue::Timestamp(seconds) = self.get(name)? else {
            return None;
        };
        DateTime::from_timestamp(i64::try_from(*seconds).ok()?, 0)
    }

    /// What the broker wrote about the deaths of the message (`x-death`), the newest first: a table for each queue and
    /// reason, with `queue`, `reason`, `time` and more.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::{HeaderValue, Headers};
    /// # let (mut headers, mut death) = (Headers::new(), Headers::new());
    /// # death.push("queue", "export");
    /// # death.push("reason", "delivery_limit");
    /// # headers.push("x-death", HeaderValue::List(vec![HeaderValue::Table(death)]));
    /// let last = headers.deaths().next().expect("a message from a dead queue");
    /// assert_eq!((last.text("queue"), last.text("reason")), (Some("export"), Some("delivery_limit")));
    /// ```
    pub fn deaths(&self) -> impl Iterator<Item = &Self> {
        let deaths = match self.get("x-death") {
            Some(HeaderValue::List(deaths)) => deaths.as_slice(),
            _ => &[],
        };
        deaths.iter().filter_map(|death| {
            let HeaderValue::Table(death) = death else {
                return None;
            };
            Some(death)
        })
    }

    /// Keeps only the headers that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// All headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.to_json()))
            .collect()
    }
}

impl FromIterator<(Cow<'static, str>, HeaderValue)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Cow<'static, str>, HeaderValue)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}
